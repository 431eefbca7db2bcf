"""The frozen records that travel between rooms: numbers and numpy arrays.

They must not know torch, MLflow or matplotlib: whoever draws or logs needs only this file.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Activation = Literal["relu", "none"]
Optimizer = Literal["adam", "sgd"]
Select = Literal["last", "best"]
Precision = Literal["float32", "bfloat16"]
Ending = Literal["finished", "patience", "diverged"]
Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Weights = Mapping[str, NDArray[np.float32]]

# A unit whose mean |h| is at most this share of its layer's mean is dormant:
# Sokar et al. 2023, "The Dormant Neuron Phenomenon in Deep Reinforcement Learning", section 3.
DORMANT_TAU = 0.025


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything a network's numbers depend on, data and device aside.

    Attributes:
        activation: "relu", or "none" for a linear network.
        drop_rate: probability in [0, 1) of dropping a unit in a training pass.
        output_dropout: whether the logits are dropped too, as in the post.
        widths: units of each hidden layer.
        optimizer: "adam" or "sgd".
        learning_rate: step size.
        momentum: of SGD, in [0, 1).
        weight_decay: L2 penalty, >= 0.
        batch_size: samples an update.
        epochs: passes over the training set; 0 is a census of the network as born.
        seed: of initial weights, batch order and masks.
        precision: of the matrix products in training; weights and evaluation are float32.
        holdout: training images set aside for validation; 0 validates on the test set.
        patience: epochs without a better validation loss before stopping; 0 never stops.
        select: keep the weights of the last epoch, or of the best validation loss.
        probe_every: every how many updates the training pass is watched.
    """

    activation: Activation = "relu"
    drop_rate: float = 0.5
    output_dropout: bool = True
    widths: tuple[int, ...] = (256, 256, 128, 128)
    optimizer: Optimizer = "adam"
    learning_rate: float = 0.001
    momentum: float = 0.0
    weight_decay: float = 0.0
    batch_size: int = 200
    epochs: int = 10
    seed: int = 0
    precision: Precision = "float32"
    holdout: int = 5000
    patience: int = 0
    select: Select = "last"
    probe_every: int = 20

    @property
    def arm(self) -> str:
        """The name of activation and dropout together: relu, relu+dropout, dropout, linear."""
        parts = ["relu"] * (self.activation == "relu") + ["dropout"] * (self.drop_rate > 0)
        return "+".join(parts) or "linear"

    @property
    def name(self) -> str:
        """What a person calls this network in a list of runs: `relu+dropout p=0.5 seed 0`."""
        rate = f" p={self.drop_rate:g}" if self.drop_rate > 0 else ""
        return f"{self.arm}{rate} seed {self.seed}"

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers' names in metrics: h1 … hL, then logits."""
        return (*(f"h{i}" for i in range(1, len(self.widths) + 1)), "logits")

    @property
    def parameters(self) -> dict[str, str]:
        """Every setting as canonical text, so that 0.5 and 0.50 are one value in MLflow."""
        return {field.name: canonical(getattr(self, field.name)) for field in fields(self)}


def canonical(value: object) -> str:
    """One text for each value: shortest float, `true`/`false`, comma-separated sequences."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, tuple):
        return ",".join(canonical(item) for item in value)
    return str(value)


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

    def share(self, cause: Literal["active", "dropped", "inactive", "both"]) -> float:
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
        """z <= 0 for every sample of D."""
        return self.fired == 0

    @property
    def always_on(self) -> NDArray[np.bool_]:
        """z > 0 for every sample of D: a ReLU that has become a linear unit."""
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
    """

    name: str
    causes: ZeroCauses
    states: UnitStates | None = None
    gradient_norm: float | None = None
    gradient_norms: Floats | None = None
    update_ratio: float | None = None
    update_norms: Floats | None = None


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What one network was and did in one epoch.

    Attributes:
        member: the network's place in its stack.
        epoch: 0 is the network before training.
        layers: from h1 to logits.
        train: mean over the epoch's training batches, dropout on; None at epoch 0.
        train_eval: the images trained on, in evaluation mode.
        validation: the held-out images, or the test set where nothing is held out.
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
    validation: Score
    epoch_seconds: float | None = None
    samples_per_second: float | None = None
    peak_memory_mb: float | None = None
    ending: Ending | None = None
    weights: Weights | None = None


History = Sequence[EpochRecord]


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
        named[f"zero/{layer.name}"] = layer.causes.zero_share
        named[f"zero_dropped/{layer.name}"] = layer.causes.share("dropped")
        named[f"zero_inactive/{layer.name}"] = layer.causes.share("inactive")
        named[f"zero_both/{layer.name}"] = layer.causes.share("both")
        named[f"gradient_norm/{layer.name}"] = layer.gradient_norm
        named[f"update_ratio/{layer.name}"] = layer.update_ratio
        states, birth = layer.states, born.layers[i].states
        if states is None or birth is None:
            continue
        for state in ("dead", "always_on", "dormant", "starved"):
            named[f"{state}/{layer.name}"] = float(getattr(states, state).mean())
        named[f"born_dead/{layer.name}"] = float(birth.dead.mean())
        earlier = before.layers[i].states if before else None
        if earlier is not None:
            named[f"revived/{layer.name}"] = float((earlier.dead & ~states.dead).mean())
    named["speed/epoch_seconds"] = record.epoch_seconds
    named["speed/samples_per_second"] = record.samples_per_second
    named["speed/peak_memory_mb"] = record.peak_memory_mb
    return {name: value for name, value in named.items() if value is not None}
