"""The figure of how often each unit fires: one epoch of one network, or all of them as a film."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.plots.figure_layout import blank, head, panel_figure, patches
from pipeline.plots.style import ALWAYS_ON, DEAD, FIRING, NORMAL
from pipeline.records import EpochRecord, History
from why_zero.records import UnitStates

_COLOURS = {"fires for some": FIRING, "dead: never fires": DEAD, "always on": ALWAYS_ON}


def draw_firing_rates(record: EpochRecord, title: str) -> Figure:
    """One panel per ReLU layer: its units' firing rates, sorted, dead and always-on ones marked.

    Axes and layout are the same for every epoch of a network, so that a slider animates them.
    """
    layers = _relu_layers(record)
    if not layers:
        return blank(_finding(record), title)
    samples = next(iter(layers.values())).samples
    figure, panels = panel_figure(
        _finding(record),
        f"{title} · share of the {samples:,} images trained on for which a unit fires (z > 0), "
        "in evaluation mode",
        len(layers),
        height=3.1,
        label="firing rate (% of images)",
        keys=[patches(_COLOURS)],
        title=0.6,
    )
    for axes, (name, states) in zip(panels, layers.items(), strict=True):
        _draw_bars(axes, states)
        head(axes, _panel_head(name, states))
        axes.set_xlim(0, 1)
        axes.set_xticks((0, 0.5, 1), ("0", "50", "100"))
        axes.set_xlabel("units, sorted (%)", fontsize=NORMAL)
    return figure


def film_firing_rates(history: History, title: str) -> list[NDArray[np.uint8]]:
    """The pixels of `draw_firing_rates` for each record, shape (height, width, 3).

    Axes, ticks and key stay; only bars, spines before them and headings are drawn for each.
    """
    figure = draw_firing_rates(history[0], title)
    canvas = FigureCanvasAgg(figure)
    panels, heading = figure.axes, figure.texts[0]
    spines = [spine for axes in panels for spine in axes.spines.values() if spine.get_visible()]
    for axes in panels:
        _empty(axes)
    for artist in (heading, *spines):
        artist.set_visible(False)
    canvas.draw()
    ground = canvas.copy_from_bbox(figure.bbox)
    for artist in (heading, *spines):
        artist.set_visible(True)
    frames = []
    for record in history:
        canvas.restore_region(ground)
        heading.set_text(_finding(record))
        drawn: list[Artist] = [heading]
        for axes, (name, states) in zip(panels, _relu_layers(record).items(), strict=True):
            drawn += _fill(axes, name, states)
        for artist in (*drawn, *spines):
            artist.draw(canvas.get_renderer())
        frames.append(np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[..., :3].copy())
    return frames


def _relu_layers(record: EpochRecord) -> dict[str, UnitStates]:
    """The states of the layers that have any, by name."""
    return {layer.name: layer.states for layer in record.layers if layer.states is not None}


def _draw_bars(axes: Axes, states: UnitStates) -> None:
    """A layer's firing rates, sorted, in axes from 0 to 1."""
    rates = np.sort(states.firing_rate)
    edges = np.arange(rates.size + 1) / rates.size
    dead = int(states.dead.sum())
    always = rates.size - int(states.always_on.sum())
    if dead < always:
        # `stairs` would loop over the steps in Python.
        tops = np.repeat(rates[dead:always], 2)
        sides = np.repeat(edges[dead : always + 1], 2)[1:-1]
        axes.fill_between(sides, tops, facecolor=FIRING, linewidth=0)
    if dead:
        axes.axvspan(0, edges[dead], facecolor=DEAD, linewidth=0)
    if always < rates.size:
        axes.axvspan(edges[always], 1, facecolor=ALWAYS_ON, linewidth=0)


def _finding(record: EpochRecord) -> str:
    layers = _relu_layers(record).values()
    if not layers:
        return "No ReLU, so every unit always passes its value on"
    when = f"After epoch {record.epoch}" if record.epoch else "Before training"
    dead = sum(int(states.dead.sum()) for states in layers)
    always = sum(int(states.always_on.sum()) for states in layers)
    units = sum(states.fired.size for states in layers)
    return f"{when}, {dead:,} of {units:,} ReLU units are dead and {always:,} always on"


def _panel_head(name: str, states: UnitStates) -> str:
    dead, always = states.dead.sum(), states.always_on.sum()
    return f"{name}: {dead:,} of {states.fired.size:,} dead\n{always:,} always on"


def _empty(axes: Axes) -> None:
    """Remove what was drawn for an epoch."""
    for artist in (*axes.collections, *axes.patches):
        artist.remove()
    head(axes, "")


def _fill(axes: Axes, name: str, states: UnitStates) -> list[Artist]:
    """Draw an epoch's bars and head into the axes, and return what is to be rastered."""
    _empty(axes)
    _draw_bars(axes, states)
    return [*axes.collections, *axes.patches, head(axes, _panel_head(name, states))]
