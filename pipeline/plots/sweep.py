"""The figure of a whole sweep: accuracy against the drop rate, above why activations are zero."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.plots.figure_layout import (
    LEFT,
    RIGHT,
    WIDTH,
    add_axes_at,
    head,
    key,
    label_below,
    new_figure,
    rows_and_columns,
)
from pipeline.plots.intervals import Curve, Scale, Zeros, draw_bars, draw_curves
from pipeline.plots.style import CAUSE_LOOKS, CURVES, INK, NORMAL

# Inches: the upper panel, a lower one, the room of titles and axes, between panels.
UPPER, LOWER, TITLE, FOOT, GAP = 2.3, 1.7, 0.3, 0.5, 0.22


def draw_sweep(
    curves: Sequence[Curve],
    zeros: Mapping[str, Zeros],
    scale: Scale,
    *,
    finding: str,
    caption: str,
    measure: str,
) -> Figure:
    """Accuracies with intervals in one wide panel; below it bars of causes, layer by layer.

    Args:
        curves: at most as many as `CURVES` has looks.
        zeros: by layer, at the positions of the first curve; without any, the upper panel is all.
        scale: of every horizontal axis.
        finding: what the figure shows, in a sentence.
        caption: whose data they are, and what is drawn.
        measure: what the curves are of.
    """
    rows, columns = rows_and_columns(len(zeros)) if zeros else (0, 0)
    keys = 0.25 * (len(curves) > 1) + TITLE
    lower = rows * (LOWER + FOOT + TITLE) + 0.55 if rows else 0.0
    body = lower + FOOT + UPPER + keys
    figure = new_figure(finding, caption, body=body)
    upper = add_axes_at(figure, (LEFT, lower + FOOT, WIDTH - LEFT - RIGHT, UPPER))
    draw_curves(upper, curves, scale)
    head(upper, measure)
    if len(curves) > 1:
        entries = [
            Line2D([], [], label=curve.label, **series.line)
            for curve, series in zip(curves, CURVES, strict=False)
        ]
        key(figure, entries, top=body - 0.02)
    if not zeros:
        return figure
    there = np.concatenate([layer.shares for layer in zeros.values()])
    looks = [
        look.patch
        for look, column in zip(CAUSE_LOOKS.values(), there.T, strict=True)
        if np.nansum(column) > 0
    ]
    dots = Line2D([], [], linestyle="", marker="o", color=INK, markerfacecolor="white")
    dots.set_label("all zeros, measured")
    line = Line2D([], [], color=INK, label="expected: s + p - s p")
    key(figure, looks, top=lower - 0.05)
    key(figure, [dots, line], top=lower - 0.3)
    step = (WIDTH - LEFT - RIGHT + GAP) / columns
    for index, (name, layer) in enumerate(zeros.items()):
        row, column = divmod(index, columns)
        low = FOOT + (rows - 1 - row) * (LOWER + FOOT + TITLE)
        axes = add_axes_at(figure, (LEFT + column * step, low, step - GAP, LOWER))
        draw_bars(axes, curves[0].positions, layer, scale)
        axes.set_xlabel("")
        head(axes, name)
        if column:
            axes.set_yticks(())
        else:
            axes.set_ylabel("activations (%)", fontsize=NORMAL, color=INK)
    label_below(figure, scale.label)
    return figure
