"""What is compared of one network: numbers of the epoch whose weights were kept, and its cost."""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.records import LayerRecord, Score
from pipeline.records.result import Result
from why_zero.records import CAUSES


@dataclass(frozen=True)
class Zeros:
    """Why activations of one layer were zero, as shares of its (sample, unit) pairs.

    Attributes:
        active: not zero.
        dropped: by dropout alone.
        inactive: by ReLU alone.
        both: either alone would have done.
        expected: s + p - s p, with s the share that ReLU closed in the same passes and p the
            drop rate.
    """

    active: float
    dropped: float
    inactive: float
    both: float
    expected: float

    @property
    def zero(self) -> float:
        """Of all causes together."""
        return self.dropped + self.inactive + self.both


@dataclass(frozen=True)
class States:
    """Units of one ReLU layer, as shares of its units: at the kept epoch and as born."""

    dead: float
    dormant: float
    born_dead: float


@dataclass(frozen=True)
class Cost:
    """What one network took; NaN where nothing was trained.

    Attributes:
        epoch_seconds: the median epoch's, the stack's time divided by its networks.
        samples_per_second: training samples of this network in the median epoch.
        peak_memory_mb: the most that its process, or its GPU, has held.
        stack_size: how many networks were trained together.
    """

    epoch_seconds: float
    samples_per_second: float
    peak_memory_mb: float
    stack_size: int


def validation(result: Result) -> Score:
    """The score on the validation images, with the kept weights.

    Raises:
        ValueError: nothing validated this network.
    """
    score = result.chosen.validation
    if score is None:
        raise ValueError(f"a compared network must have a validation score, got {result.run_id}")
    return score


def accuracy(result: Result) -> float:
    """The share of validation images predicted right."""
    return validation(result).accuracy


def error(result: Result) -> float:
    """The share of validation images predicted wrong."""
    return 1 - accuracy(result)


def loss(result: Result) -> float:
    """Mean cross-entropy on the validation images, in nats."""
    return validation(result).loss


def layer_names(results: list[Result]) -> list[str]:
    """The layers that any of these networks has, h1 first and the logits last."""
    names = dict.fromkeys(layer.name for result in results for layer in result.chosen.layers)
    return sorted(names, key=lambda name: (name == "logits", len(name), name))


def zeros(result: Result, layer: str) -> Zeros:
    """The causes of zeros in a layer; NaN where it is not there or nothing was watched."""
    found = _layer(result.chosen.layers, layer)
    if found is None or not found.causes.pairs:
        return Zeros(*[math.nan] * 5)
    shares = {cause: found.causes.share(cause) for cause in CAUSES}
    closed, rate = shares["inactive"] + shares["both"], result.recipe.drop_rate_of(layer)
    return Zeros(**shares, expected=closed + rate - closed * rate)


def states(result: Result, layer: str) -> States:
    """The units of a layer; NaN where it is not there or has no ReLU."""
    found = _layer(result.chosen.layers, layer)
    born = _layer(result.history[0].layers, layer)
    if found is None or found.states is None or born is None or born.states is None:
        return States(math.nan, math.nan, math.nan)
    return States(
        dead=float(found.states.dead.mean()),
        dormant=float(found.states.dormant.mean()),
        born_dead=float(born.states.dead.mean()),
    )


def hidden_zeros(result: Result) -> float:
    """The share of all hidden activations that were zero; NaN where none was watched."""
    hidden = [layer.causes for layer in result.chosen.layers if layer.name != "logits"]
    pairs = sum(causes.pairs for causes in hidden)
    active = sum(int(causes.active.sum()) for causes in hidden)
    return 1 - active / pairs if pairs else math.nan


def hidden_dead(result: Result) -> float:
    """The share of all hidden units that are dead; NaN without ReLU."""
    states = [layer.states for layer in result.chosen.layers if layer.states is not None]
    units = sum(len(one.fired) for one in states)
    return sum(int(one.dead.sum()) for one in states) / units if units else math.nan


def zero_gap(result: Result) -> float:
    """How far any layer's zeros lie from s + p - s p; NaN where none was watched."""
    found = [zeros(result, layer.name) for layer in result.chosen.layers]
    gaps = [abs(one.zero - one.expected) for one in found if not math.isnan(one.zero)]
    return max(gaps, default=math.nan)


def cost(result: Result) -> Cost:
    """What training this network took."""
    seconds = [record.epoch_seconds for record in result.history if record.epoch_seconds]
    speeds = [record.samples_per_second for record in result.history if record.samples_per_second]
    memory = [record.peak_memory_mb for record in result.history if record.peak_memory_mb]
    return Cost(
        epoch_seconds=float(np.median(seconds)) if seconds else math.nan,
        samples_per_second=float(np.median(speeds)) if speeds else math.nan,
        peak_memory_mb=max(memory, default=math.nan),
        stack_size=result.stack_size,
    )


def _layer(layers: tuple[LayerRecord, ...], name: str) -> LayerRecord | None:
    return next((layer for layer in layers if layer.name == name), None)
