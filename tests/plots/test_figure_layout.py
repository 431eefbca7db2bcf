"""Every figure of a history, on histories that are hard to draw."""

from collections.abc import Callable

from matplotlib.figure import Figure

from pipeline import plots
from pipeline.records import EpochRecord

TITLE = "relu+dropout p=0.5 seed 0"


def test_every_history_is_drawn_within_its_sheet(
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
