"""Means with intervals, differences of means, and corrections for many comparisons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, stdtr, stdtrit

from why_zero.records import Floats

LEVEL = 0.95
# Of a difference's variance, what is taken from the typical variance of the other groups, and the
# fewest of these: of three the median stays as it is if one of them is wild.
SHARED, FEWEST_OTHERS = 0.2, 3
# Shares that are equal on paper differ by rounding.
_ROUNDING = 1e-12
# Smaller p values are all alike, and may be divided by.
_LEAST = 1e-300


@dataclass(frozen=True)
class Estimate:
    """A mean and the half width of its interval.

    Attributes:
        mean: NaN where there is no value.
        half_width: of the two-sided interval that holds the expectation in 95 of 100 such
            samples, if the values are normal; NaN with fewer than two values.
        count: how many values there are.
    """

    mean: float
    half_width: float
    count: int

    @property
    def low(self) -> float:
        """The interval's lower end."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """The interval's upper end."""
        return self.mean + self.half_width

    @property
    def for_one_more(self) -> "Estimate":
        """The prediction interval: it holds the next value in 95 of 100 samples, if normal.

        It is mean ± t s √(1 + 1/n) (Hahn and Meeker 1991, chapter 4).
        """
        return Estimate(self.mean, self.half_width * math.sqrt(self.count + 1), self.count)


@dataclass(frozen=True)
class Difference(Estimate):
    """How much one mean is above another.

    Attributes:
        half_width: of an interval that excludes 0 just where `corrected` is below 0.05, and holds
            the expected difference in at least 95 of 100 cases.
        effect_size: Hedges' g, see `differences`; NaN where there is no p value.
        p_value: two-sided, see `differences`; NaN with fewer than two values, or without spread.
        corrected: the p value corrected for all pairs.
    """

    effect_size: float
    p_value: float
    corrected: float

    @property
    def is_told(self) -> bool:
        """Whether the two can be told apart, corrected for all pairs."""
        return self.corrected < 1 - LEVEL


@dataclass(frozen=True)
class Moments:
    """What is known of several means, each of as many values.

    Attributes:
        means: one for each group, shape (groups,).
        variances: of the single values, shape (groups,).
        count: how many values each mean is of.
        by_image: for each image the share of the values that it is right in, where other images
            are to be allowed for as well, shape (groups, images).
    """

    means: Floats
    variances: Floats
    count: int
    by_image: Floats | None = None

    @property
    def most_alike(self) -> int:
        """Of how many pairs the expectations can be equal if those of any pair differ."""
        return math.comb(len(self.means) - 1, 2)


def estimate(values: Sequence[float] | Floats, *, chosen_from: int = 1) -> Estimate:
    """The mean of the values that are numbers, with its 95 % interval.

    The interval is mean ± t s / √n, with s the standard deviation (n - 1 below) and t the 0.975
    quantile of Student's distribution with n - 1 degrees of freedom (Student 1908). Values that
    are all equal give none: shares come in steps, so they can be equal by chance.

    The highest of k means is on average too high, and its own interval holds its expectation too
    seldom. With quantiles of error 0.05 / (k + 1) none of the k lower ends is above its expectation
    but in k parts of 0.05 (Bonferroni; the projection of Andrews, Kitagawa and McCloskey 2024);
    the last part is for the upper end, which choosing the highest moves to the safe side.

    Args:
        values: one per replicate, shape (n,); non-finite values are left out.
        chosen_from: how many means this one is the highest of.
    """
    array = np.asarray(values, dtype=np.float64)
    known = array[np.isfinite(array)]
    count = len(known)
    if not count:
        return Estimate(math.nan, math.nan, 0)
    mean = float(known.mean())
    spread = float(known.std(ddof=1)) if count > 1 else math.nan
    if not spread > _ROUNDING:
        return Estimate(mean, math.nan, count)
    quantile = -float(stdtrit(count - 1, (1 - LEVEL) / (chosen_from + 1)))
    return Estimate(mean, quantile * spread / math.sqrt(count), count)


def share_of_next(count: int) -> float:
    """How often the 95 % interval of the mean of so many normal values holds the next value."""
    quantile = float(stdtrit(count - 1, (1 + LEVEL) / 2))
    return 1 - 2 * float(stdtr(count - 1, -quantile / math.sqrt(count + 1)))


def highest_unseen_rate(count: int) -> float:
    """The highest failure rate that 0 failures in so many tries leave possible, at 95 %.

    The exact form of the rule of three: 1 - 0.05^(1/n) (Hanley and Lippman-Hand 1983).
    """
    return 1 - (1 - LEVEL) ** (1 / count)


def stragglers(table: Floats) -> NDArray[np.bool_]:
    """Which values lie so far below the median of their row that another law must have made them.

    They are 15 typical deviations below: 1.4826 times the median distance from a row's median over
    the whole table (Iglewicz and Hoaglin 1993, whose bound of 3.5 is for outliers of every kind).
    Of tables of normal values fewer than one in 500 has such a value.

    Args:
        table: rows of values without gaps, shape (groups, count).
    """
    gaps = table - np.median(table, axis=1, keepdims=True)
    # The median of an odd number of values has no distance from itself.
    distances = np.sort(np.abs(gaps), axis=1)[:, table.shape[1] % 2 :]
    if not distances.size:
        return np.zeros(table.shape, dtype=np.bool_)
    typical = 1.4826 * float(np.median(distances))
    return gaps < -max(15 * typical, _ROUNDING)


def moments(table: Floats, by_image: Floats | None = None) -> Moments:
    """Mean and variance of each row of a table without gaps.

    Args:
        table: one value per group and replicate, shape (groups, count).
        by_image: as in `Moments`.
    """
    count = table.shape[1]
    variances = table.var(axis=1, ddof=1) if count > 1 else np.zeros(len(table))
    variances = np.where(variances > _ROUNDING**2, variances, 0)
    return Moments(table.mean(axis=1), variances, count, by_image)


def differences(
    found: Moments, pairs: Sequence[tuple[int, int]], *, family: Floats
) -> list[Difference]:
    """How much the first group of each pair is above the second.

    The effect size is the difference over the root of the mean of both variances, times Hedges'
    correction Γ(f/2) / (√(f/2) Γ((f - 1)/2)), which takes out what small samples add
    (Hedges 1981; with Welch's test as Delacre et al. 2021).

    Args:
        found: of all groups, without images.
        pairs: rows of two groups each.
        family: what `p_values_of_all` finds.
    """
    tests = [_test(found, one, np.array([other])) for one, other in pairs]
    variances, freedoms, values = np.array(tests)[..., 0].T if tests else np.empty((3, 0))
    corrected = holm(values, family, most_alike=found.most_alike)
    known = np.isfinite(values)
    # The error that the correction leaves a pair: its p value must be below that to be told apart.
    errors = np.full_like(values, math.nan)
    errors[known] = (1 - LEVEL) * np.maximum(values[known], _LEAST)
    errors[known] /= np.maximum(corrected[known], _LEAST)
    half_widths = -stdtrit(freedoms, errors / 2) * np.sqrt(variances)
    gaps = [round(float(found.means[one] - found.means[other]), 12) for one, other in pairs]
    own = found.variances[np.array(pairs, dtype=np.intp).reshape(-1, 2)].T
    spread = np.where(known, own.sum(0), math.nan)
    f = spread**2 / np.where(known, (own**2).sum(0), math.nan) * (found.count - 1)
    shrunk = np.exp(gammaln(f / 2) - gammaln((f - 1) / 2) - np.log(f / 2) / 2)
    effects = np.where(f > 1, np.array(gaps) / np.sqrt(spread / 2) * shrunk, math.nan)
    columns = (column.tolist() for column in (half_widths, effects, values, corrected))
    return [
        Difference(gap, half_width, found.count, effect, p_value, of_all)
        for gap, half_width, effect, p_value, of_all in zip(gaps, *columns, strict=True)
    ]


def p_values_of_all(found: Moments) -> Floats:
    """Those of every pair of groups that has one, shape (pairs,).

    Row by row, and one number a pair: ten thousand networks make millions of pairs.
    """
    count = len(found.means)
    values, end = np.empty(count * (count - 1) // 2), 0
    for index in range(1, count):
        *_, row = _test(found, index, np.arange(index))
        row = row[np.isfinite(row)]
        values[end : end + len(row)] = row
        end += len(row)
    return values[:end]


def corrected_p_values(found: Moments, pairs: Sequence[tuple[int, int]]) -> Floats:
    """P values of these pairs, corrected for all pairs of groups; NaN without, shape (pairs,)."""
    values = [_test(found, one, np.array([other]))[2][0] for one, other in pairs]
    family = p_values_of_all(found)
    return holm(np.array(values, dtype=np.float64), family, most_alike=found.most_alike)


def _test(found: Moments, one: int, others: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
    """Of one group's difference from others: variances, degrees of freedom, p values.

    Student's t with a variance put together of three: those of both groups, as in Welch's test
    (1947), and with a weight of `SHARED` twice the median variance of the other groups, with
    Satterthwaite's degrees of freedom (1946). Variances may differ between groups, and yet a few
    values say little about their own: what is typical is a better guess than they alone (shrinkage,
    as in Cui et al. 2005). With fewer than three other groups it is Welch's test.

    Values that share a seed count as independent: where they are alike, the difference varies less
    than is said here, and the test errs on the safe side.

    Other images add the variance of the mean difference over images. What seeds and images vary
    together is then counted twice, on the safe side as well, as in Owen's bootstrap of both (2007).
    """
    own = found.variances / found.count
    shared = SHARED if len(own) >= FEWEST_OTHERS + 2 else 0.0
    freedom = found.count - 1
    parts = [(np.broadcast_to((1 - shared) * own[one], others.shape), freedom)]
    parts += [((1 - shared) * own[others], freedom)]
    if shared:
        parts += [(2 * shared * _typical(own, one, others), freedom)]
    is_judged = own[one] + own[others] > 0
    if found.by_image is not None:
        parts += [_image_variances(found.by_image, one, others)]
    variances = np.sum([part for part, _ in parts], axis=0)
    squares = np.sum([part**2 / max(freedom, 1) for part, freedom in parts], axis=0)
    freedoms = np.where(is_judged, variances, 1) ** 2 / np.where(is_judged, squares, 1)
    gaps = found.means[one] - found.means[others]
    errors = np.sqrt(np.where(is_judged, variances, 1))
    values = np.where(is_judged, 2 * stdtr(freedoms, -np.abs(gaps) / errors), math.nan)
    return variances, freedoms, values


def _typical(variances: Floats, one: int, others: NDArray[np.intp]) -> Floats:
    """The median of all variances but those of these two groups."""
    order = np.argsort(variances)
    ranks = np.argsort(order)
    first, second = np.sort([np.full(others.shape, ranks[one]), ranks[others]], axis=0)
    middle = np.array([(len(variances) - 3) // 2, (len(variances) - 2) // 2])[:, None]
    # Among all, a place is one further on for each of the two that comes before it.
    middle = middle + (middle >= first)
    return np.asarray(variances[order[middle + (middle >= second)]].mean(axis=0))


def _image_variances(by_image: Floats, one: int, others: NDArray[np.intp]) -> tuple[Floats, int]:
    """Variances of mean differences over images, and their degrees of freedom."""
    count = by_image.shape[1]
    rows = by_image[others]
    squares = (rows**2).sum(1) + (by_image[one] ** 2).sum() - 2 * rows @ by_image[one]
    gaps = by_image[one].mean() - rows.mean(1)
    return np.maximum(squares - count * gaps**2, 0) / (count - 1) / count, count - 1


def holm(values: Floats, family: Floats, *, most_alike: int | None = None) -> Floats:
    """P values corrected for their number: below 0.05 for all but one of 20 such families.

    Holm's step-down method (1979): the i-th smallest of m is multiplied by m - i + 1, and none is
    smaller than one before it. It needs no independence, and holds for any pairs picked
    after having seen them all. Once one difference is told, not all groups can be equal: the
    others are multiplied by no more than can still be without a difference (Shaffer 1986).

    Args:
        values: of those comparisons that are shown; NaN is no comparison and stays NaN, shape (n,).
        family: of all comparisons that were made, those of `values` among them; finite, shape (m,).
        most_alike: how many can be without a difference if any has one; without it all others.
    """
    ranked = np.sort(family)
    # The same value computed twice may differ by rounding.
    ranks = np.searchsorted(ranked, np.nan_to_num(values) * (1 + _ROUNDING), side="right") - 1
    factors = np.arange(len(ranked), 0, -1)
    if most_alike is not None:
        factors[1:] = np.minimum(factors[1:], most_alike)
    ranked *= factors
    np.maximum.accumulate(ranked, out=ranked)
    corrected = np.full_like(values, math.nan)
    known = np.isfinite(values)
    corrected[known] = np.minimum(ranked[ranks[known]], 1)
    return corrected
