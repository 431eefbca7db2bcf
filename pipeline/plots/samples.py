"""The figures of what a data set looks like: samples of every class, and each class's mean."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.plots.figure_layout import WIDTH, add_axes_at, new_figure
from pipeline.plots.style import INK, SMALL, shorten
from pipeline.plots.tile_layout import TileGrid, ratio
from pipeline.plots.titles import alike_title

Pixels = NDArray[np.uint8]
Labels = NDArray[np.integer]

# Inches.
TILE = 0.42
CAPTION = 0.24
GAP = 0.04

MOST_ROWS = 16
MEANS_IN_A_ROW = 10
_WHITE = np.uint8(255)


def draw_samples(images: Pixels, labels: Labels, *, classes: Sequence[str], title: str) -> Figure:
    """A row of images for each class: its first ones, in the data set's order.

    Args:
        images: 0 is drawn black and 255 white, shape (n, height, width).
        labels: the images' classes, counted from 0, shape (n,).
        classes: the classes' names.
        title: which data set, and which part of it.
    """
    blocks = math.ceil(len(classes) / MOST_ROWS)
    rows = math.ceil(len(classes) / blocks)
    counts = np.bincount(labels, minlength=len(classes))
    names = [f"{shorten(name)}  {n:,}" for name, n in zip(classes, counts, strict=True)]
    margin = 0.2 + 0.08 * max(map(len, names))
    columns = int((WIDTH / blocks - margin - 0.1) / TILE)
    high = TILE * ratio(images.shape[1:])
    figure = new_figure(
        _finding(images, counts),
        f"{title} · each class with its name, number of images and the first {columns} of them",
        body=rows * high + 0.2,
    )
    for block in range(blocks):
        ids = range(len(classes))[block * rows : (block + 1) * rows]
        cells, gap = (len(ids), columns), (GAP / high, GAP / TILE)
        tile_grid = TileGrid(images.shape[1:], cells, gap=gap, white=_WHITE)
        left, bottom = block * WIDTH / blocks + margin, 0.1 + (rows - len(ids)) * high
        axes = add_axes_at(figure, (left, bottom, columns * TILE, len(ids) * high))
        for row, i in enumerate(ids):
            for column, sample in enumerate(np.flatnonzero(labels == i)[:columns]):
                tile_grid.put(images[sample], row, column)
            _write(axes, (-0.2, row + 0.5), names[i], align="right")
        tile_grid.show(axes, colours="gray", limits=(0.0, 255.0))
    return figure


def draw_class_means(
    images: Pixels, labels: Labels, *, classes: Sequence[str], title: str
) -> Figure:
    """The mean image of each class, pixel by pixel; white where a class has no image.

    Args:
        images: 0 is drawn black and 255 white, shape (n, height, width).
        labels: the images' classes, counted from 0, shape (n,).
        classes: the classes' names.
        title: which data set, and which part of it.
    """
    columns = min(MEANS_IN_A_ROW, len(classes))
    rows = math.ceil(len(classes) / columns)
    counts = np.bincount(labels, minlength=len(classes))
    wide = (WIDTH - 0.3) / MEANS_IN_A_ROW
    high = wide * ratio(images.shape[1:]) + CAPTION
    means = [images[labels == i].mean(axis=0) if n else None for i, n in enumerate(counts)]
    figure = new_figure(
        alike_title(
            np.array(
                [
                    np.full(math.prod(images.shape[1:]), np.nan) if m is None else m.ravel()
                    for m in means
                ]
            ),
            [shorten(name) for name in classes],
        ),
        f"{title} · the mean image of each class, pixel by pixel",
        body=rows * high + 0.2,
    )
    gap = (CAPTION / high, GAP / wide)
    tile_grid = TileGrid(images.shape[1:], (rows, columns), gap=gap, white=_WHITE)
    axes = add_axes_at(figure, (0.15, 0.1, columns * wide, rows * high))
    for i, name in enumerate(classes):
        row, column = divmod(i, columns)
        if (mean := means[i]) is not None:
            tile_grid.put(mean, row, column)
        _write(axes, (column + GAP / wide, row + CAPTION / high / 2), shorten(name), align="left")
    tile_grid.show(axes, colours="gray", limits=(0.0, 255.0))
    return figure


def _write(axes: Axes, spot: tuple[float, float], text: str, *, align: str) -> None:
    # A class name may contain a dollar sign, which would start a formula.
    axes.text(*spot, text, ha=align, va="center", fontsize=SMALL, color=INK, parse_math=False)


def _finding(images: Pixels, counts: NDArray[np.integer]) -> str:
    height, width = images.shape[1:]
    low, high = counts.min(), counts.max()
    each = f"{low:,} to {high:,} per class" if low < high else f"{high:,} per class"
    return f"{len(images):,} images of {height} x {width} pixels, {len(counts)} classes: {each}"
