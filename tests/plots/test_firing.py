"""The figure of how often each unit fires."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline import plots
from pipeline.plots import firing, style
from pipeline.records import EpochRecord, LayerRecord

TITLE = "relu+dropout p=0.5 seed 0"


def test_firing_rates_show_dead_and_always_on_units_apart(
    two_epochs: list[EpochRecord],
    heads: Callable[[Figure], list[str]],
    finding: Callable[[Figure], str],
) -> None:
    figure = plots.draw_firing_rates(two_epochs[0], TITLE)
    (axes,) = figure.axes
    assert heads(figure) == ["h1: 1 of 3 dead\n1 always on"]
    assert finding(figure) == "Before training, 1 of 3 ReLU units is dead, and 1 always fires"
    always, dead = axes.patches
    # The dead have no height: their place is shaded, in no colour that a bar has, and labelled.
    assert to_hex(dead.get_facecolor()) == style.DEAD_BAND["facecolor"].lower()
    assert dead.get_hatch() == style.DEAD_BAND["hatch"]
    assert (dead.get_x(), dead.get_width()) == (0, pytest.approx(1 / 3))
    [label] = axes.texts
    assert label.get_text() == "1 dead"
    assert label.get_position()[0] > 1 / 3
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


def test_what_there_is_not_is_not_in_the_key(
    layer: Callable[..., LayerRecord], epoch: Callable[..., EpochRecord]
) -> None:
    def entries(*fired: int) -> list[str]:
        record = epoch(1, layer("h1", (1, 0, 0, 0), fired))
        [key] = plots.draw_firing_rates(record, TITLE).legends
        return [text.get_text() for text in key.get_texts()]

    assert entries(5, 6) == ["fires for some"]
    assert entries(0, 0) == ["dead: never fires"]
    assert entries(0, 5, 10) == ["fires for some", "dead: never fires", "always on"]


def test_a_frame_of_the_film_is_square_and_shows_each_unit_as_high_as_it_fires(
    layer: Callable[..., LayerRecord], epoch: Callable[..., EpochRecord]
) -> None:
    # Of ten samples: a dead unit, one that fires for half of them, one that always does.
    first = epoch(0, layer("h1", (1, 0, 0, 0), (5, 0, 10)), layer("h2", (1, 0, 0, 0), (0, 0, 0)))
    [frame] = plots.film_firing_rates([first])
    assert frame.shape == (firing.SIDE, firing.SIDE, 3)
    band = (firing.SIDE - 3 * firing.GAP) // 2
    third = (firing.SIDE - 2 * firing.GAP) // 3
    some, always = (
        tuple(round(255 * x) for x in to_rgb(c)) for c in (style.FIRING, style.ALWAYS_ON)
    )

    def share(colour: tuple[int, ...], unit: int) -> float:
        top, left = firing.GAP, firing.GAP + unit * third
        cells = frame[top : top + band, left + 2 : left + third - 2]
        return float((cells == colour).all(axis=-1).mean())

    assert share(some, 0) == share(always, 0) == 0
    assert share(some, 1) == pytest.approx(0.5, abs=0.01)
    assert share(always, 2) == pytest.approx(1, abs=0.01)
    # Red stripes where all are dead, layer below layer.
    below = frame[2 * firing.GAP + band + 2 : -firing.GAP - 2, firing.GAP : -firing.GAP]
    red = (below == tuple(round(255 * x) for x in to_rgb(style.DEAD))).all(axis=-1)
    assert 0.1 < red.mean() < 0.4
    assert red.any(axis=0).all()


def test_the_film_has_a_frame_an_epoch_and_none_without_relu(
    random_history: Callable[..., list[EpochRecord]],
) -> None:
    film = plots.film_firing_rates(random_history((12, 4), 3))
    assert len(film) == 4
    assert (film[0] != film[1]).any()
    assert plots.film_firing_rates(random_history((4,) * 60, 1))[0].shape == film[0].shape
    assert plots.film_firing_rates(random_history((8,), 2, relu=False)) == []
