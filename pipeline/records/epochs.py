"""What one network was and did, epoch by epoch: frozen records of numbers and numpy arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from why_zero.records import CAUSES, Floats, UnitStates, ZeroCauses

# The name of what comes in, where a layer's name is expected.
INPUT = "input"
Ending = Literal["finished", "patience", "diverged"]
Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy in nats and the share of correct answers in [0, 1]."""

    loss: float
    accuracy: float


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
        recycled: given new weights before the epoch's updates, shape (units,); None where
            recycling was not due.
    """

    name: str
    causes: ZeroCauses
    states: UnitStates | None = None
    gradient_norm: float | None = None
    gradient_norms: Floats | None = None
    update_ratio: float | None = None
    update_norms: Floats | None = None
    mask_dead: NDArray[np.bool_] | None = None
    recycled: NDArray[np.bool_] | None = None


@dataclass(frozen=True, kw_only=True)
class Turnover:
    """Which units of one ReLU layer died or revived between two epochs; shapes (units,).

    Attributes:
        died: alive at the end of the earlier epoch, dead at the end of the later.
        revived: the other way round.
        moved: its incoming row or bias changed in between. A change that is unknown or not a
            number counts as one.
        recycled: it was given new weights in between, which counts as a change.
    """

    died: NDArray[np.bool_]
    revived: NDArray[np.bool_]
    moved: NDArray[np.bool_]
    recycled: NDArray[np.bool_]

    @property
    def revived_by_recycling(self) -> NDArray[np.bool_]:
        """Revived, and it had been given new weights."""
        return self.revived & self.recycled

    @property
    def revived_by_weights(self) -> NDArray[np.bool_]:
        """Revived, and training moved its own weights; what feeds it may have moved as well."""
        return self.revived & self.moved & ~self.recycled

    @property
    def revived_by_inputs(self) -> NDArray[np.bool_]:
        """Revived while its own weights were unchanged: only what feeds it moved."""
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
    recycled = np.zeros_like(now) if after.recycled is None else after.recycled
    return Turnover(died=~was & now, revived=was & ~now, moved=moved | recycled, recycled=recycled)


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
        input_causes: of the inputs in the watched batches, where 0 in the data is `inactive`; None
            where no input is dropped.
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
    input_causes: ZeroCauses | None = None

    @property
    def states(self) -> dict[str, UnitStates]:
        """What the units of each ReLU layer do, by the layer's name."""
        return {layer.name: layer.states for layer in self.layers if layer.states is not None}


# Of one network, epoch 0 first.
History = Sequence[EpochRecord]
