"""Axes and cells that are drawn faster, beside matplotlib's own."""

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray

from pipeline.plots.cells import show_cells
from pipeline.plots.plain_axes import PlainAxes
from pipeline.plots.style import GRID, INK, SMALL

Read = Callable[[Figure], NDArray[np.uint8]]
BOX = (0.2, 0.2, 0.6, 0.6)


def plain() -> Axes:
    return PlainAxes(Figure((4, 3), facecolor="white"), BOX)


def matplotlib_s() -> Axes:
    axes = Figure((4, 3), facecolor="white").add_axes(BOX)
    axes.tick_params(labelsize=SMALL, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def label_both(axes: Axes) -> None:
    axes.set_xticks((-1, 0, 0.5, 1), ("beyond", "0", "50", "100"))
    axes.set_yticks((0, 0.25, 0.5, 0.75, 1), ("0", "25", "50", "75", "100"))
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="share", ylabel="units (%)")


def place_a_label(axes: Axes) -> None:
    axes.set(yticks=(), ylabel="units")
    axes.yaxis.set_label_coords(-0.04, 0.5)


def draw_a_grid(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.set_ylim(0.01, 3)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(axis="y", color=GRID)


def put_ticks_on_the_right(axes: Axes) -> None:
    axes.set_yticks((0.2, 0.8), ("a", "b"))
    axes.yaxis.set_ticks_position("right")
    axes.set_ylim(1, 0)


def turn_labels(axes: Axes) -> None:
    axes.set_xticks((0, 1), ("a long name", "another"))
    axes.tick_params(axis="x", labelrotation=90, length=0)
    axes.set_xlim(0, 1)


@pytest.mark.parametrize(
    "change", [label_both, place_a_label, draw_a_grid, put_ticks_on_the_right, turn_labels]
)
def test_plain_axes_look_as_matplotlib_s_to_the_last_pixel(
    pixels: Read, change: Callable[[Axes], None]
) -> None:
    ours, theirs = plain(), matplotlib_s()
    for axes in (ours, theirs):
        change(axes)
    assert np.array_equal(pixels(ours.get_figure()), pixels(theirs.get_figure()))


def test_a_tick_s_label_is_no_formula(pixels: Read) -> None:
    axes = plain()
    axes.set_yticks((0, 1), ("$a$", "b"))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["$a$", "b"]
    assert not any(label.get_parse_math() for label in axes.get_yticklabels())
    pixels(axes.get_figure())


@pytest.mark.parametrize("origin", ["upper", "lower"])
def test_cells_have_the_pixels_that_an_image_gives_them(pixels: Read, origin: str) -> None:
    # 10 by 20 pixels a cell, and one value that is missing.
    values = np.ma.masked_equal(np.arange(54.0).reshape(9, 6) % 7, 3)
    ours, theirs = (Figure((1, 2), facecolor="white").add_axes((0, 0, 1, 1)) for _ in range(2))
    extent = (-0.5, 5.5, 0.0, 9.0)
    show_cells(ours, values, origin=origin, extent=extent, cmap="viridis")
    theirs.imshow(
        values,
        origin=origin,
        extent=extent,
        cmap="viridis",
        aspect="auto",
        interpolation="nearest",
    )
    for axes in (ours, theirs):
        axes.set_axis_off()
    assert ours.get_ylim() == theirs.get_ylim()
    assert np.array_equal(pixels(ours.get_figure()), pixels(theirs.get_figure()))
