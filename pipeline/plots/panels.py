"""Small panels for a page: each a figure of its own, so that a narrow screen stacks them."""

import io
import re

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.plots.plain_axes import PlainAxes
from pipeline.plots.style import INK, NORMAL

WIDTH, HEIGHT = 4.4, 2.9
NARROW = 3.5
_LEFT, _RIGHT, _BOTTOM, _TOP, _BARE = 0.62, 0.15, 0.52, 0.36, 0.1
LINE = 0.165  # of a key below the axes


def panel(
    title: str,
    *,
    width: float = WIDTH,
    height: float = HEIGHT,
    left: float = _LEFT,
    below: float = 0.0,
) -> tuple[Figure, Axes]:
    """A new figure and its axes, with a title above their left edge.

    Args:
        title: what it shows; empty leaves no room for one.
        width: of the figure, in inches.
        height: of the figure without what is below, in inches.
        left: inches for the labels of the vertical axis.
        below: inches for a key below the axes.
    """
    whole = height + below
    figure = Figure(figsize=(width, whole), dpi=100, facecolor="white")
    top = _TOP if title else _BARE
    box = (left / width, (_BOTTOM + below) / whole, (width - left - _RIGHT) / width)
    axes = PlainAxes(figure, (*box, (height - _BOTTOM - top) / whole))
    axes.set_title(title, loc="left", y=1.0, fontsize=NORMAL, color=INK, parse_math=False)
    return figure, axes


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element inside an HTML page, which sets its size and background.

    Args:
        figure: letters are drawn as paths, so it looks alike on every machine.
        name: letters and digits, unique on the page; the prefix of its ids.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    return re.sub(r'(<svg [^>]*?)width="\S+" height="\S+"', r"\1", re.sub(r"\s*\n\s*", " ", text))
