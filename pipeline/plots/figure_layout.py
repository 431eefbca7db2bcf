"""Figures of one width: a heading, panels placed in inches, keys; so letters keep their size."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from pipeline.plots.cells import show_cells
from pipeline.plots.plain_axes import PlainAxes
from pipeline.plots.style import INK, LARGE, NORMAL, PALE

# Inches.
WIDTH = 9.6
LEFT, RIGHT = 0.78, 0.2
LINE = 0.19
EPOCHS = "epoch (0: untrained)"
FOOT = 0.55  # below the lowest axis
DPI = 100


def new_figure(finding: str, caption: str, *, body: float) -> Figure:
    """An empty figure with its finding in bold above a caption.

    Args:
        finding: what the figure shows, in a sentence.
        caption: whose data they are, and what is drawn.
        body: inches below the heading, measured from the figure's lower edge.
    """
    lines = [_wrapped(finding, 90), _wrapped(caption, 136)]
    heights = [LINE * 1.25 * (lines[0].count("\n") + 1), LINE * (lines[1].count("\n") + 1)]
    figure = Figure(figsize=(WIDTH, body + sum(heights) + 0.2), dpi=DPI, facecolor="white")
    height = figure.get_figheight()
    tops = [(height - 0.1) / height, (height - 0.1 - heights[0]) / height]
    # Titles are arbitrary text: a dollar sign in them must not start a formula.
    bold = figure.text(0.15 / WIDTH, tops[0], lines[0], va="top", color=INK, parse_math=False)
    bold.set(fontsize=LARGE, fontweight="bold")
    pale = figure.text(0.15 / WIDTH, tops[1], lines[1], va="top", color=PALE, parse_math=False)
    pale.set(fontsize=NORMAL)
    return figure


def _wrapped(text: str, letters: int) -> str:
    """The text in as few lines as hold it, none of them much shorter than the others."""
    wrap = partial(textwrap.wrap, text, break_on_hyphens=False)
    count = len(wrap(letters))
    widths = range(max(len(text) // max(count, 1), 1), letters + 1)
    lines = next(lines for width in widths if len(lines := wrap(width)) <= count)
    return "\n".join(lines)


def blank(finding: str, caption: str) -> Figure:
    """A figure that says in a sentence why there is nothing to draw."""
    return new_figure(finding, caption, body=0.3)


def panel_figure(
    finding: str,
    caption: str,
    count: int,
    *,
    height: float,
    label: str,
    below: str,
    keys: Sequence[Sequence[Artist]],
    title: float = 0.4,
    right: float = RIGHT,
    gap: float = 0.25,
) -> tuple[Figure, list[Axes]]:
    """A figure and its panels in rows, with the same 0 to 100 % on every vertical axis.

    Args:
        finding: what the figure shows, in a sentence.
        caption: whose data they are, and what is drawn.
        count: how many panels.
        height: inches of one row, its title and axis included.
        label: of the vertical axes, shown once per row.
        below: of the horizontal axes, shown once.
        keys: the entries of each key above the panels; an empty one takes no room.
        title: inches of a panel's title.
        right: inches kept free on the right.
        gap: inches between panels.
    """
    rows, columns = rows_and_columns(count)
    keys = [entries for entries in keys if entries]
    top = rows * height + 0.25 * len(keys)
    figure = new_figure(finding, caption, body=top + 0.05)
    for index, entries in enumerate(keys):
        key(figure, entries, top=top - 0.05 - 0.25 * index)
    label_below(figure, below, right=right)
    step = (WIDTH - LEFT - right + gap) / columns
    wide, high = step - gap, height - FOOT - title
    panels = []
    for i in range(count):
        row, column = divmod(i, columns)
        low = FOOT + (rows - 1 - row) * height
        axes = add_axes_at(figure, (LEFT + column * step, low, wide, high))
        axes.set_ylim(0, 1)
        if column:
            axes.set_yticks(())
        else:
            axes.set_yticks((0, 0.25, 0.5, 0.75, 1), ("0", "25", "50", "75", "100"))
            axes.set_ylabel(label, fontsize=NORMAL)
        axes.yaxis.set_label_coords(-0.42 / wide, 0.5)
        panels.append(axes)
    return figure, panels


def add_axes_at(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    """Plain axes at (left, bottom, width, height) in inches."""
    height = figure.get_figheight()
    left, bottom, wide, high = box
    return PlainAxes(figure, (left / WIDTH, bottom / height, wide / WIDTH, high / height))


def rows_and_columns(count: int) -> tuple[int, int]:
    """Of so many panels, at most five side by side."""
    rows = math.ceil(count / 5)
    return rows, math.ceil(count / rows)


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """At most so many of the indices 0 … count - 1, evenly spread, the first and last included.

    Args:
        count: how many there are.
        most: how many there is room for, at least 2.
    """
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.intp)


def colour_scale(
    figure: Figure,
    image: AxesImage,
    box: tuple[float, float, float, float],
    ticks: Mapping[float, str],
) -> Axes:
    """A bar of an image's colours, with labels below it or, if it stands upright, on its right.

    Args:
        figure: where to draw it.
        image: whose colours.
        box: left, bottom, width and height in inches.
        ticks: labels by the values that they name.
    """
    axes = add_axes_at(figure, box)
    is_upright = box[3] > box[2]
    shares = np.linspace(0, 1, 256)[:, None]
    colours = image.cmap(shares if is_upright else shares.T)
    show_cells(axes, colours, origin="lower", extent=(0.0, 1.0, 0.0, 1.0))
    frame = Rectangle((0, 0), 1, 1, fill=False, linewidth=0.8, clip_on=False, zorder=3)
    axes.add_artist(frame)
    axes.set(xticks=(), yticks=())
    places = image.norm(np.array(list(ticks)))
    if is_upright:
        axes.set_yticks(places, ticks.values())
        axes.yaxis.set_ticks_position("right")
    else:
        axes.set_xticks(places, ticks.values())
    return axes


def head(axes: Axes, title: str) -> None:
    """A panel's title, above its left edge."""
    # With y given, matplotlib measures no ticks to make room for them; plain axes have none.
    axes.set_title(title, loc="left", y=1.0, fontsize=NORMAL, color=INK, parse_math=False)


def count_epochs(axes: Axes, last: int) -> None:
    """Round epochs below an axis that runs from 0, the untrained network, to the last one."""
    step = next(10**e * n for e in range(9) for n in (1, 2, 5) if last <= 10**e * n * 5)
    axes.set_xticks(range(0, last + 1, step))
    axes.set_xlim(-0.5, last + 0.5)


def label_below(
    figure: Figure, text: str, *, left: float = LEFT, right: float = RIGHT, bottom: float = 0.1
) -> None:
    """One label for the horizontal axes of all panels, in the middle between these margins."""
    middle = (left + WIDTH - right) / 2 / WIDTH
    label = figure.text(middle, bottom / figure.get_figheight(), text, ha="center", va="bottom")
    label.set(fontsize=NORMAL, color=INK)


def key(figure: Figure, entries: Sequence[Artist], *, top: float, left: float = LEFT) -> None:
    """A key in one row without a frame, its upper edge `top` inches above the lower edge."""
    figure.legend(
        handles=list(entries),
        loc="upper left",
        bbox_to_anchor=(left / WIDTH, top / figure.get_figheight()),
        ncols=len(entries),
        frameon=False,
        fontsize=NORMAL,
        borderaxespad=0,
        borderpad=0,
        columnspacing=1.6,
    )


def patches(colours: Mapping[str, str]) -> list[Patch]:
    """A key's entries: an area of each colour, by its label."""
    return [Patch(facecolor=colour, label=label) for label, colour in colours.items()]
