"""The figure of the first layer's weights."""

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline import plots
from pipeline.plots.style import DEAD, WEIGHTS
from why_zero.records import UnitStates

TITLE = "relu+dropout p=0.5 seed 0"
# Three units, images of 1 x 2 pixels; the second unit is dead.
THREE = np.array([[1, -1], [0.5, 0], [0, 0.25]], dtype=np.float32)


def at(axes: Axes, column: float, row: float) -> float:
    """The value that is drawn at a place, in cells of which twelve stand in a row."""
    pixels = axes.images[0].get_array().filled(99)
    rows = axes.get_ylim()[0]
    return float(pixels[int(row / rows * len(pixels)), int(column / 12 * pixels.shape[1])])


def test_weights_stand_where_their_pixels_are_by_rising_firing_rate(
    states: Callable[..., UnitStates],
) -> None:
    figure = plots.draw_first_weights(THREE, (1, 2), states=states((5, 0, 9)), title=TITLE)
    tiles = [(at(figure.axes[0], i + 0.3, 0.7), at(figure.axes[0], i + 0.8, 0.7)) for i in range(4)]
    assert tiles == [(0.5, 0), (1, -1), (0, 0.25), (99, 99)]


def test_one_colour_scale_around_zero_serves_all_tiles_and_is_stated(
    states: Callable[..., UnitStates],
) -> None:
    tiles, scale = plots.draw_first_weights(
        THREE / 4, (1, 2), states=states((5, 0, 9)), title=TITLE
    ).axes
    # Two of the six are 1/4 in size, so no more than one in 200 is beyond that.
    assert tiles.images[0].get_clim() == (-0.25, 0.25)
    assert to_hex(tiles.images[0].to_rgba(0.0)) == to_hex(WEIGHTS(0.5))
    labels = [label.get_text() for label in scale.get_xticklabels()]
    assert labels == ["−0.25 or less", "0", "0.25 or more"]


def test_a_few_large_weights_do_not_pale_the_others() -> None:
    weights = np.full((10, 100), 0.1, dtype=np.float32)
    weights[0, :2] = 50
    figure = plots.draw_first_weights(weights, (10, 10), states=None, title=TITLE)
    assert figure.axes[0].images[0].get_clim() == pytest.approx((-0.1, 0.1))


def test_dead_units_come_first_and_in_frames(states: Callable[..., UnitStates]) -> None:
    figure = plots.draw_first_weights(THREE, (1, 2), states=states((5, 0, 9)), title=TITLE)
    [frame] = figure.axes[0].patches
    assert to_hex(frame.get_edgecolor()).upper() == DEAD
    left, right = frame.get_x(), frame.get_x() + frame.get_width()
    assert 0 < left < 0.1
    assert 1 < right < 1.1


def test_the_heading_compares_the_weights_of_the_dead_with_the_others(
    states: Callable[..., UnitStates], finding: Callable[[Figure], str]
) -> None:
    def heading(fired: tuple[int, ...] | None) -> str:
        found = None if fired is None else states(fired)
        return finding(plots.draw_first_weights(THREE, (1, 2), states=found, title=TITLE))

    # sqrt((1/4 + 0) / 2) and sqrt((1 + 1 + 0 + 1/16) / 4); of all six sqrt(2.3125 / 6).
    assert heading((5, 0, 9)) == (
        "1 of 3 first-layer units is dead: its weights are 2.0 times smaller "
        "(RMS 0.35 against 0.72)"
    )
    assert heading((5, 1, 9)) == "No first-layer unit is dead; the weights' RMS is 0.62"
    assert heading(None) == (
        "No ReLU, so no first-layer unit can be dead; the weights' RMS is 0.62"
    )


def test_rows_say_how_often_their_units_fire(
    states: Callable[..., UnitStates], words: Callable[[Figure], str]
) -> None:
    weights = np.ones((14, 4), dtype=np.float32)
    figure = plots.draw_first_weights(weights, (2, 2), states=states(range(14), 20), title=TITLE)
    assert {"fires for", "0 % – 55 %", "60 % – 65 %"} <= set(words(figure).split("\n"))


@pytest.mark.parametrize(
    ("units", "shape", "drawn"),
    [
        (1, (1, 1), 1), (3, (1, 4), 3), (256, (28, 28), 96), (100, (5, 400), 100),
        (100, (400, 30), 24),
    ],
)  # fmt: skip
def test_images_of_any_size_fit_their_sheet_and_the_caption_counts_them(
    units: int,
    shape: tuple[int, int],
    drawn: int,
    *,
    states: Callable[..., UnitStates],
    is_cut: Callable[[Figure], bool],
    words: Callable[[Figure], str],
) -> None:
    weights = np.zeros((units, shape[0] * shape[1]), dtype=np.float32)
    figure = plots.draw_first_weights(weights, shape, states=states([0] * units), title=TITLE)
    assert not is_cut(figure)
    assert len(figure.axes[0].patches) == drawn
    count = "all units" if drawn == units else f"{drawn} of {units} units, evenly chosen"
    assert f"· {count} by firing rate ·" in words(figure)


def test_weights_that_are_not_numbers_are_left_white(
    pixels: Callable[[Figure], NDArray[np.uint8]],
) -> None:
    weights = np.full((2, 4), np.nan, dtype=np.float32)
    figure = plots.draw_first_weights(weights, (2, 2), states=None, title=TITLE)
    assert (pixels(figure)[-40:-20] == 255).all()
