"""How the groups of a contest stand: the best one, and paired differences of accuracy by seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.comparison import measures
from pipeline.comparison.groups import Contest, Group
from pipeline.comparison.statistics import LEVEL, Difference, difference, holm, p_values
from why_zero.records import Floats


@dataclass(frozen=True, eq=False)
class Pair:
    """Two groups, compared by the seeds that both have.

    Attributes:
        one: the group whose accuracy is counted positive.
        other: the group whose accuracy is taken away.
        difference: of accuracy, as a share.
        corrected: the p value, corrected for all pairs of the contest; NaN where there is none.
    """

    one: Group
    other: Group
    difference: Difference
    corrected: float

    @property
    def is_told(self) -> bool:
        """Whether the two can be told apart, all pairs of the contest reckoned with."""
        return self.corrected < 1 - LEVEL

    @property
    def is_told_alone(self) -> bool:
        """Whether they could be told apart if nobody had looked at other pairs."""
        return self.difference.p_value < 1 - LEVEL


@dataclass(frozen=True, eq=False)
class Standings:
    """The groups of one contest, compared.

    Attributes:
        contest: who takes part.
        chosen: the group with the highest mean validation accuracy; None where nothing was held
            out, since it would be chosen by the test set.
        against: the chosen group, or else the first, against each other group.
        neighbours: each drop rate against the next smaller one of its combination.
        judged: how many pairs of groups have a p value; each was corrected for all of them.
    """

    contest: Contest
    chosen: Group | None
    against: tuple[Pair, ...]
    neighbours: tuple[Pair, ...]
    judged: int


def standings(contest: Contest) -> Standings:
    """Compare every group of the contest with every other."""
    groups = contest.groups
    chosen = max(groups, key=_merit) if contest.holdout else None
    accuracies = _by_seed(groups)
    reference = groups.index(chosen) if chosen else 0
    against = [(reference, index) for index in range(len(groups)) if index != reference]
    neighbours = [
        (index, index - 1)
        for index in range(1, len(groups))
        if contest.has_rates and groups[index].combination == groups[index - 1].combination
    ]
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
    return Standings(
        contest=contest,
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
    loss = float(group.values(measures.loss).mean())
    return float(group.values(measures.accuracy).mean()), -loss


def _by_seed(groups: Sequence[Group]) -> Floats:
    """Accuracies, NaN where a group lacks a seed, shape (groups, seeds)."""
    seeds = sorted({seed for group in groups for seed in group.seeds})
    table = np.full((len(groups), len(seeds)), math.nan)
    for row, group in zip(table, groups, strict=True):
        row[np.searchsorted(seeds, group.seeds)] = group.values(measures.accuracy)
    return table
