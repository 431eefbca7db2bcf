"""How often a comparison errs and how often it tells a true difference, by simulation.

Accuracies are drawn from laws whose expectations are known, in units of the standard deviation
between seeds, and judged by what `pipeline.comparison` does: its tests of all pairs and their
correction, the interval of the chosen group, the seeds in common, and the test over seeds and
images.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.conditions import Conditions
from benchmarks.results import Row
from pipeline.comparison.seeds import common_seeds
from pipeline.comparison.statistics import (
    LEVEL,
    Moments,
    estimate,
    holm,
    moments,
    p_values_of_all,
    stragglers,
)
from why_zero.records import Floats

GROUPS, SEEDS = 6, 5
# Of a network that fails, in standard deviations: 98 % against 11 %, with 0.1 points between seeds.
FALL = 870
FAILING = 0.1

Law = Callable[[np.random.Generator, int, int], Floats]


def _equal(source: np.random.Generator, groups: int, seeds: int) -> Floats:
    return source.normal(size=(groups, seeds))


def _unequal(source: np.random.Generator, groups: int, seeds: int) -> Floats:
    return _equal(source, groups, seeds) * np.geomspace(1, 10, groups)[:, None]


def _wild(times: float, share: float = 0.0) -> Law:
    """One group, or this share of them, varies so many times as much as the others."""

    def law(source: np.random.Generator, groups: int, seeds: int) -> Floats:
        is_wild = np.arange(groups) < max(1, share * groups)
        return _equal(source, groups, seeds) * np.where(is_wild, times, 1)[:, None]

    return law


def _skewed(times: float) -> Law:
    """One group has a long tail to the low side, and varies so many times as much as the others."""

    def law(source: np.random.Generator, groups: int, seeds: int) -> Floats:
        table = _equal(source, groups, seeds)
        table[0] = times * (1 - source.exponential(size=seeds))
        return table

    return law


def _all_skewed(source: np.random.Generator, groups: int, seeds: int) -> Floats:
    return 1 - source.exponential(size=(groups, seeds))


def _alike_seeds(source: np.random.Generator, groups: int, seeds: int) -> Floats:
    return (_equal(source, groups, seeds) + source.normal(size=seeds)) / math.sqrt(2)


def _collapsing(source: np.random.Generator, groups: int, seeds: int) -> Floats:
    """Typical networks are equal; of the first group some fail."""
    table = _equal(source, groups, seeds)
    table[0] -= FALL * (source.random(seeds) < FAILING)
    return table


def _collapsing_equal_means(source: np.random.Generator, groups: int, seeds: int) -> Floats:
    """The first group's typical networks are as much better as its failures are worse."""
    table = _collapsing(source, groups, seeds)
    table[0] += FALL * FAILING
    return table


# No difference of expectations, or of typical networks.
NO_DIFFERENCE: dict[str, Law] = {
    "equal variances": _equal,
    "standard deviations from 1 to 10": _unequal,
    "one group varies twice as much": _wild(2),
    "one group varies 5 times as much": _wild(5),
    "half of them vary 3 times as much": _wild(3, 0.5),
    "one group is skewed (exponential)": _skewed(1),
    "one is skewed and varies twice as much": _skewed(2),
    "one is skewed and varies 5 times as much": _skewed(5),
    "all are skewed": _all_skewed,
    "seeds correlate by 0.5": _alike_seeds,
    "in one group 10 % of networks collapse": _collapsing,
}


def told(found: Moments) -> bool:
    """Whether any two groups are told apart."""
    return bool(_told(found).any())


def false_claims(
    law: Law, times: int, *, groups: int = GROUPS, seeds: int = SEEDS, missing: float = 0.0
) -> float:
    """The share of comparisons that tell groups apart.

    Args:
        law: of accuracies that do not differ.
        times: how many comparisons.
        groups: in each.
        seeds: of each group.
        missing: the share of networks that are not there.
    """
    source = np.random.default_rng(0)
    count = 0
    for _ in range(times):
        table = law(source, groups, seeds)
        there = source.random(table.shape) >= missing
        rows, columns = common_seeds([np.flatnonzero(row).tolist() for row in there])
        count += len(columns) > 1 and told(moments(table[rows][:, columns]))
    return count / times


def power(
    times: int,
    *,
    law: Law = _equal,
    gap: float = 3.3,
    groups: int = GROUPS,
    seeds: int = SEEDS,
) -> tuple[float, float]:
    """Comparisons in which one group, the second, is better by this gap.

    Returns:
        The share of the true differences that are told, and the share of comparisons that tell two
        of the other groups apart.
    """
    source = np.random.default_rng(0)
    better = np.array([1 in pair for pair in _pairs(groups)])
    shares, false = [], 0
    for _ in range(times):
        table = law(source, groups, seeds)
        table[1] += gap
        is_told = _told(moments(table))
        shares.append(float(is_told[better].mean()))
        false += bool(is_told[~better].any())
    return float(np.mean(shares)), false / times


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Of the chosen one among equal groups, as shares of all comparisons.

    Attributes:
        corrected: its interval holds its expectation.
        plain: the interval that it would have had alone does.
        another: its prediction interval holds a network of another seed.
        excess: how far its mean is above its expectation on average, in standard deviations.
    """

    corrected: float
    plain: float
    another: float
    excess: float


def coverage(times: int, *, groups: int = GROUPS, seeds: int = SEEDS) -> Coverage:
    """How often the intervals of the chosen group hold what they should; its expectation is 0."""
    source = np.random.default_rng(0)
    found = []
    for _ in range(times):
        table = _equal(source, groups, seeds)
        values = table[table.mean(axis=1).argmax()]
        corrected, plain = estimate(values, chosen_from=groups), estimate(values)
        ahead = plain.for_one_more
        found.append(
            (
                corrected.low <= 0 <= corrected.high,
                plain.low <= 0 <= plain.high,
                ahead.low <= source.normal() <= ahead.high,
                plain.mean,
            )
        )
    return Coverage(**dict(zip(Coverage.__annotations__, np.mean(found, axis=0), strict=True)))


def unseen_failures(times: int, *, groups: int = GROUPS, seeds: int = SEEDS) -> tuple[float, float]:
    """Claims about means where failures make up for better typical networks, and what warns.

    Returns:
        The share of comparisons in which groups of equal means are told apart, which no test can
        help while no failure is seen; and the share of those with a failure that are told apart
        or not warned of.
    """
    source = np.random.default_rng(0)
    claims, seen, errors = 0, 0, 0
    for _ in range(times):
        table = _collapsing_equal_means(source, groups, seeds)
        is_told = told(moments(table))
        claims += is_told
        if (table[0] < 0).any():
            seen += 1
            errors += is_told or not stragglers(table)[0].any()
    return claims / times, errors / max(seen, 1)


def other_images(
    times: int, *, groups: int = 3, seeds: int = SEEDS, images: int = 1000
) -> tuple[float, float]:
    """False claims about other images, without and with chance in their choice allowed for.

    Each group finds other images hard than the others do, yet no more of them on average.
    """
    source = np.random.default_rng(0)
    without, allowed = 0, 0
    for _ in range(times):
        ease = source.normal(8, 6, images) + source.normal(0, 4, (groups, images))
        shares = 1 / (1 + np.exp(-ease))
        is_right = source.random((seeds, groups, images)) < shares
        table = is_right.mean(axis=2).T
        without += told(moments(table))
        allowed += told(moments(table, is_right.mean(axis=0)))
    return without / times, allowed / times


def measure(conditions: Conditions) -> Iterator[Row]:
    """All of them, in percent of comparisons."""
    times = conditions.pick(smoke=50, usual=10_000)
    for seeds in (SEEDS, 3):
        for name, law in NO_DIFFERENCE.items():
            share = false_claims(law, times, seeds=seeds)
            yield _row(f"{seeds} seeds: false claims, {name}", share, times, "aim: at most 5")
    share = false_claims(_unequal, times, missing=0.15)
    yield _row("15 % of networks missing: false claims", share, times, "aim: at most 5")
    for seeds in (3, SEEDS, 10):
        share, false = power(times // 4, seeds=seeds)
        yield _row(f"{seeds} seeds: a gap of 3.3 SD is told", share, times // 4, "")
        yield _row("… false claims beside it", false, times // 4, "aim: at most 5")
    for name in ("one group varies 5 times as much", "half of them vary 3 times as much"):
        share, _ = power(times // 4, law=NO_DIFFERENCE[name])
        yield _row(f"a gap of 3.3 SD is told, {name}", share, times // 4, "")
    for groups in (2, GROUPS, 30):
        found = coverage(times, groups=groups)
        of = f"best of {groups}: "
        yield _row(f"{of}interval holds the expectation", found.corrected, times, "aim: 95")
        yield _row(f"{of}interval, not corrected", found.plain, times, "")
        yield _row(f"{of}prediction holds another seed", found.another, times, "")
        yield Row(name=f"{of}mean is too high by", value=found.excess, unit="SD", note="")
    claims, errors = unseen_failures(times // 4)
    yield _row("equal means, 10 % fail: told apart", claims, times // 4, "no failure was seen")
    yield _row("… false or not warned of, one seen", errors, times // 4, "")
    without, allowed = other_images(times // 10)
    yield _row("claims about other images, by seeds", without, times // 10, "false")
    yield _row("… by seeds and images", allowed, times // 10, "false; aim: at most 5")


def _row(name: str, share: float, times: int, note: str) -> Row:
    half = 196 * math.sqrt(share * (1 - share) / times)
    return Row(name=name, value=100 * share, unit="%", spread=half, note=note)


def _told(found: Moments) -> NDArray[np.bool_]:
    """Which of all pairs are told apart."""
    family = p_values_of_all(found)
    return holm(family, family, most_alike=found.most_alike) < 1 - LEVEL


def _pairs(groups: int) -> list[tuple[int, int]]:
    """In the order of `p_values_of_all`."""
    return [(one, other) for one in range(1, groups) for other in range(one)]
