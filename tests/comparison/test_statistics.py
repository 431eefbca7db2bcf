"""Intervals, effect sizes and p values against arithmetic by hand and against scipy's own."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.comparison.statistics import difference, estimate, holm, p_values

SAMPLES = st.lists(st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=3, max_size=12)


def test_the_interval_is_mean_plus_minus_t_s_over_root_n() -> None:
    # Mean 3, s = √2.5, s / √5 = 0.7071; t(0.975; 4) = 2.7764 in every table.
    found = estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.mean, found.count) == (3, 5)
    assert found.half_width == pytest.approx(2.7764 * 0.70711, abs=1e-4)
    assert (found.low, found.high) == (found.mean - found.half_width, 3 + found.half_width)


def test_one_value_gives_no_interval_and_none_gives_nothing() -> None:
    assert math.isnan(estimate([0.5]).half_width)
    assert estimate([0.5]).mean == 0.5
    nothing = estimate([math.nan, math.nan])
    assert nothing.count == 0
    assert math.isnan(nothing.mean)


def test_what_is_not_known_is_left_out() -> None:
    assert estimate([1.0, math.nan, 3.0]) == estimate([1.0, 3.0])
    assert estimate([1.0, math.nan, 3.0]).count == 2


@given(SAMPLES)
def test_interval_and_p_value_agree_with_scipy(values: list[float]) -> None:
    array = np.array(values)
    if np.ptp(array) < 0.01:
        return
    low, high = stats.t.interval(0.95, len(array) - 1, loc=array.mean(), scale=stats.sem(array))
    found = difference(array)
    assert found.low == pytest.approx(low, abs=1e-9)
    assert found.high == pytest.approx(high, abs=1e-9)
    paired = stats.ttest_rel(array, np.zeros(len(array)))
    assert found.p_value == pytest.approx(paired.pvalue, abs=1e-9)
    # The interval leaves out 0 exactly where the test rejects at 5 %.
    if abs(found.p_value - 0.05) > 1e-6:
        assert (low > 0 or high < 0) == (found.p_value < 0.05)


def test_the_effect_size_is_d_z_with_hedges_correction() -> None:
    # d_z = 3 / √2.5 = 1.8974; the correction for four degrees of freedom is
    # Γ(2) / (√2 Γ(1.5)) = 1 / (1.41421 x 0.886227) = 0.79788.
    assert difference([1.0, 2.0, 3.0, 4.0, 5.0]).effect_size == pytest.approx(
        1.8974 * 0.79788, abs=1e-3
    )


def test_two_seeds_have_an_interval_and_no_effect_size() -> None:
    # With one degree of freedom the correction is 0: nothing can be said of the size.
    found = difference([1.0, 3.0])
    assert math.isnan(found.effect_size)
    # t(0.975; 1) = 12.706, s / √2 = 1.
    assert found.half_width == pytest.approx(12.706, abs=1e-3)


@pytest.mark.parametrize("values", [[0.2, 0.2, 0.2], [0.9 - 0.8, 0.8 - 0.7], [0.3], []])
def test_differences_without_spread_give_neither_interval_nor_p_value(values: list[float]) -> None:
    found = difference(values)
    assert math.isnan(found.half_width)
    assert math.isnan(found.p_value)
    assert found.count == len(values)


def test_p_values_of_many_pairs_use_the_seeds_that_each_has() -> None:
    rows = [[1.0, 2.0, 4.0], [1.0, math.nan, 4.0], [math.nan, math.nan, 4.0]]
    found = p_values(np.array(rows))
    assert found[0] == pytest.approx(stats.ttest_1samp([1, 2, 4], 0).pvalue)
    assert found[1] == pytest.approx(stats.ttest_1samp([1, 4], 0).pvalue)
    assert math.isnan(found[2])


def test_holm_multiplies_the_smallest_by_their_number_and_the_last_by_one() -> None:
    # Sorted 0.01, 0.03, 0.04: times 3, 2, 1 are 0.03, 0.06, 0.04, and none may fall.
    family = np.array([0.04, 0.01, 0.03])
    assert holm(family, family).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.9, 0.8]), np.array([0.8, 0.9])).tolist() == [1, 1]


def test_what_is_shown_is_corrected_for_all_that_was_compared() -> None:
    found = holm(np.array([math.nan, 0.03 * (1 + 1e-15)]), np.array([0.04, 0.01, 0.03]))
    assert math.isnan(found[0])
    assert found[1] == pytest.approx(0.06)


def test_nineteen_of_twenty_intervals_hold_the_expectation() -> None:
    # Seed 0, 4,000 samples of three: a right interval misses these bounds once in 15,000 times.
    draws = np.random.default_rng(0).normal(0.3, 2.0, (4000, 3))
    holds = [one.low <= 0.3 <= one.high for one in map(estimate, draws)]
    assert abs(np.mean(holds) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)


def test_six_equal_groups_are_told_apart_in_less_than_one_of_twenty_sweeps() -> None:
    # Seed 0, 1,000 sweeps of six groups and five seeds: bounds as above. Without the correction
    # about one sweep in three has such a pair.
    source = np.random.default_rng(0)
    ones, others = np.triu_indices(6, 1)
    alarms, uncorrected = 0, 0
    for _ in range(1000):
        accuracies = source.normal(size=(6, 5))
        tails = p_values(accuracies[ones] - accuracies[others])
        uncorrected += bool((tails < 0.05).any())
        alarms += bool((holm(tails, tails) < 0.05).any())
    assert alarms / 1000 < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 1000)
    assert uncorrected > 250
