"""The figure that compares networks: accuracy and causes of zeros against the drop rate."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from pipeline.plots.causes import stack_causes
from pipeline.plots.figure_layout import (
    LEFT,
    RIGHT,
    WIDTH,
    grid,
    head,
    key,
    new_figure,
    place,
    table,
)
from pipeline.plots.groups import Group, Result, group, layer_names
from pipeline.plots.style import CAUSES, INK, NORMAL, SERIES, percent


def draw_drop_rates(
    results: Sequence[Result], title: str, *, validation_name: str = "validation images"
) -> Figure:
    """Accuracy by drop rate above; below, a panel a layer, why its activations were zero.

    Networks of one activation and drop rate are averaged.

    Args:
        results: recipe and chosen epoch of each network, at least one.
        title: what the networks have in common.
        validation_name: the images that the accuracies are about, in words.
    """
    arms = group(results)
    names = layer_names(results)
    height = table(len(arms) * len(names))[0] * 2.9
    points = sum(map(len, arms.values()))
    many = "rings: networks, the rest: their means · " if len(results) > points else ""
    figure = new_figure(
        _finding(arms, validation_name),
        f"{title} · {many}expected: s + p - s p, where s is the share that ReLU closed",
        body=height + 3.3,
    )
    expected = Line2D([], [], color=INK, linewidth=2, label="expected zeros")
    key(figure, [*(look.patch for look in CAUSES.values()), expected], top=height + 0.2)
    accuracies = place(figure, (LEFT, height + 0.95, WIDTH - LEFT - RIGHT, 1.95))
    _draw_accuracies(accuracies, arms)
    head(accuracies, f"accuracy on the {validation_name} (%)")
    panels = iter(
        grid(figure, len(arms) * len(names), label="activations (%)", bottom=0.55, height=2.9)
    )
    for activation, arm in arms.items():
        for name, axes in zip(names, panels, strict=False):
            _draw_layer(axes, arm, name)
            head(axes, name if len(arms) == 1 else f"{name}, {activation}")
    return figure


def _draw_accuracies(axes: Axes, arms: dict[str, list[Group]]) -> None:
    for (activation, arm), series in zip(arms.items(), reversed(SERIES), strict=False):
        rates = [one.drop_rate for one in arm]
        means = [one.accuracy for one in arm]
        axes.plot(rates, means, label=f"activation {activation}", **series.line)
        for one in arm:
            if len(one.networks) > 1:
                rates = [one.drop_rate] * len(one.accuracies)
                axes.plot(rates, one.accuracies, **series.rings)
    _tick_rates(axes, sorted({one.drop_rate for arm in arms.values() for one in arm}))
    axes.set_xlabel("drop rate p", fontsize=NORMAL)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}"))
    axes.grid(axis="y", color="#E5E5E5")
    if len(arms) > 1:
        axes.legend(
            loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=NORMAL
        )


def _tick_rates(axes: Axes, rates: Sequence[float]) -> None:
    gaps = np.diff(rates) / max(rates[-1] - rates[0], 1e-9)
    if gaps.min(initial=1) > 0.05:
        axes.set_xticks(rates, [f"{rate:.3g}" for rate in rates])


def _draw_layer(axes: Axes, arm: Sequence[Group], name: str) -> None:
    positions = np.arange(len(arm))
    shares = np.stack([one.shares(name) for one in arm])
    stack_causes(axes, positions, shares[:, :4])
    for colour, width in (("white", 4), (INK, 2)):
        ends = positions - 0.35, positions + 0.35
        axes.hlines(shares[:, 4], *ends, color=colour, linewidth=width)
    every = math.ceil(len(arm) / 6)
    axes.set_xticks(positions[::every], [f"{one.drop_rate:.3g}" for one in arm][::every])
    axes.set_xlabel("drop rate p", fontsize=NORMAL)


def _finding(arms: dict[str, list[Group]], name: str) -> str:
    # No "highest at": a difference between rates is not told from chance here.
    activation, arm = next(iter(arms.items()))
    rates = [f"p = {one.drop_rate:.3g}" for one in arm]
    right = [percent(one.accuracy, 1) for one in arm]
    zeros = [percent(one.hidden_zeros) for one in arm]
    whose = f"Activation {activation}, " if len(arms) > 1 else ""
    if len(arm) == 1:
        return f"{whose}{rates[0]}: {right[0]} of the {name} right, {zeros[0]} of hidden zero"
    return (
        f"{whose}{rates[0]} to {rates[-1]}: accuracy on the {name} goes from {right[0]} to "
        f"{right[-1]}, hidden zeros from {zeros[0]} to {zeros[-1]}"
    )
