"""The life chart: which units died, which came back, and whether they moved while dead."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pipeline.plots.choice import evenly
from pipeline.plots.fates import Fates, fates
from pipeline.plots.figure_layout import blank, count_epochs, grid, head, key, new_figure, table
from pipeline.plots.style import ALIVE, DEAD, DEAD_MOVING, INK, PALE, SMALL
from pipeline.records import History
from pipeline.records.words import counted

MOST_UNITS = 60
# Inches: of a unit's row, and of a panel at least and at most.
ROW, LEAST, MOST = 0.09, 1.1, 4.5
_PALETTE = np.array([to_rgb(colour) for colour in (ALIVE, DEAD, DEAD_MOVING)])


@dataclass(frozen=True)
class _Event:
    label: str
    marker: str
    face: str
    size: float

    @property
    def look(self) -> dict[str, Any]:
        return {
            "linestyle": "",
            "marker": self.marker,
            "markersize": self.size,
            "markerfacecolor": self.face,
            "markeredgecolor": "white" if self.face == INK else INK,
            "markeredgewidth": 0.6,
        }


_EVENTS = {
    "born": _Event("born dead", "s", INK, 4.5),
    "died": _Event("died", "X", INK, 6.0),
    "revived_by_weights": _Event("revived, own weights moved", "^", INK, 6.0),
    "revived_by_inputs": _Event("revived, only its inputs moved", "^", "white", 5.0),
}


def draw_lives(history: History, title: str) -> Figure:
    """A panel a ReLU layer: a row for each unit that was ever dead, its deaths and revivals marked.

    A dead unit's cell says whether its weights moved in that epoch all the same: then it may come
    back by itself; otherwise only what feeds it can wake it.

    Args:
        history: the records of one network, epoch 0 first.
        title: whose they are.
    """
    layers, last = fates(history), history[-1].epoch
    if not any(len(one.dead) for one in layers):
        return blank(_nobody(layers, last), title)
    most = min(max(len(one.dead) for one in layers), MOST_UNITS)
    panel = min(max(ROW * most, LEAST), MOST)
    rows, _ = table(len(layers))
    height = panel + 1.25
    few = (
        f" ({MOST_UNITS} of them, evenly)" if any(len(x.dead) > MOST_UNITS for x in layers) else ""
    )
    figure = new_figure(
        _finding(layers, last),
        f"{title} · a row is a unit that was ever dead{few}, lowest those dead at last · states at "
        "each epoch's end, in evaluation mode on the images trained on; events stand in between",
        body=rows * height + 0.55,
    )
    _explain(figure, rows * height + 0.5)
    panels = grid(
        figure, len(layers), label="units ever dead", bottom=0.55, height=height, title=0.7
    )
    for axes, one in zip(panels, layers, strict=True):
        _draw_layer(axes, one, most)
        axes.yaxis.set_label_coords(-0.04, 0.5)
        count_epochs(axes, last)
        head(axes, _counts(one))
    return figure


def _explain(figure: Figure, top: float) -> None:
    looks = {
        "dead, its weights still": DEAD,
        "dead, yet its weights moved": DEAD_MOVING,
        "alive": ALIVE,
    }
    key(figure, [Patch(facecolor=colour, label=label) for label, colour in looks.items()], top=top)
    events = [Line2D([], [], label=event.label, **event.look) for event in _EVENTS.values()]
    key(figure, events, top=top - 0.24)


def _draw_layer(axes: Axes, one: Fates, most: int) -> None:
    axes.set_ylim(0, most)
    axes.set_yticks(())
    axes.spines["left"].set_visible(False)
    if not one.dead.size:
        axes.text(
            0.5,
            0.05,
            "none was ever dead",
            ha="center",
            transform=axes.transAxes,
            fontsize=SMALL,
            color=PALE,
        )
        return
    chosen = evenly(len(one.dead), MOST_UNITS)
    cells = np.where(one.moved, 2, one.dead)[chosen]
    axes.imshow(
        _PALETTE[cells],
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(-0.5, one.dead.shape[1] - 0.5, 0, len(chosen)),
    )
    axes.hlines(range(1, len(chosen)), -0.5, one.dead.shape[1] - 0.5, color="white", linewidth=1)
    for name, event in _EVENTS.items():
        units, epochs = np.nonzero(getattr(one, name)[chosen])
        axes.plot(epochs - 0.5, units + 0.5, clip_on=False, **event.look)
    axes.set_ylim(0, most)


def _counts(one: Fates) -> str:
    by_weights, by_inputs = one.revived_by_weights.sum(), one.revived_by_inputs.sum()
    return (
        f"{one.layer}: {len(one.dead):,} of {one.units:,} units\n"
        f"{one.born.sum():,} born dead, {one.died.sum():,} died\n"
        f"revived: {by_weights:,} ▲ {by_inputs:,} △"
    )


def _nobody(layers: Sequence[Fates], last: int) -> str:
    if not layers:
        return "No ReLU, so no unit can be dead"
    after = f", and none died in {counted(last, 'epoch')}" if last else ""
    return f"No unit was born dead{after}"


def _finding(layers: Sequence[Fates], last: int) -> str:
    kinds = ("born", "died", "revived_by_weights", "revived_by_inputs")
    born, died, by_weights, by_inputs = (
        sum(int(getattr(one, kind).sum()) for one in layers) for kind in kinds
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
