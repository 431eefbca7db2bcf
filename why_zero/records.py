"""What the instrument gives back: frozen records of numbers and numpy arrays."""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Cause = Literal["active", "dropped", "inactive", "both"]
Share = Cause | Literal["unexplained"]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

CAUSES: tuple[Cause, ...] = ("active", "dropped", "inactive", "both")
ZERO_CAUSES: tuple[Cause, ...] = CAUSES[1:]
# All that a pair can be, in the order of the fields of `ZeroCauses`.
SHARES: tuple[Share, ...] = (*CAUSES, "unexplained")

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
        both: dropped, and zero without dropout too (z <= 0), shape (units,).
        unexplained: zero, and neither dropout nor a ReLU made it, shape (units,): the value came in
            as a zero, or a smooth activation gave one.
    """

    active: Counts
    dropped: Counts
    inactive: Counts
    both: Counts
    unexplained: Counts = field(default_factory=lambda: np.zeros((), np.int64))

    def __post_init__(self) -> None:
        """Give the unexplained their shape, where there are none."""
        object.__setattr__(self, "unexplained", np.broadcast_to(self.unexplained, self.both.shape))

    @property
    def pairs(self) -> int:
        """The number of (sample, unit) pairs that were looked at."""
        return int(self.active.sum()) + self.zeros

    @property
    def zeros(self) -> int:
        """The number of pairs that were zero, for whatever cause or none that is known."""
        return int((self.dropped + self.inactive + self.both + self.unexplained).sum())

    def share(self, cause: Share) -> float:
        """The share of all pairs with this cause; NaN where nothing was watched."""
        return int(getattr(self, cause).sum()) / self.pairs if self.pairs else math.nan

    def expected_zero_share(self, drop_rate: float) -> float:
        """The share of zeros to expect of ReLU and dropout together, with s of these passes."""
        return expected_zero_rate(self.share("inactive") + self.share("both"), drop_rate)

    @property
    def zero_share(self) -> float:
        """The share of all pairs that were zero, explained or not."""
        return self.zeros / self.pairs if self.pairs else math.nan


@dataclass(frozen=True, kw_only=True)
class UnitStates:
    """What the units of one layer do over the reference set D, in evaluation mode.

    D is the images trained on. All arrays have the shape (units,). A layer without a ReLU (GELU,
    SiLU) has no z <= 0 to go by: there a unit fires where |h| > `near_zero`.

    Attributes:
        samples: the number of samples in D; with positions, of pairs of a unit.
        fired: for how many of them z > 0.
        reached: for how many of those a gradient could pass every later hidden layer,
            because each of these had an active unit.
        magnitude: mean |h| over D.
        activation: the function, such as `relu`; None where the layer is a dropout alone.
        near_zero: up to which |h| a unit without a ReLU does not fire; 0 with one.
        source: the path of the module whose weights make the units; empty where it is not known.
        unit_ids: which rows (or output channels) of these weights the units are.
    """

    samples: int
    fired: Counts
    reached: Counts
    magnitude: Floats
    activation: str | None = "relu"
    near_zero: float = 0.0
    source: str = ""
    unit_ids: Counts | None = None

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
        return self.dormant_at(DORMANT_TAU)

    def dormant_at(self, tau: float) -> NDArray[np.bool_]:
        """Mean |h| at most `tau` of the layer's mean (Sokar et al. 2023, section 3)."""
        return self.magnitude <= tau * self.magnitude.mean()


def unit_ids_of(states: UnitStates) -> list[int]:
    """The units' rows of the weights that make them; their places where none are recorded."""
    ids = range(len(states.fired)) if states.unit_ids is None else states.unit_ids.tolist()
    return list(ids)


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
            inactive.
        drop_rate: p of the last pass that was watched.
        passes: how many were watched.
        causes: counts by unit.
        unit_axes: the axes of the layer's output that number the units, slowest first; none where
            their number changed from pass to pass: all are counted as one unit then.
        unit_ids: which rows of the source's weights the units are.
        axis_is_guess: whether the axis was guessed from the shape, for want of known weights.
    """

    name: str
    source: str
    activation: str | None
    has_hard_zeros: bool
    drop_rate: float
    passes: int
    causes: ZeroCauses
    unit_axes: tuple[int, ...]
    unit_ids: Counts
    axis_is_guess: bool

    @property
    def silent(self) -> NDArray[np.bool_]:
        """Units that were closed in every watched pass, whatever dropout did; shape (units,).

        A census says whether they are dead.
        """
        causes = self.causes
        is_closed = (causes.active + causes.dropped == 0) & (causes.inactive + causes.both > 0)
        return is_closed & (self.has_hard_zeros and self.activation is not None)


@dataclass(frozen=True, kw_only=True)
class UnexplainedZeros:
    """Zeros that no layer accounts for, where they meet weights or leave the module.

    Attributes:
        made_by: the call that they are put down to, such as `mul in block.drop_path`, or the
            module's input.
        seen_at: the path of the module whose weights they meet, or the output.
        zeros: how many there were, over all watched passes.
        values: of how many values.
        passes: how many passes had any.
    """

    made_by: str
    seen_at: str
    zeros: int
    values: int
    passes: int

    @property
    def share(self) -> float:
        """The share of the values that were zero and unexplained."""
        return self.zeros / self.values if self.values else math.nan
