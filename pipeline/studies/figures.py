"""Panels of lines side by side, under one heading: what most studies draw."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.comparison.statistics import Estimate, estimate
from pipeline.plots import CURVES
from pipeline.plots.figure_layout import (
    LEFT,
    RIGHT,
    WIDTH,
    add_axes_at,
    head,
    key,
    label_below,
    new_figure,
)
from pipeline.plots.style import GRID, INK, NORMAL, PALE
from pipeline.records import EpochRecord
from pipeline.records.result import Result

# Inches: a panel, its foot with the label of the axis, its title, a row of the key, between panels.
HEIGHT, FOOT, TITLE, KEY, GAP = 2.5, 0.55, 0.3, 0.25, 0.5
_IN_A_ROW = 4
_PUBLISHED: dict[str, Any] = {
    "color": PALE,
    "linestyle": ":",
    "marker": "x",
    "markersize": 7,
    "clip_on": False,
}


@dataclass(frozen=True)
class Line:
    """Numbers along a horizontal axis.

    Attributes:
        label: in the key; lines of one label look alike in all panels.
        values: by position; a half width that is NaN draws no interval.
        is_published: whether they are a source's, not ours.
    """

    label: str
    values: Mapping[float, Estimate]
    is_published: bool = False


def line_by_epoch(
    label: str,
    results: Sequence[Result],
    measure: Callable[[EpochRecord], float],
    *,
    epochs: Iterable[int],
) -> Line:
    """The mean of a measure over networks, epoch by epoch."""
    return Line(
        label,
        {
            float(epoch): estimate([measure(result.history[epoch]) for result in results])
            for epoch in epochs
        },
    )


def lines_figure(
    finding: str,
    caption: str,
    panels: Mapping[str, Sequence[Line]],
    *,
    across: str,
    up: str,
    ticks: Mapping[float, str],
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Panels of lines with intervals, and one key.

    Args:
        finding: what the figure shows, in a sentence.
        caption: whose data they are, and what is drawn.
        panels: lines by the panel's title.
        across: what every horizontal axis is.
        up: what the vertical axes are.
        ticks: of the horizontal axes, texts by position.
        limits: of the vertical axes; None for what the lines of each panel need.
    """
    looks = _looks([line for lines in panels.values() for line in lines])
    rows = math.ceil(len(looks) / _IN_A_ROW)
    top = FOOT + HEIGHT + TITLE + KEY * rows
    figure = new_figure(finding, caption, body=top + 0.1)
    step = (WIDTH - LEFT - RIGHT + GAP) / len(panels)
    for index, (title, lines) in enumerate(panels.items()):
        axes = add_axes_at(figure, (LEFT + index * step, FOOT, step - GAP, HEIGHT))
        for line in lines:
            _draw(axes, line, looks[line.label])
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.grid(axis="y", color=GRID)
        if limits:
            axes.set_ylim(*limits)
        head(axes, title)
        if not index:
            axes.set_ylabel(up, fontsize=NORMAL, color=INK)
    label_below(figure, across)
    entries = [Line2D([], [], label=name, **look) for name, look in looks.items()]
    for row in range(rows):
        key(figure, entries[row * _IN_A_ROW : (row + 1) * _IN_A_ROW], top=top - KEY * row)
    return figure


def _looks(lines: Sequence[Line]) -> dict[str, dict[str, Any]]:
    """How each label's lines look, in the order of the labels."""
    ours = iter(CURVES)
    looks: dict[str, dict[str, Any]] = {}
    for line in lines:
        if line.label not in looks:
            looks[line.label] = _PUBLISHED if line.is_published else next(ours).line
    return looks


def _draw(axes: Axes, line: Line, look: Mapping[str, Any]) -> None:
    axes.errorbar(
        list(line.values),
        [value.mean for value in line.values.values()],
        yerr=[value.half_width for value in line.values.values()],
        capsize=2.5,
        elinewidth=1.1,
        **look,
    )
