"""One pass of anybody's module, watched while it happens: a function mode that changes nothing."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from why_zero._passes import tensors_of
from why_zero._watch.backward import MaskWatch
from why_zero._watch.calls import (
    INPUTS_OF_WEIGHTS,
    PRODUCTS_OF_MATRICES,
    SPLITS,
    ActivationCall,
    Call,
    DropoutCall,
    activation_of,
    axis_of_new_units,
    blind_spot,
    dropout_of,
)
from why_zero._watch.isolation import is_being_recorded, is_foreign, is_plain, unseen, without_mode
from why_zero._watch.known import Known
from why_zero._watch.layer_counts import LayerCounts
from why_zero._watch.masks import MaskReader
from why_zero._watch.module_calls import Outputs
from why_zero._watch.pass_counts import PassCounts
from why_zero._watch.rules import Rule, rule_of
from why_zero._watch.units import Units
from why_zero.errors import WhyZeroError

_NO_VALUES = (
    "the tensor has no values that can be read (torch.func, nested, quantized): not counted"
)
_NO_UNITS = "a single value has no units: not counted"
_DROP_CONNECT = "drops weights (DropConnect), not activations: not counted"
# They run a kernel of their own in evaluation mode, unless anybody watches functions.
_FUSED = (nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.MultiheadAttention)

# What takes a call's result, and what has to stand around the call.
Seen = tuple[Callable[[Any], None], MaskReader | None]
# Runs a part of the instrument; its errors become notes about the call of this name.
Guard = Callable[[str, Callable[[], Any]], Any]


@dataclass(frozen=True)
class Hidden:
    """A layer's output in a census, with what later calls could overwrite."""

    layer: LayerCounts
    h: Tensor  # as the graph knows it
    is_open: Tensor
    size: Tensor  # |h|


class Recorder(TorchFunctionMode):
    """Watches the calls of one pass and counts what it finds.

    Attributes:
        notes: why a call cannot be explained, by name of the call.
        hidden: in a census, the output of each layer.
        near_zero: up to which |h| a unit without a ReLU counts as closed there.
        pass_counts: what was counted.
    """

    def __init__(
        self,
        root: nn.Module,
        pass_counts: PassCounts,
        *,
        guard: Guard,
        gradients: MaskWatch | None = None,
        near_zero: float | None = None,
    ) -> None:
        """Be ready for one pass of the root.

        Args:
            root: the module.
            pass_counts: where to count.
            guard: keeps errors of the instrument from the pass.
            gradients: watches the backward pass.
            near_zero: in a census, up to which |h| a unit without a ReLU counts as closed. A census
                keeps outputs for the caller, and refuses to see anything dropped.
        """
        super().__init__()
        self.notes: dict[str, str] = {}
        self.hidden: list[Hidden] = []
        self.pass_counts = pass_counts
        self._guard = guard
        self._gradients = gradients
        self._is_census = near_zero is not None
        self.near_zero = near_zero or 0.0
        self._paths = {module: path for path, module in root.named_modules()}
        self._calling = [root]

    @contextmanager
    def calling(self, module: nn.Module, _: object) -> Iterator[Outputs]:
        """A block in which this module's forward is under way."""
        outputs = Outputs()
        if module not in self._paths:
            yield outputs
            return
        first = len(self.pass_counts.layers)
        self._calling.append(module)
        try:
            if why := self._opaque(module):
                self.notes[self._paths[module]] = why
                with without_mode(self):
                    yield outputs
            else:
                yield outputs
            self._guard(self._paths[module], lambda: self._left(module, outputs.value, first))
        finally:
            self._calling.pop()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Let the call happen, and see what it does."""
        if is_being_recorded():
            return func(*args, **(kwargs or {}))
        call = Call(func, args, kwargs or {})
        seen = None if call.is_question else self._guard(call.name, lambda: self._look_at(call))
        if seen is None:
            return func(*args, **(kwargs or {}))
        finish, reader = seen
        with reader or nullcontext():
            result = func(*args, **(kwargs or {}))
        self._guard(call.name, lambda: self._see(finish, result))
        return result

    def begin(self, inputs: object) -> None:
        """Take note of what the module is given."""
        with unseen():
            for tensor in tensors_of(inputs):
                if is_plain(tensor) and not isinstance(tensor, nn.Parameter):
                    self.pass_counts.ledger.set(tensor, Known("the module's input"))

    def end(self, output: object) -> None:
        """Compare the zeros that leave the module with those that are explained."""
        with unseen():
            for tensor in tensors_of(output):
                if is_plain(tensor) and tensor.is_floating_point():
                    self.pass_counts.reconcile(tensor, seen_at="the output")
        self.pass_counts.drop_penalties()
        self.notes |= self.pass_counts.notes

    def _look_at(self, call: Call) -> Seen | None:
        """Look at a call that is about to happen."""
        with unseen():
            return self._before(call)

    def _see(self, finish: Callable[[Any], None], result: Any) -> None:  # noqa: ANN401
        with unseen():
            finish(result)

    def _before(self, call: Call) -> Seen | None:
        dropout, activation = dropout_of(call), activation_of(call)
        source = call.tensor
        if dropout is not None or activation is not None:
            if not is_plain(source) or source is None or not source.dim():
                why = _NO_UNITS if is_plain(source) else _NO_VALUES
                self.notes[self._call_name(call.name)] = why
                return None
            if self.pass_counts.ledger.get(source).is_weights:
                if dropout is not None and dropout.is_training:
                    self.notes[self._call_name(call.name)] = _DROP_CONNECT
            elif dropout is not None:
                return self._dropout(call, dropout)
            elif activation is not None:
                return self._activation(call, activation)
        if (reason := blind_spot(call)) is not None:
            self.notes[self._call_name(call.name)] = reason
        inputs = self._inputs_of_weights(call)
        for tensor in inputs:
            self.pass_counts.reconcile(tensor, seen_at=self._path)
        made_by = self._made_by(call.name)
        rule = None if inputs else rule_of(call, self.pass_counts.ledger, made_by=made_by)
        return (lambda result: self._follow(call, rule, result, made_by)), None

    def _activation(self, call: Call, activation: ActivationCall) -> Seen:
        name, made_by = self._call_name(activation.name), self._made_by(call.name)
        finish = self.pass_counts.activation(call, activation, name=name, made_by=made_by)

        def see(result: Tensor) -> None:
            layer = finish(result)
            if self._is_census:
                self._hide(layer, result)

        return see, None

    def _dropout(self, call: Call, dropout: DropoutCall) -> Seen:
        name, drop_rate = self._call_name(dropout.name), dropout.drop_rate
        known = self.pass_counts.ledger.get(dropout.x)
        if not dropout.is_training or not drop_rate:
            is_layer = known.layer is None and (self._is_census or dropout.is_training)
            return (lambda y: self._idle_dropout(y, known, name if is_layer else None)), None
        if self._is_census:
            raise WhyZeroError(
                f"nothing may be dropped in evaluation mode, got drop rate {drop_rate:g} "
                f"in {name}: give F.dropout its training=self.training"
            )
        made_by = self._made_by(call.name)
        finish = self.pass_counts.dropout(call, dropout, name=name, made_by=made_by)
        reader = MaskReader(drop_rate)

        def see(y: Tensor) -> None:
            keep = reader.keep(y)
            layer = finish(y, keep)
            if self.pass_counts.is_checked and self._gradients is not None:
                name = self.pass_counts.name(layer)
                self._gradients.watch(name, y, keep=keep, drop_rate=drop_rate)

        return see, reader

    def _idle_dropout(self, y: Tensor, known: Known, name: str | None) -> None:
        """A dropout that drops nothing: a layer of this name, or what its input is."""
        if name is None:
            self.pass_counts.ledger.set(y, known)
            return
        layer = self.pass_counts.idle_dropout(y, known, name)
        if self._is_census:
            self._hide(layer, y)

    def _follow(
        self,
        call: Call,
        rule: Rule | None,
        result: Any,  # noqa: ANN401
        made_by: str,
    ) -> None:
        """Carry over other calls what is known of their arguments.

        Args:
            call: neither an activation nor a dropout.
            rule: gives what is known of its result; None where activations met weights in it.
            result: what it gave.
            made_by: the call in words.
        """
        ledger = self.pass_counts.ledger
        if call.name == "setitem" and rule is not None and call.tensor is not None:
            ledger.set(call.tensor, rule(call.tensor))
            return
        parts = list(result) if isinstance(result, tuple | list) else [result]
        for index, part in enumerate(parts):
            if not is_plain(part) or isinstance(part, nn.Parameter):
                continue
            axis = axis_of_new_units(call, part, has_weights=rule is None)
            if axis is not None:
                ledger.set(part, Known(made_by, Units.along(part, axis, source=self._path)))
            elif call.name in SPLITS and call.tensor is not None:
                ledger.set(part, ledger.get(call.tensor).part(call, index))
            elif rule is None or index:
                ledger.set(part, Known(made_by))
            else:
                self.pass_counts.use(call, part)
                ledger.set(part, rule(part) if part.dim() else Known(made_by))
                if self._is_census and part.dim() == 4 and self._is_attention(call):
                    self._hide(self.pass_counts.heads(part, self._call_name("attention")), part)

    def _is_attention(self, call: Call) -> bool:
        """Whether the call weights values by attention."""
        if call.name == "matmul" and call.tensor is not None:
            return self.pass_counts.ledger.get(call.tensor).made_by.startswith("softmax")
        return call.name == "scaled_dot_product_attention"

    def _inputs_of_weights(self, call: Call) -> list[Tensor]:
        """The activations that meet weights in this call."""
        ledger = self.pass_counts.ledger
        found: list[Any] = [call.get(k) for k in range(INPUTS_OF_WEIGHTS.get(call.name, 0))]
        if call.name in INPUTS_OF_WEIGHTS and found[0] is None:
            found[0] = call.tensor
        if call.name in PRODUCTS_OF_MATRICES:
            tensors = [tensor for tensor in call.tensors if tensor.dim() > 1 and is_plain(tensor)]
            is_weights = [ledger.get(tensor).is_weights for tensor in tensors]
            if any(is_weights) and not all(is_weights):
                pairs = zip(tensors, is_weights, strict=True)
                found = [tensor for tensor, is_parameter in pairs if not is_parameter]
        return [tensor for tensor in found if is_plain(tensor) and tensor.is_floating_point()]

    def _left(self, module: nn.Module, output: object, first: int) -> None:
        """A module's forward has ended; layers from the `first` on were met in it."""
        has_parts = next(module.children(), None) or next(module.parameters(), None)
        if has_parts is not None or not isinstance(output, Tensor):
            return
        with unseen():
            if is_plain(output):
                layer = self.pass_counts.soft_module(
                    first, output, name=self._path, activation=type(module).__name__
                )
                if layer is not None and self._is_census:
                    self._hide(layer, output)

    def _hide(self, layer: LayerCounts, h: Tensor) -> None:
        """Keep a layer's output for the census."""
        size = h.detach().abs()
        is_open = h.detach() > 0 if layer.has_relu else size > self.near_zero
        self.hidden = [other for other in self.hidden if other.layer is not layer]
        self.hidden.append(Hidden(layer, h, is_open, size))

    def _opaque(self, module: nn.Module) -> str | None:
        """Why nobody may look into this module while it runs; None for most."""
        if is_foreign(module):
            return "compiled or scripted code runs without the calls that are watched: not counted"
        if self._is_census or not isinstance(module, _FUSED) or module.training:
            return None
        if torch.is_grad_enabled() and any(p.requires_grad for p in module.parameters()):
            return None
        return (
            "PyTorch runs a fused kernel here in evaluation mode, and whoever watches its parts "
            "would change what it gives: not seen inside (a census runs without fusion)"
        )

    @property
    def _path(self) -> str:
        """The path of the innermost module that is being called."""
        return self._paths[self._calling[-1]]

    def _made_by(self, function: str) -> str:
        return f"{function} in {self._path}" if self._path else function

    def _call_name(self, function: str) -> str:
        """The innermost module that is being called; with the function, where it has parts."""
        module = self._calling[-1]
        has_parts = next(module.children(), None) is not None
        path = self._path
        return ".".join(filter(None, [path, function if has_parts or not path else ""]))
