"""The figure of how often each unit fires."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline import plots
from pipeline.plots import style
from pipeline.records import EpochRecord

TITLE = "relu+dropout p=0.5 seed 0"


def test_firing_rates_show_dead_and_always_on_units_apart(
    two_epochs: list[EpochRecord],
    heads: Callable[[Figure], list[str]],
    finding: Callable[[Figure], str],
) -> None:
    figure = plots.draw_firing_rates(two_epochs[0], TITLE)
    (axes,) = figure.axes
    assert heads(figure) == ["h1: 1 of 3 dead\n1 always on"]
    assert finding(figure) == "Before training, 1 of 3 ReLU units are dead and 1 always on"
    dead, always = axes.patches
    assert to_hex(dead.get_facecolor()).upper() == style.DEAD
    assert (dead.get_x(), dead.get_width()) == (0, pytest.approx(1 / 3))
    assert to_hex(always.get_facecolor()).upper() == style.ALWAYS_ON
    assert (always.get_x(), always.get_width()) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    corners = axes.collections[0].get_paths()[0].get_extents().get_points()
    assert corners == pytest.approx(np.array([[1 / 3, 0], [2 / 3, 0.5]]))


def test_firing_rates_of_all_epochs_have_the_same_places_and_scales(
    random_history: Callable[..., list[EpochRecord]], pixels: Callable[[Figure], NDArray[np.uint8]]
) -> None:
    figures = [plots.draw_firing_rates(record, TITLE) for record in random_history((8, 4), 3)]
    assert len({pixels(figure).shape for figure in figures}) == 1
    for one, other in combinations(figures, 2):
        for axes, twin in zip(one.axes, other.axes, strict=True):
            assert axes.get_position().bounds == twin.get_position().bounds
            assert (axes.get_xlim(), axes.get_ylim()) == (twin.get_xlim(), twin.get_ylim())


@pytest.mark.parametrize(
    ("relu", "firing"), [(True, 0.3), (True, 0.02), (True, 0.98), (False, 0.3)]
)
def test_every_picture_is_that_of_its_epoch_drawn_alone(
    random_history: Callable[..., list[EpochRecord]],
    relu: bool,
    firing: float,
    pixels: Callable[[Figure], NDArray[np.uint8]],
) -> None:
    history = random_history((12, 4), 3, relu=relu, firing=firing)
    film = plots.film_firing_rates(history, TITLE)
    assert len(film) == len(history)
    for image, record in zip(film, history, strict=True):
        alone = pixels(plots.draw_firing_rates(record, TITLE))
        np.testing.assert_array_equal(image, alone)


def test_one_picture_is_not_changed_by_the_next(
    two_epochs: list[EpochRecord], pixels: Callable[[Figure], NDArray[np.uint8]]
) -> None:
    first, second = plots.film_firing_rates(two_epochs, TITLE)
    alone = pixels(plots.draw_firing_rates(two_epochs[0], TITLE))
    np.testing.assert_array_equal(first, alone)
    assert (first != second).any()
