"""Device against device: networks of one recipe and data, trained on two devices."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.comparison import measures
from pipeline.comparison.groups import Contest, traits
from pipeline.records import EpochRecord
from pipeline.records.result import Result
from why_zero.records import ZERO_CAUSES

Twins = Sequence[tuple[Result, Result]]


@dataclass(frozen=True)
class Gap:
    """How far one kind of number differs between two devices.

    Attributes:
        name: what differs.
        mean: of the absolute differences.
        most: the greatest of them.
        is_share: whether it is a share, not a loss.
    """

    name: str
    mean: float
    most: float
    is_share: bool


@dataclass(frozen=True)
class DevicePair:
    """Two devices, compared by the networks that both have trained.

    Attributes:
        one: the first device.
        other: the second device.
        networks: how many recipes both have trained.
        speed_ratio: samples a second on the other over those on the one, the geometric mean over
            the networks; NaN where nothing was trained.
        stack_sizes: of the networks on the one and on the other, each named once.
        gaps: over all networks and all epochs that both have.
    """

    one: str
    other: str
    networks: int
    speed_ratio: float
    stack_sizes: tuple[tuple[int, ...], tuple[int, ...]]
    gaps: tuple[Gap, ...]


def device_pairs(contest: Contest) -> list[DevicePair]:
    """Every two devices that have trained networks of equal recipes; none where there is one."""
    networks: dict[str, dict[tuple[Any, ...], Result]] = {}
    for result in contest.results:
        same = [value for name, value in traits(result).items() if not name.startswith("device")]
        of_device = networks.setdefault(result.device_name, {})
        of_device[*same, result.recipe.seed] = result
    pairs = []
    for (one, ours), (other, theirs) in itertools.combinations(networks.items(), 2):
        twins = [(ours[key], theirs[key]) for key in ours if key in theirs]
        if twins:
            pairs.append(_compare(one, other, twins))
    return pairs


def _compare(one: str, other: str, twins: Twins) -> DevicePair:
    speeds = [[measures.cost(result).samples_per_second for result in pair] for pair in twins]
    logs = [math.log(theirs / ours) for ours, theirs in speeds]
    sizes = [tuple(sorted({pair[side].stack_size for pair in twins})) for side in (0, 1)]
    epochs = [pair for twin in twins for pair in _common(*twin)]
    born = [pair for pair in epochs if pair[0].epoch == 0]
    return DevicePair(
        one=one,
        other=other,
        networks=len(twins),
        speed_ratio=math.exp(float(np.mean(logs))),
        stack_sizes=(sizes[0], sizes[1]),
        gaps=(
            _gap("validation loss before training", born, _losses, is_share=False),
            _gap("validation loss, all epochs", epochs, _losses, is_share=False),
            _gap("validation accuracy, all epochs", epochs, _accuracies, is_share=True),
            _gap("zero causes by layer, all epochs", epochs, _causes, is_share=True),
        ),
    )


def _common(one: Result, other: Result) -> Iterator[tuple[EpochRecord, EpochRecord]]:
    """The records of the epochs that both have."""
    theirs = {record.epoch: record for record in other.history}
    for record in one.history:
        if record.epoch in theirs:
            yield record, theirs[record.epoch]


def _gap(
    name: str,
    pairs: Sequence[tuple[EpochRecord, EpochRecord]],
    numbers: Callable[[EpochRecord], list[float]],
    *,
    is_share: bool,
) -> Gap:
    gaps = [
        abs(ours - theirs)
        for one, other in pairs
        for ours, theirs in zip(numbers(one), numbers(other), strict=True)
    ]
    known = np.array([gap for gap in gaps if math.isfinite(gap)])
    if not known.size:
        return Gap(name, math.nan, math.nan, is_share)
    return Gap(name, float(known.mean()), float(known.max()), is_share)


def _losses(record: EpochRecord) -> list[float]:
    return [record.validation.loss] if record.validation else [math.nan]


def _accuracies(record: EpochRecord) -> list[float]:
    return [record.validation.accuracy] if record.validation else [math.nan]


def _causes(record: EpochRecord) -> list[float]:
    return [layer.causes.share(cause) for layer in record.layers for cause in ZERO_CAUSES]
