"""The figures of what a data set looks like: samples of every class, and each class's mean.

They must not know where the images come from.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.plots.sheet import WIDTH, place, sheet
from pipeline.plots.style import INK, SMALL, shorten

Pixels = NDArray[np.uint8]
Labels = NDArray[np.integer]

# Inches.
TILE = 0.42
CAPTION = 0.24
GAP = 0.04

MOST_ROWS = 16
MEANS_IN_A_ROW = 10
# More pixels a side cannot be seen in a tile, and a sheet of them would cost memory.
MOST_PIXELS = 90


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
    high = TILE * _ratio(images)
    figure = sheet(
        _finding(images, counts),
        f"{title} · of each class its name, number of images, and the first {columns} of them",
        body=rows * high + 0.2,
    )
    for block in range(blocks):
        ids = range(len(classes))[block * rows : (block + 1) * rows]
        paper = _Paper(images, len(ids), columns, gap=(GAP / high, GAP / TILE))
        left, bottom = block * WIDTH / blocks + margin, 0.1 + (rows - len(ids)) * high
        axes = place(figure, (left, bottom, columns * TILE, len(ids) * high))
        for row, i in enumerate(ids):
            for column, sample in enumerate(np.flatnonzero(labels == i)[:columns]):
                paper.put(images[sample], row, column)
            _write(axes, (-0.2, row + 0.5), names[i], align="right")
        paper.show(axes)
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
    high = wide * _ratio(images) + CAPTION
    figure = sheet(
        _finding(images, counts),
        f"{title} · the mean image of each class, pixel by pixel",
        body=rows * high + 0.2,
    )
    paper = _Paper(images, rows, columns, gap=(CAPTION / high, GAP / wide))
    axes = place(figure, (0.15, 0.1, columns * wide, rows * high))
    for i, name in enumerate(classes):
        row, column = divmod(i, columns)
        if counts[i]:
            paper.put(images[labels == i].mean(axis=0), row, column)
        _write(axes, (column + GAP / wide, row + CAPTION / high / 2), shorten(name), align="left")
    paper.show(axes)
    return figure


class _Paper:
    """White paper for tiles: drawing it once is much faster than drawing every tile."""

    def __init__(
        self, images: Pixels, rows: int, columns: int, *, gap: tuple[float, float]
    ) -> None:
        """Cuts the paper for tiles of the images' shape.

        Args:
            images: shape (n, height, width).
            rows: of tiles.
            columns: of tiles.
            gap: the shares of a cell above and left of its tile that stay white.
        """
        self._thin = math.ceil(max(images.shape[1:]) / MOST_PIXELS)
        height, width = images[:1, :: self._thin, :: self._thin].shape[1:]
        self._above = math.ceil(height * gap[0] / (1 - gap[0]))
        self._left = math.ceil(width * gap[1] / (1 - gap[1]))
        self._cell = (self._above + height, self._left + width)
        self._extent = (0, columns, rows, 0)
        self._pixels = np.full((rows * self._cell[0], columns * self._cell[1]), 255, np.uint8)

    def put(self, tile: NDArray[np.generic], row: int, column: int) -> None:
        """Prints an image into a cell."""
        top, left = row * self._cell[0] + self._above, column * self._cell[1] + self._left
        bottom, right = (row + 1) * self._cell[0], (column + 1) * self._cell[1]
        self._pixels[top:bottom, left:right] = tile[:: self._thin, :: self._thin]

    def show(self, axes: Axes) -> None:
        """Hangs the paper up; one step of an axis is one cell."""
        axes.imshow(
            self._pixels,
            cmap="gray",
            vmin=0,
            vmax=255,
            aspect="auto",
            interpolation="nearest",
            extent=self._extent,
        )
        axes.set_axis_off()


def _ratio(images: Pixels) -> float:
    """Height by width of a tile; a strip is drawn no thinner than 1 to 4."""
    return float(min(max(images.shape[1] / images.shape[2], 0.25), 4))


def _write(axes: Axes, spot: tuple[float, float], text: str, *, align: str) -> None:
    # A class may be named with a dollar sign, which would begin a formula.
    axes.text(*spot, text, ha=align, va="center", fontsize=SMALL, color=INK, parse_math=False)


def _finding(images: Pixels, counts: NDArray[np.integer]) -> str:
    height, width = images.shape[1:]
    low, high = counts.min(), counts.max()
    each = f"{low:,} to {high:,} a class" if low < high else f"{high:,} a class"
    return f"{len(images):,} images of {height} x {width} pixels, {len(counts)} classes: {each}"
