"""The figure of means with their intervals, a row each.

It must not know how an interval is computed, nor what is measured.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.plots.panels import panel
from pipeline.plots.style import INK, NORMAL, SMALL, shorten
from pipeline.records import Floats

# Labels longer than this stand above their row, not beside it.
_LONG, _LONGEST = 22, 62


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
        labels: whose they are, from top to bottom.
        means: as shares, shape (n,).
        half_widths: of their intervals; NaN draws none, shape (n,).
        axis: what is measured.
        is_filled: which dots are filled.
        origin: where a line stands that the intervals are read against.
    """
    longest = max(len(label) for label in labels)
    is_above = longest > _LONG
    left = 0.25 if is_above else 0.25 + 0.075 * longest
    step = 0.42 if is_above else 0.27
    axes = panel("", height=0.75 + step * len(labels), left=left)
    rows = np.arange(len(labels))
    if origin is not None:
        # Beside its row a label leaves the line whole; above it, the line makes room.
        reach = 0.2 if is_above else 0.5
        axes.vlines([origin] * len(rows), rows - reach, rows + reach, INK, linewidth=1)
    for row, mean, half, fills in zip(rows, 100 * means, 100 * half_widths, is_filled, strict=True):
        if np.isfinite(half):
            axes.plot([mean - half, mean + half], [row, row], color=INK, linewidth=1.6)
        face = INK if fills else "white"
        axes.plot([mean], [row], "o", color=INK, markerfacecolor=face, markersize=5.5)
    axes.set_ylim(len(labels) - 0.4, -0.8 if is_above else -0.6)
    if is_above:
        axes.set_yticks(())
        for row, label in zip(rows, labels, strict=True):
            name = axes.text(
                0, row - 0.33, shorten(label, _LONGEST), transform=axes.get_yaxis_transform()
            )
            name.set(fontsize=SMALL, color=INK, va="center", parse_math=False)
    else:
        axes.set_yticks(rows, labels)
        for name in axes.get_yticklabels():
            name.set_parse_math(False)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel(axis, fontsize=NORMAL, color=INK)
    axes.grid(axis="x", color="#E5E5E5")
    axes.set_axisbelow(True)
    return cast("Figure", axes.figure)
