"""What the instrument gives back: frozen records of numbers and numpy arrays."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Cause = Literal["active", "dropped", "inactive", "both"]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

CAUSES: tuple[Cause, ...] = ("active", "dropped", "inactive", "both")
ZERO_CAUSES: tuple[Cause, ...] = CAUSES[1:]

# A unit whose mean |h| is at most this share of its layer's mean is dormant:
# Sokar et al. 2023, "The Dormant Neuron Phenomenon in Deep Reinforcement Learning", section 3.
DORMANT_TAU = 0.025


def expected_zero_rate(closed_rate: float, drop_rate: float) -> float:
    """The rate s + p - s p of zeros: ReLU closes with s, dropout independently drops with p."""
    return closed_rate + drop_rate - closed_rate * drop_rate


@dataclass(frozen=True)
class ZeroCauses:
    """Why each activation of a layer was zero: counts of (sample, unit) pairs, by unit.

    Attributes:
        active: kept and z > 0, shape (units,).
        dropped: z > 0, zero only because dropout removed it, shape (units,).
        inactive: kept, zero only because ReLU closed, shape (units,).
        both: dropped and z <= 0, shape (units,).
    """

    active: Counts
    dropped: Counts
    inactive: Counts
    both: Counts

    @property
    def pairs(self) -> int:
        """The number of (sample, unit) pairs that were looked at."""
        return int((self.active + self.dropped + self.inactive + self.both).sum())

    def share(self, cause: Cause) -> float:
        """The share of all pairs with this cause; NaN where nothing was watched."""
        return int(getattr(self, cause).sum()) / self.pairs if self.pairs else math.nan

    def expected_zero_share(self, drop_rate: float) -> float:
        """The share of zeros to expect of ReLU and dropout together, with s of these passes."""
        return expected_zero_rate(self.share("inactive") + self.share("both"), drop_rate)

    @property
    def zero_share(self) -> float:
        """The share of all pairs that were zero, for whatever cause."""
        zeros = int((self.dropped + self.inactive + self.both).sum())
        return zeros / self.pairs if self.pairs else math.nan


@dataclass(frozen=True, kw_only=True)
class UnitStates:
    """What the units of one ReLU layer do over the reference set D, in evaluation mode.

    D is the images trained on. All arrays have the shape (units,).

    Attributes:
        samples: the number of samples in D.
        fired: for how many of them z > 0.
        reached: for how many of those a gradient could pass every later hidden layer,
            because each of these had an active unit.
        magnitude: mean |h| over D.
        source: the path of the module whose rows made the units; empty where that is unknown.
    """

    samples: int
    fired: Counts
    reached: Counts
    magnitude: Floats
    source: str = ""

    @property
    def firing_rate(self) -> Floats:
        """Share of D for which z > 0."""
        return self.fired / self.samples

    @property
    def dead(self) -> NDArray[np.bool_]:
        """Z <= 0 for every sample of D."""
        return self.fired == 0

    @property
    def always_on(self) -> NDArray[np.bool_]:
        """Z > 0 for every sample of D: a ReLU that has become a linear unit."""
        return self.fired == self.samples

    @property
    def starved(self) -> NDArray[np.bool_]:
        """Active for some sample, and for none of these does a gradient come back."""
        return (self.fired > 0) & (self.reached == 0)

    @property
    def dormant(self) -> NDArray[np.bool_]:
        """Mean |h| at most `DORMANT_TAU` of the layer's mean (Sokar et al. 2023)."""
        return self.magnitude <= DORMANT_TAU * self.magnitude.mean()


@dataclass(frozen=True, kw_only=True)
class WatchedLayer:
    """Why the activations of one layer were zero, over all passes that were watched.

    A layer is a call of an activation function together with the dropout on its output (or before
    it), or a dropout alone. A unit is a channel of a convolution and else a feature; every sample
    and spatial position is a pair of its own.

    Attributes:
        name: of the module that made the call, or of the function; the second layer of one name
            is `name#2`.
        source: the module whose rows made its units; empty where none with weights did.
        activation: the function, such as `relu`; None for a dropout alone.
        has_hard_zeros: whether the activation is 0 exactly where z <= 0. Without, no unit is ever
            inactive: it is active or dropped.
        drop_rate: p of the last pass that was watched.
        passes: how many were watched.
        causes: counts by unit.
        other_zeros: active pairs that were 0 all the same, by unit: no ReLU and no dropout of this
            layer made them (the input was 0, or a smooth activation was rounded to 0). Always 0
            where `has_hard_zeros`.
    """

    name: str
    source: str
    activation: str | None
    has_hard_zeros: bool
    drop_rate: float
    passes: int
    causes: ZeroCauses
    other_zeros: Counts
