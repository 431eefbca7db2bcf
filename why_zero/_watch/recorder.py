"""One pass of anybody's module, watched while it happens: a function mode that changes nothing.

A dropout's mask is read by letting the same call run on ones first, from the generator's state as
it is, and putting that state back. So the mask is known also where h = 0, and the pass and the
generator go on as if nobody had looked.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.overrides import TorchFunctionMode

from why_zero._watch.backward import MaskWatch
from why_zero._watch.calls import (
    ActivationCall,
    Arguments,
    DropoutCall,
    activation_of,
    blind_spot,
    dropout_of,
)
from why_zero._watch.generators import restore_state, state_of
from why_zero._watch.isolation import refuse_compiling, uncompiled, unseen
from why_zero._watch.layer_counts import LayerCounts
from why_zero._watch.lineage import Place
from why_zero._watch.pass_counts import PassCounts
from why_zero.errors import WhyZeroError

_NO_MEMORY = "the tensor has no units or no memory of its own (torch.func, nested): not counted"


@dataclass(frozen=True)
class Hidden:
    """A ReLU's output in a census, with what later calls could overwrite."""

    layer: LayerCounts
    h: Tensor  # as the graph knows it
    is_open: Tensor
    magnitude: Tensor  # the sum of |h| by unit
    module: nn.Module | None  # whose rows made z, where z is just what it gave


class Recorder(TorchFunctionMode):
    """Watches the calls of one pass and counts what it finds.

    Attributes:
        notes: why a call cannot be explained, by name of the call.
        hidden: in a census, the output of each ReLU.
    """

    def __init__(
        self,
        root: nn.Module,
        pass_counts: PassCounts,
        *,
        gradients: MaskWatch | None = None,
        is_census: bool = False,
    ) -> None:
        """Be ready for one pass of the root.

        A census keeps ReLU outputs for the caller, and refuses to see anything dropped.
        """
        super().__init__()
        self.notes: dict[str, str] = {}
        self.hidden: list[Hidden] = []
        self.pass_counts = pass_counts
        self._gradients = gradients
        self._is_census = is_census
        self._paths = {module: path for path, module in root.named_modules()}
        self._calling = [root]
        # Each frame that torch.compile gives up on is left to run, and those below it are tried.
        self._look = uncompiled(self._look_at)
        self._see = uncompiled(self._see_result)

    def enter_module(self, module: nn.Module, _: object) -> None:
        """Take note that this module's forward begins: a hook."""
        if module in self._paths:
            self._calling.append(module)

    def leave_module(self, module: nn.Module, _: object, __: object) -> None:
        """Take note that this module's forward has ended: a hook."""
        if module in self._paths and len(self._calling) > 1:
            self._calling.pop()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Let the call happen, and see what it does."""
        refuse_compiling()
        kwargs = kwargs or {}
        finish = self._look(func, args, kwargs)
        result = func(*args, **kwargs)
        self._see(finish, result)
        return result

    def _look_at(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Callable[[Any], None]:
        """Look at a call that is about to happen; what is returned takes its result."""
        with unseen():
            return self._before(func, args, kwargs)

    def _see_result(self, finish: Callable[[Any], None], result: Any) -> None:  # noqa: ANN401
        with unseen():
            finish(result)

    def _before(
        self, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Callable[[Any], None]:
        name = getattr(func, "__name__", "")
        arguments = Arguments(args, kwargs)
        if not self.pass_counts.is_finite:
            return lambda _: None
        dropout, activation = dropout_of(name, arguments), activation_of(name, arguments)
        if dropout is not None and _is_plain(dropout.x):
            return self._dropout(dropout, lambda ones: _call(func, ones, args, kwargs))
        if activation is not None and _is_plain(activation.z):
            return self._activation(activation)
        if dropout is not None or activation is not None:
            self.notes[self._call_name(name)] = _NO_MEMORY
        return lambda result: self._follow(name, arguments, result)

    def _activation(self, activation: ActivationCall) -> Callable[[Tensor], None]:
        before = self.pass_counts.before(activation.z, is_overwritten=activation.is_inplace)
        call = self._call_name(activation.name)

        def finish(result: Tensor) -> None:
            layer = self.pass_counts.activation(call, activation, before, result=result)
            if self._is_census and layer.has_relu:
                self.hidden.append(_hidden(layer, result, before.maker.module))

        return finish

    def _dropout(
        self, dropout: DropoutCall, again: Callable[[Tensor], Tensor]
    ) -> Callable[[Tensor], None]:
        if not dropout.is_training:
            return lambda _: None
        call, drop_rate = self._call_name(dropout.name), dropout.drop_rate
        if self._is_census and drop_rate > 0:
            raise WhyZeroError(
                f"nothing may be dropped in evaluation mode, got drop rate {drop_rate:g} "
                f"in {call}: give F.dropout its training=self.training"
            )
        before = self.pass_counts.before(dropout.x, is_overwritten=dropout.is_inplace)
        keep = _mask(dropout, again)

        def finish(y: Tensor) -> None:
            layer = self.pass_counts.dropout(call, dropout, before, keep=keep, y=y)
            if self._gradients is not None and drop_rate > 0:
                name = self.pass_counts.name(layer)
                self._gradients.watch(name, y, keep=keep, drop_rate=drop_rate)

        return finish

    def _follow(self, name: str, arguments: Arguments, result: object) -> None:
        """Carry over other calls what is known of their arguments."""
        if (why := blind_spot(name, arguments)) is not None:
            self.notes[self._call_name(name)] = why
        module, source = self._calling[-1], arguments.tensor
        if source is not None and _is_plain(source):
            self.pass_counts.lineage.forget(name, source)
        if not isinstance(result, Tensor) or not _is_plain(result):
            return
        if source is not None and _is_plain(source):
            path = self._paths[module]
            self.pass_counts.lineage.follow(name, source, result, module=module, module_name=path)
        elif name in {"cat", "concat", "concatenate"}:
            tensors = arguments.get(0, "tensors")
            if all(isinstance(t, Tensor) and _is_plain(t) for t in tensors):
                self.pass_counts.lineage.join(tensors, result)

    def _call_name(self, function: str) -> str:
        """The innermost module that is being called; with the function, where it has parts."""
        module = self._calling[-1]
        path = self._paths[module]
        has_parts = next(module.children(), None) is not None
        return ".".join(filter(None, [path, function if has_parts or not path else ""]))


@contextmanager
def watched_modules(recorder: Recorder) -> Iterator[None]:
    """A block in which the recorder knows whose forward is under way."""
    hooks = [
        torch_module.register_module_forward_pre_hook(recorder.enter_module),
        torch_module.register_module_forward_hook(recorder.leave_module, always_call=True),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _hidden(layer: LayerCounts, h: Tensor, module: nn.Module | None) -> Hidden:
    others = [axis for axis in range(h.dim()) if axis != layer.axis]
    size = h.abs().double()
    return Hidden(layer, h, h > 0, size.sum(others) if others else size, module)


def _is_plain(tensor: Tensor) -> bool:
    """Whether the tensor has units and lies in a storage that can be looked up."""
    # Subclasses (fake, distributed, nested tensors) need not have what their type promises.
    if type(tensor) not in {Tensor, nn.Parameter} or tensor.layout is not torch.strided:
        return False
    try:
        tensor.untyped_storage()
    except NotImplementedError:  # inside torch.func's transforms
        return False
    return tensor.dim() > 0 and not tensor.is_nested and not tensor.is_meta


def _call(
    func: Callable[..., Tensor], ones: Tensor, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Tensor:
    """The same call with another first argument."""
    return func(ones, *args[1:], **kwargs) if args else func(**{**kwargs, "input": ones})


def _mask(dropout: DropoutCall, again: Callable[[Tensor], Tensor]) -> Tensor:
    """What the call is about to keep, by running it on ones; the generator stays as it is."""
    ones = _ones_in_the_place_of(dropout.x)
    device = dropout.x.device
    state = state_of(device)
    try:
        keep: Tensor = again(ones) != 0
    finally:
        restore_state(device, state)
    return keep


def _ones_in_the_place_of(x: Tensor) -> Tensor:
    """Ones with x's type, size, strides and alignment.

    Kernels deal out their random numbers by all of these: other strides, another mask.
    """
    if not x.numel():
        return torch.ones_like(x)
    extent = Place.of(x).end - x.storage_offset()
    lanes = 16 // x.element_size()  # the widest load of a kernel is 16 bytes
    shift = x.data_ptr() // x.element_size() % lanes
    memory = torch.ones(extent + 2 * lanes, dtype=x.dtype, device=x.device)
    start = (shift - memory.data_ptr() // x.element_size()) % lanes
    return memory.as_strided(x.size(), x.stride(), start)
