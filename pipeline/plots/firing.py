"""The figure of how often each unit fires: one epoch of one network, a panel a layer."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pipeline.plots.figure_layout import blank, grid, head, key, new_figure, table
from pipeline.plots.style import ALWAYS_ON, DEAD, FIRING, NORMAL
from pipeline.records import EpochRecord
from why_zero.records import UnitStates


def draw_firing_rates(record: EpochRecord, title: str) -> Figure:
    """A panel a ReLU layer: its units' firing rates, sorted, dead and always-on ones marked.

    Axes and places are the same for every epoch of a network, so that a slider animates them.

    Args:
        record: one epoch.
        title: whose it is.
    """
    layers = relu_layers(record)
    if not layers:
        return blank(finding(record), title)
    samples = next(iter(layers.values())).samples
    rows, _ = table(len(layers))
    figure = new_figure(
        finding(record),
        f"{title} · share of the {samples:,} images trained on for which a unit fires (z > 0), "
        "in evaluation mode",
        body=rows * 3.1 + 0.3,
    )
    looks = [("fires for some", FIRING), ("dead: never fires", DEAD), ("always on", ALWAYS_ON)]
    key(figure, [Patch(facecolor=c, label=label) for label, c in looks], top=rows * 3.1 + 0.2)
    label = "firing rate (% of images)"
    panels = grid(figure, len(layers), label=label, bottom=0.55, height=3.1, title=0.6)
    for axes, (name, states) in zip(panels, layers.items(), strict=True):
        draw_bars(axes, states)
        head(axes, panel_head(name, states))
        axes.set_xlim(0, 1)
        axes.set_xticks((0, 0.5, 1), ("0", "50", "100"))
        axes.set_xlabel("units, sorted (%)", fontsize=NORMAL)
    return figure


def relu_layers(record: EpochRecord) -> dict[str, UnitStates]:
    """The states of the layers that have any, by name."""
    return {layer.name: layer.states for layer in record.layers if layer.states is not None}


def draw_bars(axes: Axes, states: UnitStates) -> None:
    """A layer's firing rates, sorted, in axes from 0 to 1."""
    rates = np.sort(states.firing_rate)
    edges = np.arange(rates.size + 1) / rates.size
    dead = int(states.dead.sum())
    always = rates.size - int(states.always_on.sum())
    if dead < always:
        # `stairs` would walk over the steps in Python.
        tops = np.repeat(rates[dead:always], 2)
        sides = np.repeat(edges[dead : always + 1], 2)[1:-1]
        axes.fill_between(sides, tops, facecolor=FIRING, linewidth=0)
    if dead:
        axes.axvspan(0, edges[dead], facecolor=DEAD, linewidth=0)
    if always < rates.size:
        axes.axvspan(edges[always], 1, facecolor=ALWAYS_ON, linewidth=0)


def finding(record: EpochRecord) -> str:
    """What the figure shows, in a sentence."""
    layers = relu_layers(record).values()
    if not layers:
        return "No ReLU, so every unit always passes its value on"
    when = f"After epoch {record.epoch}" if record.epoch else "Before training"
    dead = sum(int(states.dead.sum()) for states in layers)
    always = sum(int(states.always_on.sum()) for states in layers)
    units = sum(states.fired.size for states in layers)
    return f"{when}, {dead:,} of {units:,} ReLU units are dead and {always:,} always on"


def panel_head(name: str, states: UnitStates) -> str:
    """What stands above a layer's panel."""
    dead, always = states.dead.sum(), states.always_on.sum()
    return f"{name}: {dead:,} of {states.fired.size:,} dead\n{always:,} always on"
