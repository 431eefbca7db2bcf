"""Panels of means with their intervals, the single values behind them, and causes of zeros."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from pipeline.plots.panels import LINE, NARROW, panel
from pipeline.plots.style import CAUSE_LOOKS, CURVES, INK, NORMAL, SMALL, Series
from why_zero.records import Floats

# Digits at the ticks of a logarithmic axis: the first that give three ticks are taken.
_DIGITS = ((1,), (1, 2, 5), (1, 2, 3, 5, 7), (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9))
_LEAST = 1e-4  # one wrong image of ten thousand: where an axis of nothing but zeros ends
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


def draw_means(
    curves: Sequence[Curve],
    scale: Scale,
    *,
    title: str,
    is_logarithmic: bool = False,
) -> Figure:
    """Means in per cent with 95 % intervals; rings are the single values.

    Args:
        curves: at most as many as `CURVES` has looks.
        scale: of the horizontal axis.
        title: what is measured.
        is_logarithmic: the vertical axis spreads small shares.
    """
    has_key = len(curves) > 1
    figure, axes = panel(title, below=LINE * len(curves) if has_key else 0.0)
    reach = max(scale.ticks) - min(scale.ticks)
    for index, (curve, series) in enumerate(zip(curves, CURVES, strict=False)):
        # Side by side, so that no interval hides another.
        shift = 0.011 * reach * (index - (len(curves) - 1) / 2)
        _draw(axes, curve, series, scale, shift=shift)
        for position, values in zip(curve.positions, curve.singles, strict=False):
            if len(values) > 1 and len(curves) < CROWD:
                axes.plot([position + shift] * len(values), values, **series.rings | {"alpha": 0.5})
    scale.set_on(axes)
    if is_logarithmic:
        _spread(axes, curves)
    _show_percent(axes)
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
        title: which layer.
    """
    figure, axes = panel(title, width=NARROW)
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
    return figure


def _show_percent(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}"))
    axes.grid(axis="y", color="#E5E5E5")


def _draw(axes: Axes, curve: Curve, series: Series, scale: Scale, *, shift: float = 0) -> None:
    widths = np.nan_to_num(curve.half_widths)
    look = series.line if scale.is_numeric else series.line | {"linestyle": ""}
    # A share is in [0, 1], even if its interval is not.
    ends = np.minimum(widths, curve.means), np.minimum(widths, 1 - curve.means)
    axes.errorbar(
        curve.positions + shift,
        curve.means,
        yerr=np.nan_to_num(ends),
        label=curve.label,
        capsize=3,
        elinewidth=1.2,
        **look,
    )


def _spread(axes: Axes, curves: Sequence[Curve]) -> None:
    """A logarithmic vertical axis over all that is drawn, with ticks at round shares."""
    means = np.concatenate([curve.means for curve in curves])
    halves = np.nan_to_num(np.concatenate([curve.half_widths for curve in curves]))
    singles = [values for curve in curves for values in curve.singles]
    drawn = np.concatenate([means - halves, means + halves, means, *singles])
    known = drawn[np.isfinite(drawn) & (drawn > 0)]
    low, high = known.min(initial=1), min(known.max(initial=_LEAST) * 1.08, 1)
    # An interval that reaches 0 would stretch the axis to infinity.
    low = max(min(low, high) / 1.08, np.where(means > 0, means, 0).min() / 4)
    # In this order: changing the scale refits its limits, and warns if all values agree.
    axes.set_ylim(low, high)
    axes.set_yscale("log", nonpositive="clip")
    for digits in _DIGITS:
        ticks = [digit * 10.0**power for power in range(-7, 1) for digit in digits]
        shown = [tick for tick in ticks if low <= tick <= high]
        if len(shown) > 2:
            break
    else:
        shown = [tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]
    axes.yaxis.set_major_locator(FixedLocator(shown))
    axes.yaxis.set_minor_locator(NullLocator())
