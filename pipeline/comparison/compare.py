"""Which groups are compared: the best one, and paired differences of accuracy by seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.comparison.groups import Group, grouped
from pipeline.comparison.statistics import LEVEL, Difference, difference, holm, p_values
from pipeline.records.result import Result
from why_zero.records import Floats


@dataclass(frozen=True, eq=False)
class Pair:
    """Two groups, compared by the seeds that both have.

    Attributes:
        first: the group that a positive difference favours.
        second: the group whose accuracy is subtracted.
        difference: of accuracy, as a share.
        corrected: the p value, corrected for all pairs of groups; NaN where there is none.
    """

    first: Group
    second: Group
    difference: Difference
    corrected: float

    @property
    def is_told(self) -> bool:
        """Whether the two can be told apart, corrected for all pairs of groups."""
        return self.corrected < 1 - LEVEL

    @property
    def is_told_alone(self) -> bool:
        """Whether they could be told apart if they were the only pair."""
        return self.difference.p_value < 1 - LEVEL


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """Groups judged on the same images, so that their scores can be compared.

    Attributes:
        dataset: the name of the data set.
        digest: of all its bytes.
        holdout: how many of its training images they are judged on; 0 for the test set.
        groups: at least one; those of one combination stand together, by rising drop rate.
        differing: the names of the settings in which they differ.
        repeated: networks left out, since another has the same recipe, data and device.
        chosen: the group with the highest mean validation accuracy; None where nothing was held
            out, since it would be chosen by the test set.
        against: the chosen group, or else the first, against each other group.
        neighbours: each drop rate against the next smaller one of its combination.
        judged: how many pairs of groups have a p value; each was corrected for all of them.
    """

    dataset: str
    digest: str
    holdout: int
    groups: tuple[Group, ...]
    differing: tuple[str, ...]
    repeated: int
    chosen: Group | None
    against: tuple[Pair, ...]
    neighbours: tuple[Pair, ...]
    judged: int

    @property
    def results(self) -> list[Result]:
        """All networks, group by group."""
        return [result for group in self.groups for result in group.results]

    @property
    def validated_on(self) -> str:
        """What judges the networks, in words."""
        return self.groups[0].first.recipe.validated_on

    @property
    def combinations(self) -> dict[str, list[Group]]:
        """The groups of each combination of whatever differs besides the drop rate."""
        combined: dict[str, list[Group]] = {}
        for group in self.groups:
            combined.setdefault(group.combination, []).append(group)
        return combined

    @property
    def has_rates(self) -> bool:
        """Whether drop rates differ."""
        return "drop_rate" in self.differing


def compare(results: Sequence[Result]) -> list[Comparison]:
    """The networks by the images that judge them, in groups, each of these with every other.

    Args:
        results: of equal recipe, data and device the first is taken: give the newest first.
    """
    by_images: dict[tuple[str, int], list[Result]] = {}
    for result in results:
        images = (result.dataset_digest, result.recipe.holdout)
        by_images.setdefault(images, []).append(result)
    return [_compare(networks) for networks in by_images.values()]


def _compare(results: Sequence[Result]) -> Comparison:
    groups, differing = grouped(results)
    holdout = results[0].recipe.holdout
    chosen = max(groups, key=_merit) if holdout else None
    reference = groups.index(chosen) if chosen else 0
    against = [(reference, index) for index in range(len(groups)) if index != reference]
    neighbours = [
        (index, index - 1)
        for index in range(1, len(groups))
        if "drop_rate" in differing and groups[index].combination == groups[index - 1].combination
    ]
    accuracies = _by_seed(groups)
    differences = [
        difference(gaps[np.isfinite(gaps)])
        for gaps in (accuracies[i] - accuracies[j] for i, j in [*against, *neighbours])
    ]
    family = _all_p_values(accuracies)
    corrected = holm(np.array([found.p_value for found in differences]), family)
    pairs = [
        Pair(groups[i], groups[j], found, value)
        for (i, j), found, value in zip(
            [*against, *neighbours], differences, corrected.tolist(), strict=True
        )
    ]
    return Comparison(
        dataset=results[0].dataset,
        digest=results[0].dataset_digest,
        holdout=holdout,
        groups=groups,
        differing=differing,
        repeated=len(results) - sum(len(group.results) for group in groups),
        chosen=chosen,
        against=tuple(pairs[: len(against)]),
        neighbours=tuple(pairs[len(against) :]),
        judged=len(family),
    )


def _all_p_values(accuracies: Floats) -> Floats:
    """Those of every pair of rows that has one, shape (pairs,).

    Row by row, and one number a pair: ten thousand networks make millions of pairs.
    """
    count = len(accuracies)
    found, end = np.empty(count * (count - 1) // 2), 0
    for index in range(1, count):
        values = p_values(accuracies[index] - accuracies[:index])
        values = values[np.isfinite(values)]
        found[end : end + len(values)] = values
        end += len(values)
    return found[:end]


def _merit(group: Group) -> tuple[float, float]:
    return float(group.values("val/accuracy").mean()), -float(group.values("val/loss").mean())


def _by_seed(groups: Sequence[Group]) -> Floats:
    """Accuracies, NaN where a group lacks a seed, shape (groups, seeds)."""
    seeds = sorted({seed for group in groups for seed in group.seeds})
    table = np.full((len(groups), len(seeds)), math.nan)
    for row, group in zip(table, groups, strict=True):
        row[np.searchsorted(seeds, group.seeds)] = group.values("val/accuracy")
    return table
