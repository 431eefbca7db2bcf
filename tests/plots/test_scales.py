"""The logarithmic scale with a place for exact zeros."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plots.scales import MOAT, STRIP, LogScale, power_of_ten, scale_of

POSITIVE = st.floats(min_value=1e-30, max_value=1e6)


@given(st.lists(POSITIVE, min_size=1), st.floats(0, 1))
def test_values_stand_in_order_above_the_strip_of_zeros(values: list[float], spread: float) -> None:
    ordered = np.array([0.0, *sorted(values)])
    places = scale_of(ordered).positions(ordered, np.full(ordered.size, spread))
    assert 0 < places[0] < STRIP
    assert places[1] >= STRIP + MOAT - 1e-9
    assert places[-1] <= 1 + 1e-9
    assert (np.diff(places) >= 0).all()


def test_powers_of_ten_are_equally_far_apart() -> None:
    scale = scale_of(np.array([0.0, 1e-3, 0.02]))
    assert scale == LogScale(low=-3, high=-1)
    lowest, highest = STRIP + MOAT, 1.0
    middle = (lowest + highest) / 2
    places = scale.positions(np.array([1e-3, 1e-2, 1e-1]), np.zeros(3))
    assert places == pytest.approx([lowest, middle, highest])
    ticks = scale.ticks(3)
    assert list(ticks.values()) == [-1, -2, -3]
    assert list(ticks) == pytest.approx([highest, middle, lowest])


@pytest.mark.parametrize("most", [2, 4, 6])
def test_a_scale_of_many_powers_has_few_ticks_the_greatest_among_them(most: int) -> None:
    ticks = LogScale(low=-13, high=2).ticks(most)
    assert 2 <= len(ticks) <= most
    assert max(ticks.values()) == 2
    assert min(ticks.values()) >= -13


def test_what_is_not_finite_has_no_place() -> None:
    values = np.array([math.nan, math.inf, 1.0])
    assert scale_of(values) == LogScale(low=0, high=1)
    places = scale_of(values).positions(values, np.zeros(3))
    assert np.isnan(places).tolist() == [True, True, False]
    assert scale_of(values[:2]) == scale_of(np.zeros(3)) == LogScale(low=-1, high=0)


def test_powers_are_written_with_raised_digits() -> None:
    assert [power_of_ten(power) for power in (-13, 0, 2)] == ["10⁻¹³", "10⁰", "10²"]
