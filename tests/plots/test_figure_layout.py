"""Every figure of a history, on histories that are hard to draw."""

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from pipeline import plots
from pipeline.plots.figure_layout import evenly
from pipeline.records import EpochRecord

TITLE = "relu+dropout p=0.5 seed 0"


def test_every_history_is_drawn_within_its_edges(
    any_history: list[EpochRecord],
    words: Callable[[Figure], str],
    is_cut: Callable[[Figure], bool],
) -> None:
    last = any_history[-1]
    figures = [
        plots.draw_causes(any_history, TITLE),
        plots.draw_firing_rates(last, TITLE),
        plots.draw_gradients(last, TITLE),
        plots.draw_learning_curves(any_history, TITLE),
        plots.draw_lives(any_history, TITLE),
        plots.draw_units(any_history, TITLE),
    ]
    for figure in figures:
        assert not is_cut(figure)
        assert TITLE in words(figure)


@given(st.integers(1, 2000), st.integers(2, 100))
def test_units_are_chosen_evenly_from_the_first_to_the_last(count: int, most: int) -> None:
    chosen = evenly(count, most)
    assert chosen.size == min(count, most)
    assert (chosen[0], chosen[-1]) == (0, count - 1)
    gaps = np.diff(chosen)
    assert gaps.size == 0 or (gaps.min() >= 1 and np.ptp(gaps) <= 1)
