"""The life chart: which units died, which came back, and whether they moved while dead."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pipeline.plots.figure_layout import blank, count_epochs, evenly, head, panel_figure, patches
from pipeline.plots.style import ALIVE, DEAD, DEAD_MOVING, INK, PALE, SMALL
from pipeline.records import History, turnover
from pipeline.records.words import counted

Cells = NDArray[np.bool_]

MOST_UNITS = 60
# Inches: of a unit's row, and of a panel at least and at most.
ROW, LEAST, MOST = 0.09, 1.1, 4.5
_PALETTE = np.array([to_rgb(colour) for colour in (ALIVE, DEAD, DEAD_MOVING)])
_STATES = {
    "dead, weights unchanged": DEAD,
    "dead, weights moved": DEAD_MOVING,
    "alive": ALIVE,
}


def _event(label: str, marker: str, face: str, size: float) -> dict[str, Any]:
    return {
        "label": label,
        "linestyle": "",
        "marker": marker,
        "markersize": size,
        "markerfacecolor": face,
        "markeredgecolor": "white" if face == INK else INK,
        "markeredgewidth": 0.6,
    }


_EVENTS = {
    "born": _event("born dead", "s", INK, 4.5),
    "died": _event("died", "X", INK, 6.0),
    "revived_by_weights": _event("revived, own weights moved", "^", INK, 6.0),
    "revived_by_inputs": _event("revived, only its inputs moved", "^", "white", 5.0),
}


@dataclass(frozen=True)
class _Layer:
    """The units of one ReLU layer that were dead at the end of an epoch, the lowest row first.

    Units that are dead at the end come first, then the others; among them those dead longest, then
    those dead earliest.

    Attributes:
        name: of the layer.
        units: how many it has, including those never dead.
        dead: at the end of each epoch, from epoch 0, shape (rows, epochs).
        moved: dead, although the unit's weights moved in that epoch, shape (rows, epochs).
        events: what happened to a unit in each epoch, or at birth, shape (rows, epochs) each.
    """

    name: str
    units: int
    dead: Cells
    moved: Cells
    events: dict[str, Cells]


def draw_lives(history: History, title: str) -> Figure:
    """One panel per ReLU layer: a row for each unit that was ever dead, with deaths and revivals.

    A dead unit's cell says whether its weights moved in that epoch anyway: then it may come back
    by itself; otherwise only what feeds it can wake it.
    """
    layers, last = _layers(history), history[-1].epoch
    rows = [len(layer.dead) for layer in layers]
    if not any(rows):
        return blank(_nobody(layers, last), title)
    most = min(max(rows), MOST_UNITS)
    few = f" ({MOST_UNITS} of them, evenly chosen)" if max(rows) > MOST_UNITS else ""
    figure, panels = panel_figure(
        _finding(layers, last),
        f"{title} · each row is a unit that was ever dead{few}, those dead at the end lowest · "
        "states at the end of each epoch, in evaluation mode on the images trained on; "
        "events in between",
        len(layers),
        height=min(max(ROW * most, LEAST), MOST) + 1.25,
        label="units ever dead",
        keys=[patches(_STATES), [Line2D([], [], **look) for look in _EVENTS.values()]],
        title=0.7,
    )
    for axes, layer in zip(panels, layers, strict=True):
        _draw_layer(axes, layer, most)
        axes.yaxis.set_label_coords(-0.04, 0.5)
        count_epochs(axes, last)
        head(axes, _counts(layer))
    return figure


def _layers(history: History) -> list[_Layer]:
    return [
        _layer(history, index)
        for index, layer in enumerate(history[0].layers)
        if layer.states is not None
    ]


def _layer(history: History, index: int) -> _Layer:
    layers = [record.layers[index] for record in history]
    dead = np.stack([layer.states.dead for layer in layers if layer.states is not None], axis=1)
    turnovers = [turnover(before, after) for before, after in pairwise(layers)]
    nothing = np.zeros(len(dead), dtype=np.bool_)
    order = np.lexsort((dead.argmax(axis=1), -dead.sum(axis=1), ~dead[:, -1]))
    rows = order[dead[order].any(axis=1)]

    def cells(name: str) -> Cells:
        return np.stack([nothing, *(getattr(found, name) for found in turnovers)], axis=1)[rows]

    born = np.zeros_like(dead)
    born[:, 0] = dead[:, 0]
    return _Layer(
        name=layers[0].name,
        units=len(dead),
        dead=dead[rows],
        moved=dead[rows] & cells("moved"),
        events={name: born[rows] if name == "born" else cells(name) for name in _EVENTS},
    )


def _draw_layer(axes: Axes, layer: _Layer, most: int) -> None:
    axes.set_ylim(0, most)
    axes.set_yticks(())
    axes.spines["left"].set_visible(False)
    if not layer.dead.size:
        text = axes.text(0.5, 0.05, "none was ever dead", ha="center", transform=axes.transAxes)
        text.set(fontsize=SMALL, color=PALE)
        return
    chosen = evenly(len(layer.dead), MOST_UNITS)
    right = layer.dead.shape[1] - 0.5
    axes.imshow(
        _PALETTE[np.where(layer.moved, 2, layer.dead)[chosen]],
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(-0.5, right, 0, len(chosen)),
    )
    axes.hlines(range(1, len(chosen)), -0.5, right, color="white", linewidth=1)
    for name, look in _EVENTS.items():
        units, epochs = np.nonzero(layer.events[name][chosen])
        axes.plot(epochs - 0.5, units + 0.5, clip_on=False, **look)
    axes.set_ylim(0, most)


def _counts(layer: _Layer) -> str:
    born, died, by_weights, by_inputs = (int(layer.events[name].sum()) for name in _EVENTS)
    return (
        f"{layer.name}: {len(layer.dead):,} of {layer.units:,} units\n"
        f"{born:,} born dead, {died:,} died\n"
        f"revived: {by_weights:,} ▲ {by_inputs:,} △"
    )


def _nobody(layers: Sequence[_Layer], last: int) -> str:
    if not layers:
        return "No ReLU, so no unit can be dead"
    after = f", and none died in {counted(last, 'epoch')}" if last else ""
    return f"No unit was born dead{after}"


def _finding(layers: Sequence[_Layer], last: int) -> str:
    born, died, by_weights, by_inputs = (
        sum(int(layer.events[name].sum()) for layer in layers) for name in _EVENTS
    )
    dead = f"{counted(born, 'unit')} born dead"
    if not last:
        return dead
    revived = by_weights + by_inputs
    return (
        f"{dead}, {counted(died, 'death')} and {counted(revived, 'revival')} in "
        f"{counted(last, 'epoch')}"
        + (f"; {by_inputs:,} of these by inputs alone" if revived else "")
    )
