"""Intervals, effect sizes and p values against arithmetic by hand and against scipy's own."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.comparison.statistics import (
    Difference,
    corrected_p_values,
    differences,
    estimate,
    highest_unseen_rate,
    holm,
    moments,
    p_values_of_all,
    share_of_next,
    stragglers,
)
from why_zero.records import Floats

TABLES = st.lists(
    st.lists(st.floats(-10, 10).map(lambda x: round(x, 3)), min_size=4, max_size=4),
    min_size=2,
    max_size=5,
).map(np.array)
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


def compared(table: list[list[float]]) -> Difference:
    """The first row against the second."""
    found = moments(np.array(table))
    [difference] = differences(found, [(0, 1)], family=p_values_of_all(found))
    return difference


@given(SAMPLES)
def test_an_interval_agrees_with_scipy(values: list[float]) -> None:
    array = np.array(values)
    if np.ptp(array) < 0.01:
        return
    for groups in (1, 6):
        level = 1 - 0.1 / (groups + 1)
        low, high = stats.t.interval(level, len(array) - 1, array.mean(), stats.sem(array))
        found = estimate(array, chosen_from=groups)
        assert found.low == pytest.approx(low, abs=1e-9)
        assert found.high == pytest.approx(high, abs=1e-9)


@given(TABLES)
def test_up_to_four_groups_have_the_p_values_of_welch_s_test_by_scipy(table: Floats) -> None:
    table = table[:4]
    if (np.ptp(table, axis=1) < 0.01).any():
        return
    pairs = [(one, other) for one in range(1, len(table)) for other in range(one)]
    expected = [stats.ttest_ind(table[i], table[j], equal_var=False).pvalue for i, j in pairs]
    assert p_values_of_all(moments(table)) == pytest.approx(np.array(expected), abs=1e-9)


@pytest.mark.parametrize("groups", [5, 6, 9])
def test_of_five_groups_a_fifth_of_a_variance_is_the_median_of_those_of_the_others(
    groups: int,
) -> None:
    # Two of the variances are equal.
    table = np.random.default_rng(groups).normal(size=(groups, 4))
    table *= np.geomspace(1, 9, groups)[:, None]
    table[1] = table[3] + 1
    expected = []
    for one in range(1, groups):
        for other in range(one):
            rest = np.delete(table, [one, other], axis=0)
            parts = np.array([0.8 * table[one].var(ddof=1), 0.8 * table[other].var(ddof=1), 0])
            parts[2] = 0.4 * np.median(rest.var(axis=1, ddof=1))
            freedom = parts.sum() ** 2 / (parts**2).sum() * 3
            gap = abs(table[one].mean() - table[other].mean())
            expected.append(2 * stats.t.sf(gap / math.sqrt(parts.sum() / 4), freedom))
    assert p_values_of_all(moments(table)) == pytest.approx(np.array(expected))


def test_the_effect_size_is_that_of_two_groups_whatever_others_do() -> None:
    table = np.random.default_rng(0).normal(size=(6, 5)) * np.geomspace(1, 9, 6)[:, None]
    found = moments(table)
    [among_six] = differences(found, [(0, 1)], family=p_values_of_all(found))
    assert among_six.effect_size == pytest.approx(compared(table[:2].tolist()).effect_size)


@given(TABLES)
def test_an_interval_excludes_zero_just_where_two_groups_are_told_apart(table: Floats) -> None:
    found = moments(table)
    pairs = [(one, other) for one in range(len(table)) for other in range(one)]
    for difference in differences(found, pairs, family=p_values_of_all(found)):
        if abs(difference.corrected - 0.05) > 1e-6 and not math.isnan(difference.half_width):
            assert (difference.low > 0 or difference.high < 0) == difference.is_told


def test_the_interval_of_the_only_difference_is_welch_s_by_scipy() -> None:
    table = [[1.0, 2.0, 4.0, 8.0], [2.0, 3.0, 3.0, 3.5]]
    reference = stats.ttest_ind(*table, equal_var=False).confidence_interval(0.95)
    found = compared(table)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high))


def test_the_interval_of_one_of_many_differences_has_its_part_of_the_error() -> None:
    # Of three pairs the smallest p value is multiplied by 3: its interval has the error 0.05 / 3.
    table = [[1.0, 2.0, 3.0, 4.0], [9.0, 8.0, 7.0, 9.5], [4.0, 5.0, 6.0, 7.0]]
    welch = stats.ttest_ind(table[0], table[1], equal_var=False)
    reference = welch.confidence_interval(1 - 0.05 / 3)
    found = compared(table)
    assert found.corrected == pytest.approx(3 * welch.pvalue)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high))


def test_the_effect_size_is_the_gap_in_standard_deviations_with_hedges_correction() -> None:
    # Both have s = √2.5, so d = 3 / 1.5811 = 1.8974 and f = 8; the correction is
    # Γ(4) / (√4 Γ(3.5)) = 6 / (2 x 3.32335) = 0.90270.
    found = compared([[4.0, 5.0, 6.0, 7.0, 8.0], [1.0, 2.0, 3.0, 4.0, 5.0]])
    assert found.effect_size == pytest.approx(1.8974 * 0.90270, abs=1e-3)


@pytest.mark.parametrize("table", [[[0.2, 0.2], [0.1, 0.1]], [[0.3], [0.1]]])
def test_values_without_spread_give_neither_interval_nor_p_value(table: list[list[float]]) -> None:
    found = compared(table)
    assert math.isnan(found.half_width)
    assert math.isnan(found.p_value)
    assert math.isnan(found.effect_size)
    assert not found.is_told
    assert p_values_of_all(moments(np.array(table))).tolist() == []


def test_the_next_of_five_is_predicted_by_mean_plus_minus_t_s_times_root_of_1_and_a_fifth() -> None:
    found = estimate([1.0, 2.0, 3.0, 4.0, 5.0]).for_one_more
    # s = √2.5 = 1.58114, √1.2 = 1.09545.
    assert found.half_width == pytest.approx(2.7764 * 1.58114 * 1.09545, abs=1e-3)


def test_an_interval_of_the_mean_over_five_holds_the_next_in_two_of_three_cases() -> None:
    # Seed 0, 1,000 samples: bounds of four standard errors.
    draws = np.random.default_rng(0).normal(size=(1000, 6))
    found = [estimate(row[:5]) for row in draws]
    share = np.mean([one.low <= row[5] <= one.high for one, row in zip(found, draws, strict=True)])
    assert share_of_next(5) == pytest.approx(0.68, abs=0.01)
    assert abs(share - share_of_next(5)) < 4 * math.sqrt(0.68 * 0.32 / 1000)


def test_five_networks_without_a_failure_leave_room_for_nearly_half_to_fail() -> None:
    # 1 - 0.05^(1/5); with this rate five successes have a probability of 5 %.
    assert (1 - highest_unseen_rate(5)) ** 5 == pytest.approx(0.05)
    assert highest_unseen_rate(5) == pytest.approx(0.4507, abs=1e-4)
    # The rule of three for large numbers.
    assert highest_unseen_rate(1000) == pytest.approx(3 / 1000, rel=0.01)


def test_a_network_far_below_its_group_is_found_and_one_that_is_only_worse_is_not() -> None:
    # Distances from the medians 98 and 97, without the medians' own: 1 1 2 2 and 1 1 2 870. Their
    # median is 1.5, so the bound is 97 - 15 x 1.4826 x 1.5 = 63.64.
    table = np.array([[98.0, 97.0, 99.0, 96.0, 100.0], [97.0, 98.0, 96.0, 99.0, -773.0]])
    assert np.argwhere(stragglers(table)).tolist() == [[1, 4]]
    table[1, 4] = 63
    assert np.argwhere(stragglers(table)).tolist() == [[1, 4]]
    table[1, 4] = 64
    assert not stragglers(table).any()
    assert not stragglers(np.array([[0.9], [0.1]])).any()
    assert not stragglers(np.array([[0.9, 0.9], [0.1, 0.1]])).any()


def test_other_images_add_the_variance_of_the_difference_over_images() -> None:
    # By image: differences 1, 0, 0.5, 0.5: mean 0.5, variance 1/6, over four images 1/24.
    table = np.array([[0.7, 0.8], [0.2, 0.3]])
    by_image = np.array([[1.0, 0.5, 1.0, 0.5], [0.0, 0.5, 0.5, 0.0]])
    parts = (0.005 / 2, 1), (0.005 / 2, 1), (1 / 24, 3)
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / count for part, count in parts)
    expected = 2 * stats.t.sf(0.5 / math.sqrt(variance), freedom)
    found = corrected_p_values(moments(table, by_image), [(0, 1)])
    assert found == pytest.approx(np.array([expected]))


def test_holm_multiplies_the_smallest_by_their_number_and_the_last_by_one() -> None:
    # Sorted 0.01, 0.03, 0.04: times 3, 2, 1 are 0.03, 0.06, 0.04, and none may fall.
    family = np.array([0.04, 0.01, 0.03])
    assert holm(family, family).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.9, 0.8]), np.array([0.8, 0.9])).tolist() == [1, 1]


def test_once_a_difference_is_told_only_pairs_that_can_be_alike_are_counted() -> None:
    # Of three groups one pair can be alike if another is not, so 0.03 and 0.04 are taken as such.
    family = np.array([0.04, 0.01, 0.03])
    assert holm(family, family, most_alike=1).tolist() == pytest.approx([0.04, 0.03, 0.03])
    # Of four, six pairs, at most three: 6, 3, 3, 3, 2, 1; of two there is no other.
    six = np.full(6, 0.01) + np.arange(6) / 1e4
    factors = np.array([6, 3, 3, 3, 2, 1])
    assert holm(six, six, most_alike=3) == pytest.approx(np.maximum.accumulate(six * factors))
    assert holm(six[:1], six[:1], most_alike=0).tolist() == [0.01]
    assert [moments(np.eye(groups)).most_alike for groups in (2, 3, 4, 6)] == [0, 1, 3, 10]


def test_what_is_shown_is_corrected_for_all_that_was_compared() -> None:
    found = holm(np.array([math.nan, 0.03 * (1 + 1e-15)]), np.array([0.04, 0.01, 0.03]))
    assert math.isnan(found[0])
    assert found[1] == pytest.approx(0.06)


def test_nineteen_of_twenty_intervals_hold_the_expectation() -> None:
    # Seed 0, 4,000 samples of three: a right interval misses these bounds once in 15,000 times.
    draws = np.random.default_rng(0).normal(0.3, 2.0, (4000, 3))
    holds = [one.low <= 0.3 <= one.high for one in map(estimate, draws)]
    assert abs(np.mean(holds) - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)
