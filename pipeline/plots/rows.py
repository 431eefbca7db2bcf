"""The figure of means with their intervals, one per row."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.plots.panels import panel
from pipeline.plots.style import GRID, INK, NORMAL, SMALL, shorten
from why_zero.records import Floats

# Longer labels go above their row instead of beside it, in lines of this many letters.
_LONG, _LONGEST = 22, 56
_LINE = 0.16  # inches


def draw_rows(
    labels: Sequence[str],
    means: Floats,
    half_widths: Floats,
    *,
    axis: str,
    is_filled: Sequence[bool],
    origin: float | None = None,
) -> Figure:
    """Means times 100 with 95 % intervals, one below the other.

    Args:
        labels: of the rows, from top to bottom.
        means: as shares, shape (n,).
        half_widths: of their intervals; NaN draws none, shape (n,).
        axis: what is measured.
        is_filled: which dots are filled.
        origin: where to draw the reference line.
    """
    longest = max(len(label) for label in labels)
    is_above = longest > _LONG
    left = 0.25 if is_above else 0.25 + 0.075 * longest
    above = [_lines(label) for label in labels]
    lines = max(map(len, above)) if is_above else 0
    step = 0.26 + _LINE * lines
    figure, axes = panel("", height=0.75 + step * len(labels), left=left)
    rows = np.arange(len(labels))
    if origin is not None:
        # Beside its row a label leaves the line whole; above it, the line is interrupted.
        reach = 0.08 / step if is_above else 0.5
        axes.vlines([origin] * len(rows), rows - reach, rows + reach, INK, linewidth=1)
    for row, mean, half, fills in zip(rows, 100 * means, 100 * half_widths, is_filled, strict=True):
        if np.isfinite(half):
            axes.plot([mean - half, mean + half], [row, row], color=INK, linewidth=1.6)
        face = INK if fills else "white"
        axes.plot([mean], [row], "o", color=INK, markerfacecolor=face, markersize=5.5)
    top = -(0.14 + _LINE * lines) / step if is_above else -0.6
    axes.set_ylim(len(labels) - 0.4, top)
    if is_above:
        axes.set_yticks(())
        for row, parts in zip(rows, above, strict=True):
            name = axes.text(
                0, row - 0.08 / step, "\n".join(parts), transform=axes.get_yaxis_transform()
            )
            name.set(fontsize=SMALL, color=INK, va="bottom", parse_math=False)
            # No grid line runs through it.
            name.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    else:
        axes.set_yticks(rows, labels)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel(axis, fontsize=NORMAL, color=INK)
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)
    return figure


def _lines(label: str) -> list[str]:
    """A label in as few lines as hold it, broken between words."""
    return [shorten(line, _LONGEST) for line in textwrap.wrap(label, _LONGEST)]
