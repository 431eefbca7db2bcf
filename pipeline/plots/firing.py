"""The figure of how often each unit fires, and the same for every epoch as a film of pictures."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pipeline.plots.figure_layout import blank, head, panel_figure
from pipeline.plots.style import ALWAYS_ON, DEAD, DEAD_BAND, FIRING, PALE, SMALL
from pipeline.plots.titles import firing_title
from pipeline.records import EpochRecord, History
from why_zero.records import UnitStates

# Pixels: of a frame's sides, between its layers, and from one stripe of a dead unit to the next.
SIDE, GAP, STRIPES = 512, 10, 10
# Of a frame: the ground, then what is in it.
_COLOURS = ("white", FIRING, ALWAYS_ON, DEAD_BAND["facecolor"], DEAD, PALE)
_, _SOME, _ALWAYS, _SHADE, _STRIPE, _FLOOR = range(len(_COLOURS))
_PALETTE = np.array([[round(255 * part) for part in to_rgb(c)] for c in _COLOURS], dtype=np.uint8)


def draw_firing_rates(record: EpochRecord, title: str) -> Figure:
    """One panel per ReLU layer: its units' firing rates, sorted.

    A dead unit has no height, so the place of the dead is a shaded band.
    """
    layers = record.states
    if not layers:
        return blank(_finding(record), title)
    dead, always = (
        np.concatenate([getattr(states, name) for states in layers.values()])
        for name in ("dead", "always_on")
    )
    entries = [
        (~dead & ~always, Patch(label="fires for some", facecolor=FIRING)),
        (dead, Patch(label="dead: never fires", **DEAD_BAND)),
        (always, Patch(label="always on", facecolor=ALWAYS_ON)),
    ]
    figure, panels = panel_figure(
        _finding(record),
        f"{title} · share of the {next(iter(layers.values())).samples:,} images trained on "
        "for which a unit fires (z > 0), in evaluation mode",
        len(layers),
        height=3.1,
        label="firing rate (% of images)",
        below="units, sorted (%)",
        keys=[[patch for units, patch in entries if units.any()]],
        title=0.6,
    )
    for axes, (name, states) in zip(panels, layers.items(), strict=True):
        _draw_bars(axes, states)
        head(axes, _panel_head(name, states))
        axes.set_xlim(0, 1)
        axes.set_xticks((0, 0.5, 1), ("0", "50", "100"))
    return figure


def film_firing_rates(history: History) -> list[NDArray[np.uint8]]:
    """A square picture for each record, shape (SIDE, SIDE, 3); none at all without ReLU.

    As `draw_firing_rates`, layer below layer and without any text, which nobody could read: the
    UI shows such pictures at half their size.
    """
    if not history[0].states:
        return []
    return [_frame(list(record.states.values())) for record in history]


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
    if always < rates.size:
        axes.axvspan(edges[always], 1, facecolor=ALWAYS_ON, linewidth=0)
    if dead:
        axes.axvspan(0, edges[dead], **DEAD_BAND)
        # In the band where it is wide, otherwise beside it, where bars are lowest.
        is_wide = edges[dead] > 0.5
        label = axes.text(edges[dead] / 2 if is_wide else edges[dead] + 0.02, 0.5, f"{dead:,} dead")
        label.set(fontsize=SMALL, color=DEAD, ha="center" if is_wide else "left", va="center")
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85})


def _frame(layers: list[UnitStates]) -> NDArray[np.uint8]:
    """The layers' bars from above to below, a pixel's column a unit or a part of one."""
    cells = np.zeros((SIDE, SIDE), dtype=np.uint8)
    gap = min(GAP, SIDE // (4 * len(layers)))
    height, wide = (SIDE - gap * (len(layers) + 1)) // len(layers), SIDE - 2 * GAP
    above, across = np.arange(height, 0, -1)[:, None], np.arange(wide)
    dead = np.where((above + across) % STRIPES < STRIPES // 4, _STRIPE, _SHADE)
    for index, states in enumerate(layers):
        order = np.argsort(states.fired, kind="stable")[across * states.fired.size // wide]
        top = gap + index * (height + gap)
        band = cells[top : top + height, GAP : GAP + wide]
        band[above <= np.ceil(states.firing_rate[order] * height)] = _SOME
        band[:, states.always_on[order]] = _ALWAYS
        is_dead = states.dead[order]
        band[:, is_dead] = dead[:, is_dead]
        band[-1] = _FLOOR
    return _PALETTE.take(cells, axis=0)  # indexing takes three times as long


def _finding(record: EpochRecord) -> str:
    layers = record.states.values()
    return firing_title(
        sum(int(states.dead.sum()) for states in layers),
        sum(int(states.always_on.sum()) for states in layers),
        sum(states.fired.size for states in layers),
        record.epoch,
        is_diverged=record.ending == "diverged",
    )


def _panel_head(name: str, states: UnitStates) -> str:
    dead, always = states.dead.sum(), states.always_on.sum()
    return f"{name}: {dead:,} of {states.fired.size:,} dead\n{always:,} always on"
