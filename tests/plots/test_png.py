"""What a picture's file holds, beside what matplotlib itself draws."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from PIL import Image

from pipeline import plots
from pipeline.records import EpochRecord


def read_png(figure: Figure) -> NDArray[np.int64]:
    return np.asarray(Image.open(io.BytesIO(plots.to_png(figure))).convert("RGB"), dtype=int)


def test_a_png_is_twice_as_dense_and_small(
    random_history: Callable[..., list[EpochRecord]],
) -> None:
    figure = plots.draw_units(random_history((64, 32), 5), "p=0.5 s0")
    whole = io.BytesIO()
    figure.savefig(whole, format="png", dpi=200)
    small = plots.to_png(figure)
    assert Image.open(io.BytesIO(small)).size == (1920, int(200 * figure.get_figheight()))
    assert len(small) < 0.8 * len(whole.getvalue())


def test_a_png_s_colours_are_those_of_the_figure_but_for_a_few_of_255(
    pixels: Callable[[Figure], NDArray[np.uint8]],
) -> None:
    figure = Figure((4, 3), facecolor="white")
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    axes.set_axis_off()
    axes.imshow(np.arange(600).reshape(20, 30), cmap="viridis")
    image = read_png(figure)
    assert image[0, 0].tolist() == [255, 255, 255]
    assert np.abs(image - pixels(figure)).max() < 16


def test_a_large_area_keeps_its_colour_beside_a_similar_one() -> None:
    figure = Figure((4, 3), facecolor="#EEEEEE")
    for share in np.linspace(0.1, 0.9, 40):
        figure.add_artist(Line2D((0.1, 0.9), (share, share), color="#E4E4E4"))
    assert read_png(figure)[0, 0].tolist() == [0xEE] * 3


@pytest.mark.parametrize("rotation", [0, 90])
@pytest.mark.parametrize("text", ["units", "12 of 1,024  units fire\nfor no image", "a $ b $ c"])
def test_words_stand_where_matplotlib_puts_them(
    pixels: Callable[[Figure], NDArray[np.uint8]], text: str, rotation: int
) -> None:
    figure = Figure((4, 4), facecolor="white")
    place = {"ha": "right", "va": "top", "rotation": rotation}
    figure.text(0.9, 0.9, text, parse_math=False, fontsize=9.5, **place)
    images = read_png(figure), pixels(figure)
    for axis in (0, 1):
        ours, theirs = (np.flatnonzero((image.min(axis=-1) < 128).any(axis)) for image in images)
        assert ours[[0, -1]] == pytest.approx(theirs[[0, -1]], abs=1)


def test_a_formula_is_drawn_as_matplotlib_draws_it(
    pixels: Callable[[Figure], NDArray[np.uint8]],
) -> None:
    figure = Figure((2, 1), facecolor="white")
    figure.text(0.1, 0.4, "$10^{-3}$")
    assert np.abs(read_png(figure) - pixels(figure)).max() < 16
