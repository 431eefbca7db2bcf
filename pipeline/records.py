"""The frozen records that travel between rooms: numbers and numpy arrays.

They must not know torch, MLflow or matplotlib: whoever draws or logs needs only this file.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.recipe import Recipe

Cause = Literal["active", "dropped", "inactive", "both"]
Ending = Literal["finished", "patience", "diverged"]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Weights = Mapping[str, NDArray[np.float32]]

CAUSES: tuple[Cause, ...] = ("active", "dropped", "inactive", "both")
ZERO_CAUSES: tuple[Cause, ...] = CAUSES[1:]

# A unit whose mean |h| is at most this share of its layer's mean is dormant:
# Sokar et al. 2023, "The Dormant Neuron Phenomenon in Deep Reinforcement Learning", section 3.
DORMANT_TAU = 0.025


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy in nats and the share of right answers in [0, 1]."""

    loss: float
    accuracy: float


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
    """

    samples: int
    fired: Counts
    reached: Counts
    magnitude: Floats

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
class LayerRecord:
    """One layer of one network in one epoch.

    Attributes:
        name: h1 … hL, or logits.
        causes: over the training batches that were watched.
        states: over D at the epoch's end; None for a layer without ReLU.
        gradient_norm: L2 norm of the weight gradient, mean over watched batches; None at epoch 0.
        gradient_norms: the same for each unit's incoming row, shape (units,); None at epoch 0.
        update_ratio: norm of the epoch's weight change over the norm of the weights before it;
            None at epoch 0.
        update_norms: norm of the epoch's change of each unit's incoming row and bias,
            shape (units,); None at epoch 0.
        mask_dead: z <= 0 for every sample of D under every upstream mask that was drawn,
            shape (units,); None where no masks were drawn for it.
    """

    name: str
    causes: ZeroCauses
    states: UnitStates | None = None
    gradient_norm: float | None = None
    gradient_norms: Floats | None = None
    update_ratio: float | None = None
    update_norms: Floats | None = None
    mask_dead: NDArray[np.bool_] | None = None


@dataclass(frozen=True, kw_only=True)
class Turnover:
    """Which units of one ReLU layer died or revived between two epochs; shapes (units,).

    Attributes:
        died: alive at the end of the earlier epoch, dead at the end of the later.
        revived: the other way round.
        moved: its incoming row or bias changed in between. A change that is unknown or not a
            number counts as one.
    """

    died: NDArray[np.bool_]
    revived: NDArray[np.bool_]
    moved: NDArray[np.bool_]

    @property
    def revived_by_weights(self) -> NDArray[np.bool_]:
        """Revived, and its own weights moved; what feeds it may have moved as well."""
        return self.revived & self.moved

    @property
    def revived_by_inputs(self) -> NDArray[np.bool_]:
        """Revived while its own weights stood still: only what feeds it moved."""
        return self.revived & ~self.moved


def turnover(before: LayerRecord, after: LayerRecord) -> Turnover:
    """What happened to the units of a layer between two consecutive records of it.

    Raises:
        ValueError: the layer has no ReLU, so none of its units can die.
    """
    if before.states is None or after.states is None:
        raise ValueError(f"only units of a ReLU layer die or revive, got {after.name}: it has none")
    was, now = before.states.dead, after.states.dead
    norms = after.update_norms
    moved = np.ones_like(now) if norms is None else norms != 0
    return Turnover(died=~was & now, revived=was & ~now, moved=moved)


@dataclass(frozen=True, kw_only=True)
class CauseMap:
    """Why each activation of one layer was what it was, sample by sample, in a few passes.

    Attributes:
        layer: its name.
        causes: indices into `CAUSES`, shape (passes, samples, units); the same samples in every
            pass, each pass with dropout masks of its own.
        dead: which units are dead over D with these weights, shape (units,).
    """

    layer: str
    causes: NDArray[np.uint8]
    dead: NDArray[np.bool_]

    @property
    def is_dropped(self) -> NDArray[np.bool_]:
        """Where the mask is 0, alone or not, shape (passes, samples, units)."""
        return np.isin(self.causes, [CAUSES.index("dropped"), CAUSES.index("both")])

    @property
    def is_closed(self) -> NDArray[np.bool_]:
        """Where z <= 0, alone or not, shape (passes, samples, units)."""
        return np.isin(self.causes, [CAUSES.index("inactive"), CAUSES.index("both")])


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What one network was and did in one epoch.

    Attributes:
        member: the network's place in its stack.
        epoch: 0 is the network before training.
        layers: from h1 to logits.
        train: mean over the epoch's training batches, dropout on; None at epoch 0.
        train_eval: the images trained on, in evaluation mode.
        validation: the held-out images, or the test set where nothing is held out; None in the
            toy, which holds nothing out.
        epoch_seconds: wall time of the epoch's training, the stack's divided by its networks;
            None at epoch 0.
        samples_per_second: training samples of this network over `epoch_seconds`.
        peak_memory_mb: the most memory the process (on a GPU, the device) has held, in MB.
        ending: why this is the network's last record; None while it goes on.
        weights: the plain network's state dict, where these are the weights to keep so far.
    """

    member: int
    epoch: int
    layers: tuple[LayerRecord, ...]
    train: Score | None
    train_eval: Score
    validation: Score | None = None
    epoch_seconds: float | None = None
    samples_per_second: float | None = None
    peak_memory_mb: float | None = None
    ending: Ending | None = None
    weights: Weights | None = None


History = Sequence[EpochRecord]


@dataclass(frozen=True, kw_only=True)
class Result:
    """A trained network, as a report needs it.

    Attributes:
        recipe: what it was made from.
        history: its records, from epoch 0 on.
        chosen: the epoch whose weights were kept.
        test: its score on the test set.
        run_id: MLflow's id of its run.
        page: a link to its run that works inside MLflow's UI.
        device: where it was trained, as the setting names it, such as `cpu`.
        device_name: the same for people, such as `cpu (AMD EPYC)`.
        dataset: the name of the data set.
        dataset_digest: of all its bytes.
        stack_size: how many networks were trained together with it, itself included.
    """

    recipe: Recipe
    history: History
    chosen: EpochRecord
    test: Score
    run_id: str
    page: str
    device: str
    device_name: str
    dataset: str
    dataset_digest: str
    stack_size: int


def metrics(record: EpochRecord, before: EpochRecord | None, born: EpochRecord) -> dict[str, float]:
    """Every metric of one epoch under its MLflow name, measure first and layer last.

    Args:
        record: the epoch.
        before: the epoch before it; None for epoch 0.
        born: epoch 0 of the same network.
    """
    named: dict[str, float | None] = {}
    for kind in ("train", "train_eval", "validation"):
        score: Score | None = getattr(record, kind)
        prefix = "val" if kind == "validation" else kind
        if score is not None:
            named |= {f"{prefix}/loss": score.loss, f"{prefix}/accuracy": score.accuracy}
    for i, layer in enumerate(record.layers):
        if layer.causes.pairs:
            named[f"zero/{layer.name}"] = layer.causes.zero_share
            for cause in ZERO_CAUSES:
                named[f"zero_{cause}/{layer.name}"] = layer.causes.share(cause)
        named[f"gradient_norm/{layer.name}"] = layer.gradient_norm
        named[f"update_ratio/{layer.name}"] = layer.update_ratio
        states, birth = layer.states, born.layers[i].states
        if states is None or birth is None:
            continue
        for state in ("dead", "always_on", "dormant", "starved"):
            named[f"{state}/{layer.name}"] = float(getattr(states, state).mean())
        named[f"born_dead/{layer.name}"] = float(birth.dead.mean())
        if layer.mask_dead is not None:
            named[f"mask_dead/{layer.name}"] = float(layer.mask_dead.mean())
        earlier = before.layers[i].states if before else None
        if earlier is not None:
            named[f"revived/{layer.name}"] = float((earlier.dead & ~states.dead).mean())
    named["speed/epoch_seconds"] = record.epoch_seconds
    named["speed/samples_per_second"] = record.samples_per_second
    named["speed/peak_memory_mb"] = record.peak_memory_mb
    return {name: value for name, value in named.items() if value is not None}
