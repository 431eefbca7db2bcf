"""The figure of which class was mistaken for which."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from pipeline.plots.cells import show_cells
from pipeline.plots.figure_layout import WIDTH, add_axes_at, colour_scale, new_figure
from pipeline.plots.style import INK, NORMAL, SMALL, shorten
from pipeline.plots.titles import confusion_title
from pipeline.records.words import percent
from why_zero.records import Counts

# Only mistakes are coloured: on one scale with the diagonal they would be invisible.
MISTAKES = LinearSegmentedColormap.from_list("mistakes", ["#FFFFFF", "#F4A582", "#A50026"])
RIGHT_COLOUR = "#D8D8D8"
# Numbers of more classes do not fit into their cells.
MOST_NUMBERED = 20
# More letters than this do not stand side by side below the columns.
MOST_LETTERS = 70
LISTED = 15
ASIDE = 2.5


def draw_confusion(matrix: Counts, classes: Sequence[str], *, title: str) -> Figure:
    """A cell for each pair of true and predicted class, beside the most frequent mistakes.

    Args:
        matrix: counts, one row per true class, one column per prediction, shape (classes, classes).
        classes: the classes' names, in the order of the rows.
        title: which network, on which images.
    """
    names = [shorten(name) for name in classes]
    mistakes = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    bottom = 0.5 + 0.085 * max(map(len, names))
    left = bottom + 0.5
    side = WIDTH - left - ASIDE
    figure = new_figure(
        confusion_title(matrix, names),
        f"{title} · number of images; grey: correct"
        + ("; red: share of the true class that was given this label" if mistakes.any() else ""),
        body=bottom + side + 0.3,
    )
    axes = add_axes_at(figure, (left, bottom, side, side))
    image = _draw_cells(axes, matrix, mistakes)
    _name_classes(axes, matrix, names)
    if mistakes.any():
        _list_mistakes(figure, mistakes, classes, top=bottom + side)
        most = float(image.get_clim()[1] or 1)
        ticks = {share: percent(share, 1) for share in (0.0, most / 4, most)}
        box = (WIDTH - ASIDE + 0.3, bottom + 0.3, ASIDE - 0.6, 0.15)
        scale = colour_scale(figure, image, box, ticks)
        words = "share of the true class\ngiven this label\n(square-root scale)"
        scale.set_title(words, fontsize=SMALL, loc="left", y=1.0)
    return figure


def _draw_cells(axes: Axes, matrix: Counts, mistakes: Counts) -> AxesImage:
    shares = mistakes / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    most = float(shares.max()) or 1.0
    wrong = np.ma.array(shares, mask=np.eye(len(matrix), dtype=bool))
    image = show_cells(
        axes,
        wrong,
        cmap=MISTAKES.with_extremes(bad=RIGHT_COLOUR),
        # The square root lets a single mistake among thousands show.
        norm=PowerNorm(0.5, 0, most),
    )
    if len(matrix) <= MOST_NUMBERED:
        for i, j in np.argwhere(matrix):
            dark = i != j and shares[i, j] > most / 3
            colour = "white" if dark else INK
            axes.text(
                j, i, f"{matrix[i, j]}", ha="center", va="center", fontsize=SMALL, color=colour
            )
    return image


def _name_classes(axes: Axes, matrix: Counts, names: Sequence[str]) -> None:
    rows = matrix.sum(axis=1)
    hits = [f"  {percent(matrix[i, i] / n, 1)}" if n else "" for i, n in enumerate(rows)]
    size = SMALL if len(names) <= MOST_NUMBERED else 7
    axes.set_yticks(range(len(names)), [n + h for n, h in zip(names, hits, strict=True)])
    upright = max(map(len, names)) * len(names) > MOST_LETTERS
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", labelrotation=90 if upright else 0)
    axes.tick_params(labelsize=size, length=0)
    axes.set_xlabel("predicted class", fontsize=NORMAL)
    axes.set_ylabel("true class, and its share predicted correctly", fontsize=NORMAL)


def _list_mistakes(figure: Figure, mistakes: Counts, classes: Sequence[str], *, top: float) -> None:
    names = [shorten(name, 11) for name in classes]
    lines = [f"{n:>5,}   {names[i]} → {names[j]}" for n, i, j in _rank(mistakes)[:LISTED]]
    figure.text(
        (WIDTH - ASIDE + 0.3) / WIDTH,
        top / figure.get_figheight(),
        "most frequent mistakes\n(images, truth → prediction)\n\n" + "\n".join(lines),
        va="top",
        fontsize=NORMAL,
        color=INK,
        linespacing=1.4,
        parse_math=False,
    )


def _rank(mistakes: Counts) -> list[tuple[int, int, int]]:
    found = [(int(mistakes[i, j]), int(i), int(j)) for i, j in np.argwhere(mistakes)]
    return sorted(found, key=lambda found: -found[0])
