"""The figure of which units learn: gradient and update against firing rate."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from pipeline.plots.figure_layout import (
    LEFT,
    RIGHT,
    WIDTH,
    add_axes_at,
    blank,
    head,
    key,
    label_below,
    new_figure,
    rows_and_columns,
)
from pipeline.plots.scales import STRIP, LogScale, power_of_ten, scale_of
from pipeline.plots.style import DEAD, FIRING, NORMAL
from pipeline.plots.titles import gradient_title
from pipeline.records import EpochRecord
from why_zero.records import Floats, UnitStates

# Inches: a panel, the heads above the upper and the lower one, the axis below.
PANEL, UPPER_HEAD, LOWER_HEAD, FOOT = 1.9, 0.55, 0.3, 0.5
BLOCK = 2 * PANEL + UPPER_HEAD + LOWER_HEAD + FOOT
GAP = 0.2
STRIP_COLOUR = "#EEEEEE"
_LIVE: dict[str, Any] = {
    "linestyle": "", "marker": "o", "markersize": 3.5, "markerfacecolor": FIRING,
    "markeredgecolor": "none", "alpha": 0.5,
}  # fmt: skip
_DEAD: dict[str, Any] = {
    "linestyle": "", "marker": "X", "markersize": 5.5, "markerfacecolor": DEAD,
    "markeredgecolor": "white", "markeredgewidth": 0.4,
}  # fmt: skip


class _Layer(NamedTuple):
    name: str
    states: UnitStates
    gradients: Floats
    updates: Floats


def draw_gradients(record: EpochRecord, title: str) -> Figure:
    """One point per unit, one column per ReLU layer: gradient norm and update size by firing rate.

    Exact zeros are in grey strips next to the logarithmic axes.
    """
    layers = _layers(record)
    if not layers:
        return blank(_nothing(record), title)
    blocks, columns = rows_and_columns(len(layers))
    figure = new_figure(
        _finding(layers, record),
        f"{title} · each point is a unit · gradient: of its incoming weights, mean over the "
        "watched updates; update: how far weights and bias moved in the epoch; "
        "firing rate: at its end",
        body=blocks * BLOCK + 0.3,
    )
    is_dead = np.concatenate([layer.states.dead for layer in layers])
    looks = [("fires", _LIVE, ~is_dead), ("dead: never fires", _DEAD, is_dead)]
    entries = [Line2D([], [], label=label, **look) for label, look, units in looks if units.any()]
    key(figure, entries, top=blocks * BLOCK + 0.2)
    rates = scale_of(np.array([1 / layers[0].states.samples, 1.0]))
    gradients = scale_of(np.concatenate([layer.gradients for layer in layers]))
    updates = scale_of(np.concatenate([layer.updates for layer in layers]))
    step = (WIDTH - LEFT - RIGHT + GAP) / columns
    for i, layer in enumerate(layers):
        row, column = divmod(i, columns)
        left, low = LEFT + column * step, (blocks - 1 - row) * BLOCK + FOOT
        upper = add_axes_at(figure, (left, low + PANEL + LOWER_HEAD, step - GAP, PANEL))
        lower = add_axes_at(figure, (left, low, step - GAP, PANEL))
        _draw_units(upper, layer.states, layer.gradients, rates, gradients)
        _draw_units(lower, layer.states, layer.updates, rates, updates)
        dead = layer.states.dead
        count = f"{layer.name}: {dead.sum():,} of {dead.size:,} dead"
        head(upper, f"{count}\n")
        if dead.any():
            head(upper, f"{count}\ndead, no gradient: {(layer.gradients[dead] == 0).sum():,}")
            head(lower, f"dead, not moved: {(layer.updates[dead] == 0).sum():,}")
        upper.set_xticklabels(())
        if not column:
            _label_sizes(upper, gradients, "gradient norm")
            _label_sizes(lower, updates, "update size")
    label_below(figure, "firing rate (% of images)")
    return figure


def _layers(record: EpochRecord) -> list[_Layer]:
    return [
        _Layer(layer.name, layer.states, layer.gradient_norms, layer.update_norms)
        for layer in record.layers
        if layer.states is not None
        and layer.gradient_norms is not None
        and layer.update_norms is not None
    ]


def _draw_units(
    axes: Axes, states: UnitStates, sizes: Floats, rate_scale: LogScale, size_scale: LogScale
) -> None:
    for size in ((STRIP, 2), (2, STRIP)):
        axes.add_artist(Rectangle((0, 0), *size, color=STRIP_COLOUR, linewidth=0))
    # The R2 sequence (Roberts 2018) fills the corner where both are 0 evenly, drawing nothing.
    spread = np.outer((0.7548776662, 0.5698402910), np.arange(sizes.size)) % 1
    x = rate_scale.positions(states.firing_rate, spread[0])
    y = size_scale.positions(sizes, spread[1])
    axes.plot(x[~states.dead], y[~states.dead], **_LIVE)
    axes.plot(x[states.dead], y[states.dead], **_DEAD)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    rates = rate_scale.ticks(4)
    labels = [f"{100 * 10.0**power:g}" for power in rates.values()]
    axes.set_xticks([STRIP / 2, *rates], ["0", *labels])
    axes.set_yticks([STRIP / 2, *size_scale.ticks(6)], ())


def _label_sizes(axes: Axes, scale: LogScale, label: str) -> None:
    axes.set_yticklabels(["0", *(power_of_ten(power) for power in scale.ticks(6).values())])
    axes.set_ylabel(label, fontsize=NORMAL)


def _nothing(record: EpochRecord) -> str:
    if all(layer.states is None for layer in record.layers):
        return "No ReLU, so no unit is ever closed and cut off from its gradient"
    if not record.epoch:
        return "Before training there is no gradient"
    return "No update was watched, so no gradient is known"


def _finding(layers: Sequence[_Layer], record: EpochRecord) -> str:
    return gradient_title(
        np.concatenate([layer.gradients for layer in layers]) == 0,
        np.concatenate([layer.states.dead for layer in layers]),
        record.epoch,
        is_diverged=record.ending == "diverged",
    )
