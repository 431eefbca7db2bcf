"""The life chart: which units died, which came back, and whether they moved while dead."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pipeline.plots.cells import show_cells
from pipeline.plots.figure_layout import (
    EPOCHS,
    blank,
    count_epochs,
    evenly,
    head,
    panel_figure,
    patches,
)
from pipeline.plots.style import ALIVE, DEAD, DEAD_MOVING, INK, SMALL
from pipeline.plots.titles import lives_title
from pipeline.records import EpochRecord, History, turnover

Cells = NDArray[np.bool_]

MOST_ROWS = 40
# Inches: of a row, and of a panel at least and at most.
ROW, LEAST, MOST = 0.13, 1.1, 4.6
_STATES = {
    "alive": ALIVE,
    "dead, weights unchanged": DEAD,
    "dead, weights moved": DEAD_MOVING,
}
_PALETTE = np.array([to_rgb(colour) for colour in _STATES.values()])


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
    "revived_by_recycling": _event("revived, recycled before", "*", INK, 8.0),
}


@dataclass(frozen=True)
class _Layer:
    """The units of one ReLU layer that were dead at the end of an epoch, the lowest row first.

    Units to which the same happened in every epoch share a row. Those that are dead at the end come
    first, then the others; among them those dead longest, then those dead earliest.

    Attributes:
        name: of the layer.
        units: how many it has, including those never dead.
        alike: how many units each row stands for, shape (rows,).
        dead: at the end of each epoch, from epoch 0, shape (rows, epochs).
        moved: dead, although the units' weights moved in that epoch, shape (rows, epochs).
        events: what happened in each epoch, or at birth, shape (rows, epochs) each.
    """

    name: str
    units: int
    alike: NDArray[np.intp]
    dead: Cells
    moved: Cells
    events: dict[str, Cells]

    def count(self, event: str) -> int:
        """How often an event happened, over all units and epochs."""
        return int((self.events[event].sum(axis=1) * self.alike).sum())


def draw_lives(history: History, title: str) -> Figure:
    """One panel per ReLU layer with units that were ever dead: a row for each way they lived.

    A dead unit's cell says whether its weights moved in that epoch anyway: then it may come back
    by itself; otherwise only what feeds it can wake it.
    """
    layers, last = _layers(history), history[-1].epoch
    finding = _finding(layers, history[-1])
    shown = [layer for layer in layers if layer.dead.size]
    if not shown:
        return blank(finding, title)
    rows = [len(layer.dead) for layer in shown]
    most = min(max(rows), MOST_ROWS)
    few = f" ({MOST_ROWS} of these, evenly chosen)" if max(rows) > MOST_ROWS else ""
    never = [layer.name for layer in layers if not layer.dead.size]
    figure, panels = panel_figure(
        finding,
        f"{title} · each row is a unit that was ever dead, or several (×) that lived alike{few}, "
        "those dead at the end lowest · states at the end of each epoch, in evaluation mode on the "
        "images trained on; events in between"
        + (f" · never dead: units of {', '.join(never)}" if never else ""),
        len(shown),
        height=min(max(ROW * most, LEAST), MOST) + 1.3,
        label="units ever dead",
        below=EPOCHS,
        keys=_keys(shown),
        title=0.75,
        gap=0.5,
    )
    for axes, layer in zip(panels, shown, strict=True):
        _draw_layer(axes, layer, most)
        count_epochs(axes, last)
        head(axes, _counts(layer))
    return figure


def _keys(layers: Sequence[_Layer]) -> list[list[Artist]]:
    """Entries for what there is: states of cells, then events."""
    cells = [np.where(layer.moved, 2, layer.dead) for layer in layers]
    states = {
        name: colour
        for index, (name, colour) in enumerate(_STATES.items())
        if any(bool((values == index).any()) for values in cells)
    }
    events: list[Artist] = [
        Line2D([], [], **look)
        for name, look in _EVENTS.items()
        if any(layer.count(name) for layer in layers)
    ]
    return [[*patches(states)], events]


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

    def cells(name: str) -> Cells:
        return np.stack([nothing, *(getattr(found, name) for found in turnovers)], axis=1)

    born = np.zeros_like(dead)
    born[:, 0] = dead[:, 0]
    moved = dead & cells("moved")
    events = {name: born if name == "born" else cells(name) for name in _EVENTS}
    ever = order[dead[order].any(axis=1)]
    lives = np.concatenate([dead, moved, *events.values()], axis=1)[ever]
    _, firsts, alike = np.unique(lives, axis=0, return_index=True, return_counts=True)
    rows = ever[np.sort(firsts)]
    return _Layer(
        name=layers[0].name,
        units=len(dead),
        alike=alike[np.argsort(firsts)],
        dead=dead[rows],
        moved=moved[rows],
        events={name: happened[rows] for name, happened in events.items()},
    )


def _draw_layer(axes: Axes, layer: _Layer, most: int) -> None:
    axes.set_yticks(())
    axes.spines["left"].set_visible(False)
    chosen = evenly(len(layer.dead), MOST_ROWS)
    right = layer.dead.shape[1] - 0.5
    show_cells(
        axes,
        _PALETTE[np.where(layer.moved, 2, layer.dead)[chosen]],
        origin="lower",
        extent=(-0.5, right, 0.0, float(len(chosen))),
    )
    axes.hlines(range(1, len(chosen)), -0.5, right, color="white", linewidth=1)
    for name, look in _EVENTS.items():
        units, epochs = np.nonzero(layer.events[name][chosen])
        axes.plot(epochs - 0.5, units + 0.5, clip_on=False, **look)
    for row, many in enumerate(layer.alike[chosen]):
        if many > 1:
            axes.annotate(
                f"{many:,} ×",
                (-0.5, row + 0.5),
                (-5, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=SMALL - 1,
                color=INK,
            )
    axes.set_ylim(0, most)


def _counts(layer: _Layer) -> str:
    born, died, by_weights, by_inputs, recycled = (layer.count(name) for name in _EVENTS)

    def said(*parts: tuple[int, str]) -> str:
        return ", ".join(f"{number:,} {what}" for number, what in parts if number)

    revived = said((by_weights, "▲"), (by_inputs, "△"), (recycled, "★"))
    return (
        f"{layer.name}: {layer.alike.sum():,} of {layer.units:,} units\n"
        f"{said((born, 'born dead'), (died, 'died'))}\n{revived or 'none'} came back"
    )


def _finding(layers: Sequence[_Layer], last: EpochRecord) -> str:
    return lives_title(
        {name: sum(layer.count(name) for layer in layers) for name in _EVENTS},
        sum(layer.units for layer in layers),
        last.epoch,
        is_diverged=last.ending == "diverged",
    )
