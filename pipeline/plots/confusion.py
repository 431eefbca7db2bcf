"""The figure of which class was taken for which.

It must not know which network predicted, nor on which images.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from pipeline.plots.style import INK, NORMAL, PALE, SMALL, WIDTH, percent, place, sheet, shorten
from pipeline.records import Counts, Floats

# Mistakes alone are coloured: on one scale with the diagonal theirs could not be seen.
MISTAKES = LinearSegmentedColormap.from_list("mistakes", ["#FFFFFF", "#F4A582", "#A50026"])
HITS = ListedColormap(["#DADADA"])
# Numbers of more classes do not fit into their cells.
MOST_NUMBERED = 30
LISTED = 15


def draw_confusion(matrix: Counts, classes: Sequence[str], *, title: str) -> Figure:
    """A cell for each pair of true and predicted class, beside the most frequent mistakes.

    Args:
        matrix: counts, a row a true class, a column a prediction, shape (classes, classes).
        classes: the classes' names, in the order of the rows.
        title: which network, on which images.
    """
    hits = np.eye(len(matrix), dtype=bool)
    mistakes = np.where(hits, 0, matrix)
    names = [shorten(name) for name in classes]
    bottom = 0.5 + 0.075 * max(map(len, names))
    left = bottom + 0.55
    side = WIDTH - left - 2.6
    figure = sheet(
        _finding(matrix, mistakes, names),
        f"{title} · number of images; grey: right; red: share of a row's images mistaken so",
        body=side + bottom + 0.3,
    )
    axes = place(figure, (left, bottom, side, side))
    image = _draw_cells(axes, matrix, hits)
    _name_classes(axes, matrix, names)
    if mistakes.any():
        _list_mistakes(figure, mistakes, names, top=bottom + side)
        scale = figure.colorbar(image, cax=place(figure, (WIDTH - 2.3, bottom + 0.3, 1.9, 0.13)), orientation="horizontal")
        ...
    return figure
