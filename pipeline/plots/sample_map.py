"""The map of units by samples in two passes: speckle, pattern and stripe."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.plots import style
from pipeline.plots.figure_layout import (
    RIGHT,
    WIDTH,
    add_axes_at,
    blank,
    evenly,
    head,
    key,
    new_figure,
    patches,
)
from pipeline.plots.style import CHANGED, DEAD, DEAD_DROPPED, NORMAL
from pipeline.records import CauseMap
from pipeline.records.words import counted, percent
from why_zero.records import CAUSES

MOST_UNITS = 40
MOST_SAMPLES = 60
# Inches: of a unit's row, of a layer's least height, of its title, between and beside panels.
ROW = 0.04
LEAST = 0.45
TITLE = 0.32
GAP = 0.2
MARGIN = 0.4

# In the order of `CAUSES`; then what replaces the closed cells of a dead unit: two reds, so near
# each other that its row is one stripe, and yet dropout's part of it is not lost; then what ReLU
# did in one pass only.
_COLOURS = (*(style.CAUSE_LOOKS[cause].colour for cause in CAUSES), DEAD, DEAD_DROPPED, CHANGED)
_PALETTE = np.array([[round(255 * part) for part in to_rgb(c)] for c in _COLOURS], dtype=np.uint8)
_ACTIVE, _DROPPED, _INACTIVE, _, _DEAD, _DEAD_DROPPED, _CHANGED = range(len(_COLOURS))
_IN_A_DEAD_UNIT = np.array([_ACTIVE, _DROPPED, _DEAD, _DEAD_DROPPED])


def draw_sample_map(maps: Sequence[CauseMap], title: str) -> Figure:
    """Three panels per layer, units by samples: two passes, and what ReLU did in both.

    Rows are sorted from below: first the dead, then by how often a unit was open in both passes.

    Args:
        maps: one for each ReLU layer, of two passes over the same samples; more are not drawn.
        title: which network.
    """
    if not maps:
        return blank("No ReLU, so no unit is ever closed", title)
    samples = min(maps[0].causes.shape[1], MOST_SAMPLES)
    heights = [max(ROW * min(cause_map.dead.size, MOST_UNITS), LEAST) for cause_map in maps]
    body = sum(heights) + TITLE * len(maps) + 0.8
    figure = new_figure(
        _finding(maps),
        f"{title} · rows are units, the dead lowest; columns are images · only the dropout masks "
        "change between passes · right: what ReLU did in both, without dropout",
        body=body,
    )
    _explain(figure, body)
    wide = (WIDTH - MARGIN - RIGHT - 2 * GAP) / 3
    low = body - 0.52
    for cause_map, height in zip(maps, heights, strict=True):
        low -= TITLE + height
        for i, (cells, text) in enumerate(zip(_cells(cause_map), _heads(cause_map), strict=True)):
            axes = add_axes_at(figure, (MARGIN + i * (wide + GAP), low, wide, height))
            _draw_cells(axes, cells[:, :samples])
            head(axes, text)
    for axes in figure.axes[-3:]:
        axes.set_xlabel(f"{samples} images", fontsize=NORMAL)
    for axes, cause_map in zip(figure.axes[::3], maps, strict=True):
        axes.set_ylabel(_count(cause_map), fontsize=NORMAL)
    return figure


def _explain(figure: Figure, body: float) -> None:
    causes = {look.label: look.colour for look in style.CAUSE_LOOKS.values()}
    others = {
        "closed in a dead unit": DEAD,
        "the same, and dropped": DEAD_DROPPED,
        "ReLU closed it in one pass only": CHANGED,
    }
    key(figure, patches(causes), top=body, left=MARGIN)
    key(figure, patches(others), top=body - 0.24, left=MARGIN)


def _cells(cause_map: CauseMap) -> NDArray[np.intp]:
    """Rows of the palette, shape (3, units drawn, samples), the lowest unit first."""
    is_closed = cause_map.is_closed[:2]
    order = np.lexsort(((~is_closed).sum(axis=(0, 1)), ~cause_map.dead))
    chosen = order[evenly(order.size, MOST_UNITS)]
    first, second = cause_map.causes[:2].astype(np.intp)
    both = np.where(is_closed[0], _INACTIVE, _ACTIVE)
    both[is_closed[0] != is_closed[1]] = _CHANGED
    cells = np.stack([first, second, both])[:, :, chosen]
    in_a_dead_unit = np.where(cells < len(_IN_A_DEAD_UNIT), _IN_A_DEAD_UNIT[cells % 4], cells)
    return np.where(cause_map.dead[chosen], in_a_dead_unit, cells).swapaxes(1, 2)


def _draw_cells(axes: Axes, cells: NDArray[np.intp]) -> None:
    axes.imshow(_PALETTE[cells], origin="lower", aspect="auto", interpolation="nearest")
    axes.set_xticks(())
    axes.set_yticks(())
    axes.spines[:].set_visible(False)


def _count(cause_map: CauseMap) -> str:
    units = cause_map.dead.size
    if units > MOST_UNITS:
        return f"{MOST_UNITS} of {units:,} units"
    return counted(units, "unit")


def _heads(cause_map: CauseMap) -> tuple[str, str, str]:
    return (
        f"{cause_map.layer}, first pass: {cause_map.dead.sum():,} of {cause_map.dead.size:,} dead",
        f"second pass: dropout differs in {percent(_changed(cause_map.is_dropped), 0)}",
        f"both passes: ReLU differs in {percent(_changed(cause_map.is_closed), 0)}",
    )


def _changed(cells: NDArray[np.bool_]) -> float:
    return float((cells[0] != cells[1]).mean())


def _finding(maps: Sequence[CauseMap]) -> str:
    pairs = [cause_map.causes[0].size for cause_map in maps]
    dropped = float(
        np.average([_changed(cause_map.is_dropped) for cause_map in maps], weights=pairs)
    )
    closed = float(np.average([_changed(cause_map.is_closed) for cause_map in maps], weights=pairs))
    dead = sum(int(cause_map.dead.sum()) for cause_map in maps)
    fired = sum(
        int((cause_map.dead & ~cause_map.is_closed[:2].all(axis=(0, 1))).sum())
        for cause_map in maps
    )
    stripes = f"{fired:,} of {dead:,} dead units fire" if dead else "no unit is dead"
    return (
        f"Same images twice: dropout differs in {percent(dropped, 0)} of cells, "
        f"ReLU in {percent(closed, 0)}; {stripes}"
    )
