"""`with ZeroProbe(module)`: why the activations of anybody's module are zero."""

import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from why_zero._census import named_census
from why_zero._watch.backward import MaskWatch
from why_zero._watch.isolation import refuse_compiled, refuse_compiling, uncompiled, unseen
from why_zero._watch.layer_counts import Names
from why_zero._watch.pass_counts import PassCounts
from why_zero._watch.recorder import Recorder, watched_modules
from why_zero._watch.sums import LayerSum
from why_zero.errors import WhyZeroError
from why_zero.records import UnitStates, WatchedLayer, ZeroCauses


class ZeroProbe:
    """Watches the passes that a module makes inside a `with` block, and changes none of them.

        with ZeroProbe(model, every=20) as probe:
            train(model)
        probe.causes()["relu1"].share("dropped")

    It makes no pass and draws no random number of its own: training is the same bit by bit with
    it and without. After the block, also after an error in it, module, hooks, modes and generators
    are as they were. It keeps sums by unit, never activations. What it counts it also checks
    (`why_zero.identities`): a measurement that contradicts itself raises `BrokenIdentity`
    from within the pass, its gradient or the end of the block.

    Passes of the module in training mode and in evaluation mode are counted apart. Calls on one
    layer are matched by the memory that they share, so BatchNorm or arithmetic between an
    activation and a dropout makes these two layers; pooling keeps them explained.

    Not seen: what happens inside fused kernels (recurrent layers, attention's own dropout), masks
    that the module multiplies by itself, compiled and scripted code. `notes` says what was met.

    Attributes:
        notes: why some call cannot be explained, by name.
        set_aside: passes that held NaN or infinity and were not counted.
    """

    def __init__(self, module: nn.Module, *, every: int = 1) -> None:
        """Be ready to watch.

        Args:
            module: the network, or a part of it, that is called as `module(...)`.
            every: watch the first of every so many training passes (and, counted by itself, of
                every so many evaluation passes).

        Raises:
            WhyZeroError: `every` is not positive.
        """
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise WhyZeroError(f"every must be a positive integer, got {every!r}: 1 watches all")
        self.notes: dict[str, str] = {}
        self.set_aside = 0
        self._module = module
        self._every = every
        self._names = Names()
        self._sums: dict[bool, dict[str, LayerSum]] = {True: {}, False: {}}
        self._calls = {True: 0, False: 0}
        self._gradients = MaskWatch()
        self._hooks: list[RemovableHandle] = []
        self._pass: _Pass | None = None
        self._is_census = False

    def __enter__(self) -> "ZeroProbe":  # noqa: PYI034 beartype, in the tests, does not take Self
        """Begin to watch.

        Raises:
            WhyZeroError: a part of the module is compiled or scripted.
            WhyZeroError: the probe is watching already.
        """
        refuse_compiled(self._module)
        if self._hooks:
            raise WhyZeroError("a probe must be left before it is entered again: use another one")
        # Hooks rather than another forward(): a copy made inside the block stays independent.
        self._hooks = [
            self._module.register_forward_pre_hook(uncompiled(self._begin)),
            # First, so that nested probes end in the reverse order of their beginning.
            self._module.register_forward_hook(
                uncompiled(self._end), prepend=True, always_call=True
            ),
        ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave everything as it was, and test what was counted."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._gradients.stop()
        self._close()
        if kind is None:
            for layers in self._sums.values():
                for layer in layers.values():
                    layer.check()

    @property
    def layers(self) -> dict[str, WatchedLayer]:
        """What every layer did in training passes, by name, in order of call."""
        return self._layers(is_training=True)

    @property
    def evaluation_layers(self) -> dict[str, WatchedLayer]:
        """What every layer did in evaluation passes, by name, in order of call."""
        return self._layers(is_training=False)

    def causes(self) -> dict[str, ZeroCauses]:
        """Why the activations of every layer were zero in training passes, by name."""
        return {name: layer.causes for name, layer in self.layers.items()}

    def table(self) -> str:
        """The causes in training passes as a table for a terminal, a line a layer."""
        layers = self.layers
        width = max([5, *map(len, layers)])
        lines = [f"{'layer':{width}}  active  dropped  inactive  both    zero   units   passes"]
        for name, layer in layers.items():
            causes = layer.causes
            lines.append(
                f"{name:{width}}  {causes.share('active'):6.1%}  {causes.share('dropped'):7.1%}  "
                f"{causes.share('inactive'):8.1%}  {causes.share('both'):6.1%}  "
                f"{causes.zero_share:6.1%}  {len(causes.active):5}  {layer.passes:6}"
            )
        return "\n".join(lines)

    def census(
        self,
        batches: Iterable[Any],
        *,
        run: Callable[[nn.Module, Any], object] | None = None,
    ) -> dict[str, UnitStates]:
        """What every ReLU unit does over a reference set, in evaluation mode, by layer.

        As `why_zero.census`, with the names that the layers have in this probe; inside the block
        these passes are not counted among the module's own.
        """
        self._is_census = True
        try:
            return named_census(self._module, batches, names=self._names, run=run)
        finally:
            self._is_census = False

    def _layers(self, *, is_training: bool) -> dict[str, WatchedLayer]:
        if not sum(self._calls.values()):
            raise WhyZeroError(
                "a probe must see a pass before it can report, got none: call the module itself "
                "inside the block (not its forward, not a compiled form of it)"
            )
        return {name: layer.layer() for name, layer in self._sums[is_training].items()}

    def _begin(self, module: nn.Module, _: object) -> None:
        """The module's pass begins: a hook."""
        refuse_compiling()
        if module is not self._module or self._is_census or _is_recomputing():
            return
        if self._pass is not None:
            self._pass.depth += 1
            return
        is_training = module.training
        self._calls[is_training] += 1
        if (self._calls[is_training] - 1) % self._every == 0:
            self._pass = _Pass(module, self._names, self._gradients)

    def _end(self, module: nn.Module, _: object, __: object) -> None:
        """The module's pass ends, also by an exception: a hook."""
        watched = self._pass
        if module is not self._module or self._is_census or _is_recomputing() or watched is None:
            return
        watched.depth -= 1
        if watched.depth:
            return
        self._close()
        if sys.exc_info()[1] is watched.handled:
            with unseen():
                self._add(watched)

    def _close(self) -> None:
        """Stop watching the pass that is under way, if there is one."""
        if self._pass is not None:
            self._pass.close()
            self._pass = None

    def _add(self, watched: "_Pass") -> None:
        self.notes |= watched.recorder.notes
        pass_counts = watched.recorder.pass_counts
        if not pass_counts.is_finite:
            self.set_aside += 1
            return
        sums = self._sums[watched.is_training]
        for layer in pass_counts.layers:
            name = self._names.of(layer.key)
            sums.setdefault(name, LayerSum(name, layer)).add(layer)


class _Pass:
    """The recorder of one pass, and what has to be undone after it."""

    def __init__(self, module: nn.Module, names: Names, gradients: MaskWatch) -> None:
        self.is_training = module.training
        self.depth = 1
        # What is being handled already is no failure of this pass.
        self.handled = sys.exc_info()[1]
        self.recorder = Recorder(module, PassCounts(names), gradients=gradients)
        self._open = ExitStack()
        self._open.enter_context(watched_modules(self.recorder))
        self._open.enter_context(self.recorder)

    def close(self) -> None:
        """Take mode and hooks away."""
        self._open.close()


def _is_recomputing() -> bool:
    """Whether a backward pass is under way: then checkpointing repeats what was counted."""
    return torch._C._current_graph_task_id() != -1  # noqa: SLF001
