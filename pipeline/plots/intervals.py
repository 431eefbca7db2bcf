"""Panels of means with their intervals, the single values behind them, and causes of zeros."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from pipeline.plots.panels import LINE, NARROW, panel
from pipeline.plots.style import CAUSE_LOOKS, CURVES, GRID, INK, NORMAL, SMALL, Series
from why_zero.records import Floats

# With this many curves, single values hide each other.
CROWD = 4


@dataclass(frozen=True)
class Curve:
    """Means along the horizontal axis.

    Attributes:
        label: the curve's name; empty for the only curve.
        positions: where they are drawn, ascending, shape (n,).
        means: shares, shape (n,).
        half_widths: of their intervals; NaN draws none, shape (n,).
        singles: the values behind each mean, n arrays.
    """

    label: str
    positions: Floats
    means: Floats
    half_widths: Floats
    singles: Sequence[Floats] = ()


@dataclass(frozen=True)
class Scale:
    """The horizontal axis of panels that belong together.

    Attributes:
        label: what it is.
        ticks: texts by position.
        is_numeric: positions are numbers, not names, so that lines between them mean something.
    """

    label: str
    ticks: Mapping[float, str]
    is_numeric: bool = True

    def set_on(self, axes: Axes) -> None:
        """Ticks and label; ticks that would run into each other are left out."""
        positions = sorted(self.ticks)
        reach = max(positions[-1] - positions[0], 1e-9)
        shown = [positions[0]]
        for position in positions[1:]:
            if (position - shown[-1]) / reach > 0.025 * (len(self.ticks[position]) + 1):
                shown.append(position)
        axes.set_xticks(shown, [self.ticks[position] for position in shown])
        margin = 0.07 * reach if len(positions) > 1 else 0.5
        axes.set_xlim(positions[0] - margin, positions[-1] + margin)
        axes.set_xlabel(self.label, fontsize=NORMAL, color=INK)


@dataclass(frozen=True)
class Zeros:
    """Why the activations of one layer were zero, at each place of an axis.

    Attributes:
        shares: of the four causes in the order of `CAUSE_LOOKS`, shape (n, 4); NaN leaves a gap.
        measured: mean shares of zeros and the half widths of their intervals, each shape (n,).
        expected: s + p - s p, shape (n,).
    """

    shares: Floats
    measured: tuple[Floats, Floats]
    expected: Floats


def draw_means(curves: Sequence[Curve], scale: Scale, *, title: str) -> Figure:
    """Means in per cent with 95 % intervals; rings are the single values.

    Args:
        curves: at most as many as `CURVES` has looks.
        scale: of the horizontal axis.
        title: what is measured.
    """
    has_key = len(curves) > 1
    figure, axes = panel(title, below=LINE * len(curves) if has_key else 0.0)
    draw_curves(axes, curves, scale)
    if has_key:
        figure.legend(
            loc="lower left",
            bbox_to_anchor=(0.02, 0.0),
            frameon=False,
            fontsize=SMALL,
            labelspacing=0.25,
            borderaxespad=0.2,
        )
    return figure


def draw_curves(axes: Axes, curves: Sequence[Curve], scale: Scale) -> None:
    """The curves of `draw_means`, in axes. Where no mean is of two values no line joins them."""
    reach = max(scale.ticks) - min(scale.ticks)
    # A line through single values would look like a trend.
    is_joined = any(len(values) > 1 for curve in curves for values in curve.singles)
    for index, (curve, series) in enumerate(zip(curves, CURVES, strict=False)):
        # Side by side, so that no interval hides another.
        shift = 0.011 * reach * (index - (len(curves) - 1) / 2)
        _draw(axes, curve, series, scale, shift=shift, is_joined=is_joined)
        for position, values in zip(curve.positions, curve.singles, strict=False):
            if len(values) > 1 and len(curves) < CROWD:
                axes.plot([position + shift] * len(values), values, **series.rings | {"alpha": 0.5})
    scale.set_on(axes)
    _show_percent(axes)


def draw_shares(
    curves: Mapping[str, Curve],
    looks: Mapping[str, Series],
    scale: Scale,
    *,
    title: str,
    top: float,
) -> Figure:
    """A narrow panel of shares from 0 % to `top`, told apart by a key outside of it.

    Args:
        curves: by what they are.
        looks: of each of them.
        scale: of the horizontal axis.
        title: which layer.
        top: of the vertical axis, the same for panels that are compared.
    """
    figure, axes = panel(title, width=NARROW)
    reach = max(scale.ticks) - min(scale.ticks)
    for index, (name, curve) in enumerate(curves.items()):
        _draw(axes, curve, looks[name], scale, shift=0.014 * reach * (index - 1))
    scale.set_on(axes)
    axes.set_ylim(0, top)
    _show_percent(axes)
    axes.set_ylabel("units (%)", fontsize=NORMAL, color=INK)
    return figure


def draw_zero_rates(positions: Floats, zeros: Zeros, scale: Scale, *, title: str) -> Figure:
    """Bars of the causes at each place, dots for all zeros with their intervals, and a line.

    Args:
        positions: of the bars: drop rates, or 0, 1, 2 … for other groups, rising, shape (n,).
        zeros: of one layer.
        scale: of the horizontal axis.
        title: which layer.
    """
    figure, axes = panel(title, width=NARROW)
    draw_bars(axes, positions, zeros, scale)
    axes.set_ylabel("activations (%)", fontsize=NORMAL, color=INK)
    return figure


def draw_bars(axes: Axes, positions: Floats, zeros: Zeros, scale: Scale) -> None:
    """The bars of `draw_zero_rates`, in axes."""
    scale.set_on(axes)
    low, high = axes.get_xlim()
    gap = np.diff(positions).min(initial=(high - low) / 4)
    width = max(0.6 * float(gap), 0.012 * (high - low))
    tops = np.nan_to_num(zeros.shares).cumsum(axis=1)
    for index, look in enumerate(CAUSE_LOOKS.values()):
        heights = np.nan_to_num(zeros.shares[:, index])
        axes.bar(positions, heights, width, bottom=tops[:, index] - heights, **look.fill)
    for colour, thickness in (("white", 2.8), (INK, 1.5)):
        if scale.is_numeric:
            axes.plot(positions, zeros.expected, color=colour, linewidth=thickness)
        axes.hlines(
            zeros.expected,
            positions - width / 2,
            positions + width / 2,
            colour,
            linewidth=thickness,
        )
    axes.errorbar(
        positions,
        zeros.measured[0],
        yerr=zeros.measured[1],
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


def _show_percent(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}"))
    axes.grid(axis="y", color=GRID)


def _draw(
    axes: Axes,
    curve: Curve,
    series: Series,
    scale: Scale,
    *,
    shift: float,
    is_joined: bool = True,
) -> None:
    is_joined = is_joined and scale.is_numeric
    look = series.line if is_joined else series.line | {"linestyle": ""}
    # A share is in [0, 1], even if its interval is not.
    widths = curve.half_widths
    ends = np.minimum(widths, curve.means), np.minimum(widths, 1 - curve.means)
    axes.errorbar(
        curve.positions + shift,
        curve.means,
        yerr=np.array(ends),
        label=curve.label,
        capsize=3,
        elinewidth=1.2,
        **look,
    )
