"""What every unit of a module does over a reference set, in evaluation mode."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from why_zero._passes import Run, evaluating, tensors_of
from why_zero._watch.generators import preserved
from why_zero._watch.isolation import is_foreign
from why_zero._watch.layer_counts import Key, Names
from why_zero._watch.module_calls import listening
from why_zero._watch.pass_counts import PassCounts
from why_zero._watch.recorder import Hidden, Recorder
from why_zero.errors import WhyZeroError, in_one_line
from why_zero.identities import check_dead
from why_zero.records import UnitStates


def census(
    module: nn.Module,
    batches: Iterable[Any],
    *,
    run: Run | None = None,
    near_zero: float = 1e-3,
    unit_axis: int | Mapping[str, int] | None = None,
) -> dict[str, UnitStates]:
    """The states of every layer's units over a reference set, by name, in order of call.

    The passes are made in evaluation mode; they leave training flags, gradients and generators as
    they were. `samples` of the result are the pairs of a unit: of a convolution, samples times
    positions. `reached` is asked of the network itself: the gradient of a fixed mixture of all its
    outputs is exactly 0 where no later layer lets anything through. In a chain of layers that is
    the definition of starved; with skip connections it is what the definition means.

    Args:
        module: the network.
        batches: the reference set: tensors, or tuples that begin with one, moved to the
            module's device; a tensor by itself is one batch.
        run: how the module is called on a batch, where `module(inputs)` is not it; it gives
            what the network puts out (tensors, in tuples, lists or dictionaries).
        near_zero: a unit without a ReLU (GELU, SiLU, a dropout alone) fires where |h| is larger.
        unit_axis: the axis that numbers the units, as for `ZeroProbe`.

    Raises:
        WhyZeroError: no batch, no sample, no activation or no output that can be differentiated,
            a part that is compiled or scripted, something was dropped although this is evaluation
            mode, a layer with more units in one batch than in another, or values that are not
            finite.
        BrokenIdentity: a unit counted as dead gets a gradient.
    """
    return named_census(
        module, batches, names=Names(module), run=run, near_zero=near_zero, unit_axis=unit_axis
    )


def named_census(
    module: nn.Module,
    batches: Iterable[Any],
    *,
    names: Names,
    run: Run | None,
    near_zero: float,
    unit_axis: int | Mapping[str, int] | None,
) -> dict[str, UnitStates]:
    """As `census`, with layers named as they were in earlier passes."""
    for path, part in module.named_modules():
        if is_foreign(part):
            raise WhyZeroError(
                "module must be plain Python, got a compiled or scripted one "
                f"({path or type(part).__name__}): take the census of the module from before "
                "torch.compile or torch.jit"
            )
    sums: dict[Key, _Sum] = {}
    batches = [batches] if isinstance(batches, Tensor) else batches
    devices = {tensor.device for tensor in module.parameters()}
    with preserved(devices), _differentiable(module):
        for batch in batches:
            counts = PassCounts(names, unit_axis=unit_axis)
            recorder = Recorder(module, counts, guard=_unguarded, near_zero=near_zero)
            _count(module, batch, recorder, run=run, sums=sums)
    if not sums:
        raise WhyZeroError(
            "a census must see batches and layers with an activation, got none: give the images "
            "trained on, and a module that calls relu or another activation"
        )
    if not all(total.pairs for total in sums.values()):
        raise WhyZeroError(
            "a census must see samples, got none: with no sample every unit would look dead"
        )
    for key in sums:
        names.add(key)
    if run is None:
        for key, total in sums.items():
            is_dead = (torch.from_numpy(total.fired) == 0) & total.has_relu
            check_dead(names.of(key), is_dead[None], total.passed[None].double())
    return {names.of(key): total.states() for key, total in sums.items()}


def _unguarded(_: str, part: Callable[[], Any]) -> Any:  # noqa: ANN401
    return part()


def _count(
    module: nn.Module,
    batch: Any,  # noqa: ANN401
    recorder: Recorder,
    *,
    run: Run | None,
    sums: dict[Key, "_Sum"],
) -> None:
    """Add one batch: forward, and back to every layer."""
    counts = recorder.pass_counts
    with listening(recorder.calling), recorder:
        output = run(module, batch) if run else module(inputs_of(batch, module))
    broken = list(counts.settle())
    if not counts.is_finite:
        raise WhyZeroError(
            "a census must see finite values, got NaN or infinity: count an earlier state"
        )
    for _, error in broken:
        raise error
    outputs = [
        hidden
        for hidden in recorder.hidden
        if any(hidden.layer is layer for layer in counts.layers)
    ]
    ends = [hidden.h for hidden in outputs if hidden.h.requires_grad]
    gradients = _gradients(output, ends) if ends else {}
    for hidden in outputs:
        total = sums.setdefault(hidden.layer.key, _Sum(hidden, near_zero=recorder.near_zero))
        total.add(hidden, gradients.get(id(hidden.h)))


class _Sum:
    """Running sums of one layer."""

    def __init__(self, first: Hidden, *, near_zero: float) -> None:
        self.layer = first.layer
        self.has_relu = first.layer.has_relu
        units = len(self.layer.units.numbers)
        self.pairs = 0
        self.fired = np.zeros(units, np.int64)
        self.reached = np.zeros(units, np.int64)
        self.magnitude = np.zeros(units, np.float64)
        self.passed = torch.zeros(units, dtype=torch.int64)
        self._near_zero = near_zero

    def add(self, hidden: Hidden, gradient: Tensor | None) -> None:
        """Add a batch; a layer in front of which nothing can learn is reached by definition.

        Raises:
            WhyZeroError: the layer has another number of units than before.
        """
        units = hidden.layer.units
        if len(units.numbers) != len(self.fired):
            raise WhyZeroError(
                f"a layer must keep its units from batch to batch, got {len(units.numbers)} after "
                f"{len(self.fired)} in {hidden.layer.key.call}: give batches of one length, or "
                "say which axis numbers the units with unit_axis="
            )
        self.pairs += hidden.h.numel() // max(1, len(self.fired))
        fired = units.sums(hidden.is_open).cpu().numpy()
        self.fired += fired
        self.magnitude += units.sums(hidden.size.double()).cpu().numpy()
        if not hidden.h.requires_grad:
            self.reached += fired
        elif gradient is not None:
            self.reached += units.sums(hidden.is_open & (gradient != 0)).cpu().numpy()
            node: Any = hidden.h.grad_fn
            if self.has_relu and self.layer.activation and node is not None:
                # What the activation lets through, whatever else its input or weights are used for.
                before = node(gradient)
                before = before[0] if isinstance(before, tuple) else before
                self.passed += units.sums(before.reshape(hidden.h.shape) != 0).cpu()

    def states(self) -> UnitStates:
        """The sums as a record."""
        return UnitStates(
            samples=self.pairs,
            fired=self.fired,
            reached=self.reached,
            magnitude=self.magnitude / max(self.pairs, 1),
            activation=self.layer.activation,
            near_zero=0.0 if self.has_relu else self._near_zero,
            source=self.layer.key.source,
            unit_ids=self.layer.units.numbers.numpy(),
        )


@contextmanager
def _differentiable(module: nn.Module) -> Iterator[None]:
    """A block in evaluation mode in which every parameter can be differentiated for."""
    frozen = [p for p in module.parameters() if not p.requires_grad and p.is_floating_point()]
    try:
        for parameter in frozen:
            parameter.requires_grad_(True)
        with evaluating(module), torch.inference_mode(mode=False), torch.enable_grad():
            yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)


def inputs_of(batch: Any, module: nn.Module) -> Tensor:  # noqa: ANN401
    """What a batch gives the module."""
    first = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if not isinstance(first, Tensor):
        raise WhyZeroError(
            "a batch must be a tensor or a tuple that begins with one, got "
            f"{type(first).__name__}: say how to call the module with run=lambda module, batch: …"
        )
    # A tensor of inference mode may not be saved for a backward pass.
    first = first.clone() if first.is_inference() else first
    parameter = next(module.parameters(), None)
    return first if parameter is None else first.to(parameter.device)


def _gradients(output: object, ends: list[Tensor]) -> dict[int, Tensor | None]:
    """The gradient of a fixed mixture of the outputs, by the id of what it is for."""
    total: Tensor | None = None
    for tensor in (each for each in tensors_of(output) if each.requires_grad):
        # Irregular weights, so that no output cancels another; nothing is drawn for them.
        weights = torch.arange(1, tensor.numel() + 1, device=tensor.device).cos()
        part = (tensor.flatten().float() * weights).sum()
        total = part if total is None else total + part
    if total is None:
        raise WhyZeroError(
            "a census must see an output that can be differentiated, to tell which units a "
            "gradient reaches, got none: return the logits with run=lambda module, batch: …"
        )
    try:
        found = torch.autograd.grad(total, ends, allow_unused=True, retain_graph=True)
    except RuntimeError as error:
        raise WhyZeroError(
            "a census must be able to differentiate what the module does in evaluation mode, got "
            f"{in_one_line(error)}"
        ) from error
    return {id(end): gradient for end, gradient in zip(ends, found, strict=True)}
