"""The panel of one layer's zeros against the drop rate, by cause, beside what is expected."""

from typing import cast

import numpy as np
from matplotlib.figure import Figure

from pipeline.plots.intervals import Scale
from pipeline.plots.panels import NARROW, panel
from pipeline.plots.style import CAUSE_LOOKS, INK, NORMAL
from why_zero.records import Floats


def draw_zero_rates(
    positions: Floats,
    shares: Floats,
    scale: Scale,
    *,
    measured: tuple[Floats, Floats],
    expected: Floats,
    title: str,
) -> Figure:
    """Bars of the causes at each place, dots for all zeros with their intervals, and a line.

    Args:
        positions: of the bars: drop rates, or 0, 1, 2 … for other groups, rising, shape (n,).
        shares: of the four causes in the order of `CAUSE_LOOKS`, shape (n, 4); NaN leaves a gap.
        scale: of the horizontal axis.
        measured: mean shares of zeros and the half widths of their intervals, each shape (n,).
        expected: s + p - s p, shape (n,).
        title: whose zeros.
    """
    axes = panel(title, width=NARROW)
    scale.set_on(axes)
    low, high = axes.get_xlim()
    gap = np.diff(positions).min(initial=(high - low) / 4)
    width = max(0.6 * float(gap), 0.012 * (high - low))
    tops = np.nan_to_num(shares).cumsum(axis=1)
    for index, look in enumerate(CAUSE_LOOKS.values()):
        heights = np.nan_to_num(shares[:, index])
        axes.bar(positions, heights, width, bottom=tops[:, index] - heights, **look.fill)
    for colour, thickness in (("white", 2.8), (INK, 1.5)):
        if scale.is_numeric:
            axes.plot(positions, expected, color=colour, linewidth=thickness)
        axes.hlines(
            expected, positions - width / 2, positions + width / 2, colour, linewidth=thickness
        )
    axes.errorbar(
        positions,
        measured[0],
        yerr=np.nan_to_num(measured[1]),
        linestyle="",
        marker="o",
        markersize=4.5,
        color=INK,
        markerfacecolor="white",
        capsize=3,
        elinewidth=1.2,
        zorder=4,
    )
    axes.set_ylim(0, 1)
    axes.set_xlim(low - width / 2, high + width / 2)
    axes.set_yticks((0, 0.25, 0.5, 0.75, 1), ("0", "25", "50", "75", "100"))
    axes.set_ylabel("activations (%)", fontsize=NORMAL, color=INK)
    return cast("Figure", axes.figure)
