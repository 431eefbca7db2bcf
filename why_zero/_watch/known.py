"""What is known of each tensor of a pass: its units, and why those of its values are 0 that are."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from why_zero._watch.calls import Call
from why_zero._watch.layer_counts import LayerCounts
from why_zero._watch.units import Units


@dataclass(frozen=True)
class Known:
    """What is known of a tensor.

    Where dropout lies behind it, the tensor is kept a second time as it would be without: what is
    0 in the one and not in the other is 0 only because dropout removed it.

    Attributes:
        made_by: the call that zeros are put down to which no rule explains.
        units: whose values these are; None where it is not known.
        layer: the layer whose output this is, each value once, perhaps moved.
        root: the layer whose values these are made of, perhaps pooled or multiplied.
        closed: which of its zeros (of `without`, where there is one) a ReLU has made; True: all.
        without: the values if nothing had been dropped; None where nothing was.
        kept: False where everything that a value is made of was dropped; None with `without`.
        is_weights: whether it is made of parameters alone.
    """

    made_by: str
    units: Units | None = None
    layer: LayerCounts | None = None
    root: LayerCounts | None = None
    closed: Bool[Tensor, "..."] | bool = False
    without: Shaped[Tensor, "..."] | None = None
    kept: Bool[Tensor, "..."] | None = None
    is_weights: bool = False

    @property
    def explains(self) -> bool:
        """Whether it explains any zeros."""
        return self.closed is not False or self.kept is not None

    def new(self, made_by: str, units: Units | None) -> "Known":
        """What is known of values that this call has made of these, and that no rule explains."""
        return Known(made_by, units, is_weights=self.is_weights)

    def undropped(self, values: Tensor) -> Tensor:
        """The values if nothing had been dropped, of the tensor with these values."""
        return values if self.without is None else self.without

    def closed_zeros(self, values: Tensor) -> Bool[Tensor, "..."] | bool:
        """Which zeros of the undropped values a ReLU has made, one by one; False for none."""
        if self.closed is False:
            return False
        is_zero = self.undropped(values) == 0
        return is_zero if self.closed is True else is_zero & self.closed

    def explained_zeros(self, values: Tensor) -> Bool[Tensor, "..."] | bool:
        """Which zeros of the tensor with these values are explained; a bool for all or none."""
        by_relu = True if self.closed is True else self.closed_zeros(values)
        if by_relu is True or self.kept is None or self.without is None:
            return by_relu if isinstance(by_relu, bool) else by_relu & (values == 0)
        return (values == 0) & (~self.kept | (self.without != 0) | by_relu)

    def reshaped(self, result: Tensor) -> "Known":
        """After a change of shape, or of type, in logical order."""
        shape = result.shape
        units = self.units.reshaped(shape) if self.units else None
        known = self._moved(math.prod(shape), units, lambda shadow: shadow.reshape(shape))
        if known.without is None:
            return known
        return replace(known, without=known.without.to(result.dtype))  # it may underflow too

    def moved(self, call: Call, shape: torch.Size) -> "Known":
        """After a call that puts values in other places, or some of them."""
        units = self.units.moved(call.on_host) if self.units else None
        return self._moved(math.prod(shape), units, call.again)

    def part(self, call: Call, index: int) -> "Known":
        """What is known of one of several parts that the call gives."""
        units = self.units.moved(lambda ids: call.on_host(ids)[index]) if self.units else None
        return self._moved(-1, units, lambda shadow: call.again(shadow)[index])

    def _moved(self, size: int, units: Units | None, move: Callable[[Tensor], Any]) -> "Known":
        is_whole = self.layer is not None and size == self.layer.size.numel()
        return replace(
            self,
            layer=self.layer if is_whole else None,
            units=units,
            closed=move(self.closed) if isinstance(self.closed, Tensor) else self.closed,
            without=None if self.without is None else move(self.without),
            kept=None if self.kept is None else move(self.kept),
        )


class Ledger:
    """What is known of the tensors of one pass; gone with it."""

    def __init__(self) -> None:
        self._known = WeakTensorKeyDictionary()
        self._looked_at = WeakTensorKeyDictionary()

    def set(self, tensor: Tensor, known: Known) -> None:
        """Say what is known of the tensor as it is now."""
        self._known[tensor] = (_version(tensor), known)

    def get(self, tensor: Tensor) -> Known:
        """What is known of the tensor; nothing where it has been changed since."""
        if isinstance(tensor, nn.Parameter):
            return Known("a parameter", is_weights=True)
        version, known = self._known.get(tensor, (None, None))
        if known is None:
            return Known("outside of what is watched")
        if version != _version(tensor):
            return Known("a change in place", units=known.units)
        return known

    def is_first_look(self, tensor: Tensor) -> bool:
        """Whether this has not been asked of the tensor as it is now."""
        version = _version(tensor)
        was, self._looked_at[tensor] = self._looked_at.get(tensor), version
        return was != version


def _version(tensor: Tensor) -> int:
    # Tensors of inference mode count no changes.
    return 0 if tensor.is_inference() else tensor._version  # noqa: SLF001
