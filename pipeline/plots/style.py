"""Colours, letter sizes and sheets that all figures share, and their way to pixels.

It must not know what any figure shows, and never touches matplotlib's global state.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray


@dataclass(frozen=True)
class Look:
    """How one cause of a zero looks in every figure."""

    label: str
    colour: str
    hatch: str
    hatch_colour: str

    @property
    def patch(self) -> Patch:
        """The cause's entry in a key."""
        return Patch(label=self.label, **self.fill)

    @property
    def fill(self) -> dict[str, str | float]:
        """The arguments that paint an area: matplotlib draws a hatch in the edge's colour."""
        return {
            "facecolor": self.colour,
            "edgecolor": self.hatch_colour,
            "hatch": self.hatch,
            "linewidth": 0.0,
        }


# In the order they are stacked: ReLU's two zeros touch, and dropout's two. `both` is the other two
# hatches at once, and lightness differs, so that they can be told apart without seeing colours.
CAUSES = {
    "inactive": Look("zero by ReLU alone", "#0072B2", "\\\\", "#2A8CC4"),
    "both": Look("zero by both", "#3D1A4F", "xx", "#5C3A6E"),
    "dropped": Look("zero by dropout alone", "#E69F00", "//", "#C98A00"),
    "active": Look("active, not zero", "#CDE9E5", "", "none"),
}


@dataclass(frozen=True)
class Series:
    """How one of several curves looks: told apart by colour, lightness, dashes and marker."""

    colour: str
    dashes: str
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        """The arguments that draw the curve."""
        return {
            "color": self.colour,
            "linestyle": self.dashes,
            "marker": self.marker,
            "markersize": 4.5,
            "clip_on": False,
        }

    @property
    def rings(self) -> dict[str, Any]:
        """The arguments that draw the single values behind a curve of means."""
        return self.line | {"linestyle": "", "markerfacecolor": "none"}


SERIES = (
    Series("#CC79A7", "--", "s"),
    Series("#0B7A5E", "-", "^"),
    Series("#222222", "-", "o"),
)
DEAD = "#A50026"
ALWAYS_ON = "#04494D"
FIRING = "#12898F"
# Ends lighter than DEAD, so that a dead unit stands out without colours too.
FIRING_RATES = LinearSegmentedColormap.from_list("firing_rates", ["#EDF7F5", "#7CC4C0", FIRING])
INK = "#222222"
PALE = "#666666"

WIDTH = 9.6
DPI = 100
LINE = 0.19
LEFT, RIGHT = 0.78, 0.2
SMALL, NORMAL, LARGE = 8.5, 9.5, 12.5


def percent(share: float, digits: int = 0) -> str:
    """A share as people read it, `33 %`, and never rounded to none or all: `0.3 %`, `99.6 %`."""
    if math.isnan(share):
        return "unknown"
    while 0 < share < 1 and round(share, digits + 2) in {0, 1} and digits < 4:
        digits += 1
    # A no-break space, so that a wrapped heading keeps number and sign together.
    return f"{share:.{digits}%}".replace("%", "\u00a0%")


def shorten(name: str) -> str:
    """A class's name, cut to 14 letters."""
    return name if len(name) <= 14 else f"{name[:13]}…"


def sheet(finding: str, caption: str, *, body: float) -> Figure:
    """An empty sheet with its finding in bold above a caption.

    Args:
        finding: what the figure shows, in a sentence.
        caption: whose data they are, and what is drawn.
        body: inches below the heading, measured from the sheet's lower edge.
    """
    lines = [textwrap.fill(finding, 90), textwrap.fill(caption, 136)]
    heights = [LINE * 1.25 * (lines[0].count("\n") + 1), LINE * (lines[1].count("\n") + 1)]
    figure = Figure(figsize=(WIDTH, body + sum(heights) + 0.2), dpi=DPI, facecolor="white")
    height = figure.get_figheight()
    styles = [
        {"fontsize": LARGE, "fontweight": "bold", "color": INK},
        {"fontsize": NORMAL, "color": PALE},
    ]
    top = height - 0.1
    for line, space, style in zip(lines, heights, styles, strict=True):
        # Class names and titles are anybody's text: a dollar sign in them is no formula.
        figure.text(0.15 / WIDTH, top / height, line, va="top", parse_math=False, **style)
        top -= space
    return figure


def place(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    """Plain axes at (left, bottom, width, height) in inches."""
    height = figure.get_figheight()
    left, bottom, wide, high = box
    axes = figure.add_axes((left / WIDTH, bottom / height, wide / WIDTH, high / height))
    axes.tick_params(labelsize=SMALL, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def table(count: int) -> tuple[int, int]:
    """Rows and columns for so many panels, at most five side by side."""
    rows = math.ceil(count / 5)
    return rows, math.ceil(count / rows)


def blank(finding: str, caption: str) -> Figure:
    """A sheet that says in a sentence why there is nothing to draw."""
    return sheet(finding, caption, body=0.3)


def grid(
    figure: Figure,
    count: int,
    *,
    label: str,
    bottom: float,
    height: float,
    title: float = 0.4,
    right: float = RIGHT,
) -> list[Axes]:
    """Panels in rows, with the same 0 to 100 % on every vertical axis.

    Args:
        figure: the sheet.
        count: how many panels.
        label: of the vertical axes, shown once a row.
        bottom: inches below the last row's axis.
        height: inches of one row, its title and axis included.
        title: inches of a panel's title.
        right: inches kept free on the right.
    """
    rows, columns = table(count)
    step = (WIDTH - LEFT - right + 0.25) / columns
    panels = []
    for i in range(count):
        row, column = divmod(i, columns)
        low = bottom + (rows - 1 - row) * height
        axes = place(figure, (LEFT + column * step, low, step - 0.25, height - bottom - title))
        axes.set_ylim(0, 1)
        if column:
            axes.set_yticks(())
        else:
            axes.set_yticks((0, 0.25, 0.5, 0.75, 1), ("0", "25", "50", "75", "100"))
            axes.set_ylabel(label, fontsize=NORMAL)
        panels.append(axes)
    return panels


def head(axes: Axes, title: str) -> None:
    """A panel's title, above its left edge."""
    # With y given, matplotlib does not measure every tick label to make room: 40 % of the time.
    axes.set_title(title, loc="left", y=1.0, fontsize=NORMAL, color=INK, parse_math=False)


def count_epochs(axes: Axes, last: int) -> None:
    """Round epochs below an axis that runs from 0 to the last one."""
    step = next(10**e * n for e in range(9) for n in (1, 2, 5) if last <= 10**e * n * 5)
    axes.set_xticks(range(0, last + 1, step))
    axes.set_xlim(-0.5, last + 0.5)
    axes.set_xlabel("epoch (0: untrained)", fontsize=NORMAL)


def key(figure: Figure, entries: Sequence[Artist], *, top: float, left: float = LEFT) -> None:
    """A key in one row without a frame, its upper edge `top` inches above the sheet's."""
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


def to_image(figure: Figure) -> NDArray[np.uint8]:
    """The figure as pixels, shape (height, width, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[..., :3].copy()
