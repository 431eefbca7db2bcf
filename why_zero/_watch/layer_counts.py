"""One layer in one pass, as counts by unit."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from why_zero.causes import by_cause


@dataclass(frozen=True)
class Key:
    """Which layer it is, in every pass.

    Attributes:
        call: the module whose forward calls the function, with the function's name behind it where
            the module has parts of its own.
        source: the module whose units these are; empty where no module with weights made them.
        turn: 1 for the first such call of a pass.
    """

    call: str
    source: str
    turn: int


class Names:
    """A name for people for every key: `relu`, then `relu#2` …, in the order of appearance."""

    def __init__(self) -> None:
        self._names: dict[Key, str] = {}

    def of(self, key: Key) -> str:
        """The key's name, given now where it has none."""
        return self._names.setdefault(key, self.expected(key))

    def expected(self, key: Key) -> str:
        """The key's name, or the one that it would be given now."""
        if key in self._names:
            return self._names[key]
        count = sum(other.call == key.call for other in self._names)
        return f"{key.call}#{count + 1}" if count else key.call


@dataclass
class Trials:
    """What dropout did in one pass.

    Attributes:
        drop_rate: p.
        counts: independent trials, shape (4, 1, 1), by cause; a trial is a pair, or a sample's
            channel where whole channels are dropped (open where any of its positions is).
        is_by_pair: whether a trial is a pair.
        zeros_before: pairs that would be 0 without dropout.
        zeros: pairs with y == 0, read from y alone.
    """

    drop_rate: float
    counts: Int[Tensor, "4 1 1"]
    is_by_pair: bool
    zeros_before: int = 0
    zeros: int = 0


@dataclass
class LayerCounts:
    """One layer in one pass.

    Attributes:
        key: which.
        activation: the function's name; None for a dropout without one.
        has_relu: whether its units can be closed.
        axis: which axis numbers the units.
        size: of the tensor whose elements are the pairs.
        counts: active, dropped, inactive and both, shape (4, units).
        other_zeros: kept pairs without a ReLU that are 0 all the same, shape (units,).
        trials: what dropout did; None where it did nothing.
        if_closed: for a dropout before its ReLU: the counts, should that ReLU come.
    """

    key: Key
    activation: str | None
    has_relu: bool
    axis: int
    size: torch.Size
    counts: Int[Tensor, "4 units"]
    other_zeros: Int[Tensor, " units"]
    trials: Trials | None = None
    if_closed: Int[Tensor, "4 units"] | None = None

    @property
    def pairs(self) -> int:
        """(sample, unit) pairs of one unit; a spatial position is a pair of its own."""
        units = self.size[self.axis]
        return self.size.numel() // units if units else 0


def by_unit(flags: Bool[Tensor, "..."], axis: int) -> Int[Tensor, " units"]:
    """How many are True, for every position along the axis."""
    others = [other for other in range(flags.dim()) if other != axis]
    # torch takes an empty list of axes for all axes.
    return flags.sum(others) if others else flags.long()


def causes_by_unit(
    is_open: Bool[Tensor, "*shape"], keep: Bool[Tensor, "*shape"], axis: int
) -> Int[Tensor, "4 units"]:
    """Active, dropped, inactive and both, each counted by itself."""
    return torch.stack([by_unit(flags, axis) for flags in by_cause(is_open, keep)])
