"""The binomial tails, against SciPy's own test and against fractions."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest

from why_zero.identities.chance import FALSE_ALARM, two_sided_p_values


def p_values(successes: object, trials: object, rate: float) -> NDArray[np.float64]:
    return two_sided_p_values(np.asarray(successes), np.asarray(trials), np.asarray(rate))


@settings(deadline=None, max_examples=60)
@given(n=st.integers(0, 40), share=st.floats(0, 1), eighths=st.integers(0, 8))
def test_a_p_value_is_twice_the_smaller_exact_tail(n: int, share: float, eighths: int) -> None:
    k, p = round(share * n), Fraction(eighths, 8)
    weights = [comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(n + 1)]
    tails = sum(weights[: k + 1]), sum(weights[k:])
    expected = float(min(Fraction(1), 2 * min(tails)))
    assert p_values(k, n, eighths / 8) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("n", [10_000, 1_000_000_000])
def test_far_tails_of_many_trials_are_those_of_scipy(n: int) -> None:
    deviations = np.sqrt(n * 0.3 * 0.7) * np.array([-7.5, -5.0, 5.0, 7.5])
    counts = np.rint(n * 0.3 + deviations).astype(int)
    for count, value in zip(counts, p_values(counts, n, 0.3), strict=True):
        side = "less" if count < n * 0.3 else "greater"
        expected = 2 * binomtest(int(count), n, 0.3, alternative=side).pvalue
        assert value == pytest.approx(expected, rel=1e-5)
    assert p_values(counts[[0, 3]], n, 0.3).max() < FALSE_ALARM


def test_the_p_value_is_never_anticonservative() -> None:
    """Summed over all counts, those with p-value at most alpha have probability at most alpha."""
    n, p = 60, 0.2
    values = p_values(np.arange(n + 1), n, p)
    weights = np.array([comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(n + 1)])
    for alpha in (1e-12, 1e-6, 0.01, 0.2, 0.7):
        assert weights[values <= alpha].sum() <= alpha * (1 + 1e-9)


def test_certain_rates_allow_nothing_else() -> None:
    assert p_values([0, 1], [9, 9], 0.0).tolist() == [1.0, 0.0]
    assert p_values([9, 8], [9, 9], 1.0).tolist() == [1.0, 0.0]
    assert p_values(0, 0, 0.5) == 1.0
