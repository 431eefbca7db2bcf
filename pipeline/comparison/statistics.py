"""Means with intervals, paired differences, and corrections for many comparisons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, stdtr, stdtrit

from why_zero.records import Floats

LEVEL = 0.95
# Shares that are equal on paper differ by rounding.
_ROUNDING = 1e-12


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


@dataclass(frozen=True)
class Difference(Estimate):
    """How much one group is above another, seed by seed: the mean difference with its interval.

    Attributes:
        effect_size: the mean difference over the standard deviation of the differences, for
            small samples: see `difference`; NaN with fewer than three.
        p_value: two-sided, of the paired t test; NaN with fewer than two, or all alike.
    """

    effect_size: float
    p_value: float


def estimate(values: Sequence[float] | Floats) -> Estimate:
    """The mean of the values that are numbers, with its 95 % interval.

    The interval is mean ± t s / √n, with s the standard deviation (n - 1 below) and t the 0.975
    quantile of Student's distribution with n - 1 degrees of freedom (Student 1908). Values that
    are all equal give none: shares come in steps, so they can be equal by chance.

    Args:
        values: one per replicate, shape (n,); non-finite values are left out.
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
    quantile = float(stdtrit(count - 1, (1 + LEVEL) / 2))
    return Estimate(mean, quantile * spread / math.sqrt(count), count)


def difference(differences: Sequence[float] | Floats) -> Difference:
    """Summarise paired differences: mean with interval, effect size and p value.

    The effect size is Cohen's d_z, mean over standard deviation of the differences, times
    Hedges' correction Γ(f/2) / (√(f/2) Γ((f - 1)/2)) with f = n - 1, which takes out what small
    samples add (Hedges 1981, Lakens 2013).

    Args:
        differences: one for each seed that both groups have, shape (n,).
    """
    array = np.asarray(differences, dtype=np.float64)
    found = estimate(array)
    [p_value] = p_values(array[None]).tolist()
    freedom = found.count - 1
    effect = math.nan
    if freedom > 1 and not math.isnan(found.half_width):
        log = gammaln(freedom / 2) - gammaln((freedom - 1) / 2) - math.log(freedom / 2) / 2
        effect = found.mean / float(array.std(ddof=1)) * math.exp(log)
    return Difference(found.mean, found.half_width, found.count, effect, p_value)


def p_values(differences: Floats) -> Floats:
    """Two-sided p values of paired t tests, shape (pairs,); NaN where there is no spread.

    Args:
        differences: NaN where a pair lacks a seed, shape (pairs, seeds).
    """
    known = np.isfinite(differences)
    counts = known.sum(axis=1)
    divisors = np.maximum(counts, 1)
    means = np.where(known, differences, 0).sum(axis=1) / divisors
    squares = (np.where(known, differences - means[:, None], 0) ** 2).sum(axis=1)
    spreads = np.sqrt(squares / np.maximum(counts - 1, 1))
    is_judged = (counts > 1) & (spreads > _ROUNDING)
    errors = np.where(is_judged, spreads, 1) / np.sqrt(divisors)
    tails = 2 * stdtr(np.maximum(counts - 1, 1), -np.abs(means) / errors)
    return np.where(is_judged, tails, math.nan)


def holm(values: Floats, family: Floats) -> Floats:
    """P values corrected for their number: below 0.05 for all but one of 20 such families.

    Holm's step-down method (1979): the i-th smallest of m is multiplied by m - i + 1, and none is
    smaller than one before it. It needs no independence, and holds for any pairs picked
    after having seen them all.

    Args:
        values: of those comparisons that are shown; NaN is no comparison and stays NaN, shape (n,).
        family: of all comparisons that were made, those of `values` among them; finite, shape (m,).
    """
    ranked = np.sort(family)
    # The same value computed twice may differ by rounding.
    ranks = np.searchsorted(ranked, np.nan_to_num(values) * (1 + _ROUNDING), side="right") - 1
    ranked *= np.arange(len(ranked), 0, -1)
    np.maximum.accumulate(ranked, out=ranked)
    corrected = np.full_like(values, math.nan)
    known = np.isfinite(values)
    corrected[known] = np.minimum(ranked[ranks[known]], 1)
    return corrected
