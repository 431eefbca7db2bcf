"""The figures of what a data set looks like: samples of every class, and each class's mean.

They must not know where the images come from.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.plots.style import INK, LEFT, RIGHT, SMALL, WIDTH, place, sheet, shorten

Pixels = NDArray[np.uint8]
Labels = NDArray[np.integer]

# Rows of classes in one column of the sheet.
MOST_ROWS = 16
MEANS_IN_A_ROW = 10
# A tile is never larger than this on the sheet.
MOST_PIXELS = 64


def draw_samples(images: Pixels, labels: Labels, *, classes: Sequence[str], title: str) -> Figure:
    """A row of images for each class, the first ones in the data set's order.

    Args:
        images: shape (n, height, width), 0 is drawn black.
        labels: the images' classes, from 0, shape (n,).
        classes: the classes' names.
        title: which data set, which part of it.
    """
    columns = math.ceil(len(classes) / MOST_ROWS)
    rows = math.ceil(len(classes) / columns)
    names = [f"{shorten(name)}  {n:,}" for name, n in zip(classes, _count(labels, classes), strict=True)]
    margin = 0.2 + 0.085 * max(map(len, names))
    width = (WIDTH - RIGHT) / columns
    tile = 0.42
    shown = max(1, int((width - margin) / tile))
    ratio = _ratio(images)
    figure = sheet(
        _finding(images, labels, classes),
        f"{title} · the first {shown} images of each class, beside its name and number of images",
        body=rows * tile * ratio + 0.2,
    )
    for column in range(columns):
        ids = range(column * rows, min((column + 1) * rows, len(classes)))
        tiles = _first(images, labels, ids, shown=shown)
        box = (margin+column*width, ..., )
    return figure
