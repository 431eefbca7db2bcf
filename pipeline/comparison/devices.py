"""Devices compared by networks with the same recipe and data, trained on two devices."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.comparison.compare import Comparison
from pipeline.comparison.groups import traits
from pipeline.comparison.measures import logged
from pipeline.records import EpochRecord, metrics
from pipeline.records.result import Result
from why_zero.records import ZERO_CAUSES

_Epochs = Sequence[tuple[EpochRecord, EpochRecord]]


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
        first: the name of a device.
        second: the name of another.
        networks: how many recipes both have trained.
        speed_ratio: samples a second on the second over those on the first, the geometric mean
            over the networks; NaN where nothing was trained.
        stack_sizes: of the networks on the first and on the second, each named once.
        gaps: over all networks and all epochs that both have.
    """

    first: str
    second: str
    networks: int
    speed_ratio: float
    stack_sizes: tuple[tuple[int, ...], tuple[int, ...]]
    gaps: tuple[Gap, ...]


def device_pairs(comparison: Comparison) -> list[DevicePair]:
    """Every two devices that have trained networks of equal recipes; none where there is one."""
    networks: dict[str, dict[tuple[Any, ...], Result]] = {}
    for result in comparison.results:
        same = [value for name, value in traits(result).items() if not name.startswith("device")]
        of_device = networks.setdefault(result.device_name, {})
        of_device[*same, result.recipe.seed] = result
    pairs = []
    for first, second in itertools.combinations(networks, 2):
        ours, theirs = networks[first], networks[second]
        twins = [(ours[key], theirs[key]) for key in ours if key in theirs]
        if twins:
            pairs.append(_compare(first, second, twins))
    return pairs


def _compare(first: str, second: str, twins: Sequence[tuple[Result, Result]]) -> DevicePair:
    speeds = [[logged(result)["speed/samples_per_second"] for result in pair] for pair in twins]
    logs = [math.log(theirs / ours) for ours, theirs in speeds]
    sizes = [tuple(sorted({pair[side].stack_size for pair in twins})) for side in (0, 1)]
    epochs = [pair for twin in twins for pair in _common_epochs(*twin)]
    born = [pair for pair in epochs if pair[0].epoch == 0]
    causes = tuple(f"zero_{cause}/" for cause in ZERO_CAUSES)
    return DevicePair(
        first=first,
        second=second,
        networks=len(twins),
        speed_ratio=math.exp(float(np.mean(logs))),
        stack_sizes=(sizes[0], sizes[1]),
        gaps=(
            _gap("validation loss before training", born, ("val/loss",), is_share=False),
            _gap("validation loss, all epochs", epochs, ("val/loss",), is_share=False),
            _gap("validation accuracy, all epochs", epochs, ("val/accuracy",), is_share=True),
            _gap("zero causes by layer, all epochs", epochs, causes, is_share=True),
        ),
    )


def _common_epochs(first: Result, second: Result) -> _Epochs:
    others = {record.epoch: record for record in second.history}
    return [(record, others[record.epoch]) for record in first.history if record.epoch in others]


def _gap(name: str, epochs: _Epochs, prefixes: tuple[str, ...], *, is_share: bool) -> Gap:
    gaps = [
        abs(ours[key] - theirs[key])
        for records in epochs
        for ours, theirs in [[metrics(record, None, record) for record in records]]
        for key in ours
        if key.startswith(prefixes) and key in theirs
    ]
    known = np.array([gap for gap in gaps if math.isfinite(gap)])
    if not known.size:
        return Gap(name, math.nan, math.nan, is_share)
    return Gap(name, float(known.mean()), float(known.max()), is_share)
