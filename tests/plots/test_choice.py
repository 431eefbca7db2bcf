"""Which of many units a figure draws."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plots.choice import evenly


@given(st.integers(1, 2000), st.integers(2, 100))
def test_units_are_chosen_evenly_from_the_first_to_the_last(count: int, most: int) -> None:
    chosen = evenly(count, most)
    assert chosen.size == min(count, most)
    assert (chosen[0], chosen[-1]) == (0, count - 1)
    gaps = np.diff(chosen)
    assert gaps.size == 0 or (gaps.min() >= 1 and np.ptp(gaps) <= 1)
