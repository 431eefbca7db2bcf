"""The map of units by samples in two passes: speckle, pattern and stripe."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.plots import style
from pipeline.plots.cells import show_cells
from pipeline.plots.figure_layout import (
    RIGHT,
    WIDTH,
    add_axes_at,
    blank,
    evenly,
    head,
    key,
    label_below,
    new_figure,
    patches,
)
from pipeline.plots.style import CHANGED, DEAD, DEAD_DROPPED, NORMAL
from pipeline.plots.titles import one_pass_title, passes_title
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
KEY = 0.24

# In the order of `CAUSES`; then what replaces the closed cells of a dead unit: two reds, so near
# each other that its row is one stripe, and yet dropout's part of it is not lost; then what ReLU
# did in one pass only.
_COLOURS = (*(style.CAUSE_LOOKS[cause].colour for cause in CAUSES), DEAD, DEAD_DROPPED, CHANGED)
_LABELS = (
    *(style.CAUSE_LOOKS[cause].label for cause in CAUSES),
    "closed in a dead unit",
    "the same, and dropped",
    "ReLU closed it in one pass only",
)
_PALETTE = np.array([[round(255 * part) for part in to_rgb(c)] for c in _COLOURS], dtype=np.uint8)
_ACTIVE, _DROPPED, _INACTIVE, _, _DEAD, _DEAD_DROPPED, _CHANGED = range(len(_COLOURS))
_IN_A_DEAD_UNIT = np.array([_ACTIVE, _DROPPED, _DEAD, _DEAD_DROPPED])


def draw_sample_map(maps: Sequence[CauseMap], title: str) -> Figure:
    """Three panels per layer, units by samples: two passes, and what ReLU did in both.

    Without dropout every pass is the same, so there is one panel per layer. Rows are sorted from
    below: first the dead, then by how often a unit was open in both passes.

    Args:
        maps: one for each ReLU layer, of two passes over the same samples; more are not drawn.
        title: which network.
    """
    if not maps:
        return blank("No ReLU, so no unit is ever closed", title)
    has_dropout = any(bool(cause_map.is_dropped[:2].any()) for cause_map in maps)
    samples = min(maps[0].causes.shape[1], MOST_SAMPLES)
    heights = [max(ROW * min(cause_map.dead.size, MOST_UNITS), LEAST) for cause_map in maps]
    cells = [_cells(cause_map)[: None if has_dropout else 1, ..., :samples] for cause_map in maps]
    keys = _keys(cells)
    body = sum(heights) + TITLE * len(maps) + 0.32 + KEY * len(keys)
    passes = (
        " · only the dropout masks change between passes · right: what ReLU did in both, without "
        "dropout"
    )
    figure = new_figure(
        _finding(maps, has_dropout=has_dropout),
        f"{title} · rows are units, the dead lowest; columns are images{passes * has_dropout}",
        body=body,
    )
    for index, entries in enumerate(keys):
        key(figure, patches(entries), top=body - KEY * index, left=MARGIN)
    columns = 3 if has_dropout else 1
    wide = (WIDTH - MARGIN - RIGHT - (columns - 1) * GAP) / columns
    low = body - KEY * len(keys) - 0.04
    for cause_map, panels, height in zip(maps, cells, heights, strict=True):
        low -= TITLE + height
        heads = _heads(cause_map, has_dropout=has_dropout)
        for i, (panel, text) in enumerate(zip(panels, heads, strict=True)):
            axes = add_axes_at(figure, (MARGIN + i * (wide + GAP), low, wide, height))
            _draw_cells(axes, panel)
            head(axes, text)
    for axes, cause_map in zip(figure.axes[::columns], maps, strict=True):
        axes.set_ylabel(_count(cause_map), fontsize=NORMAL)
    label_below(figure, counted(samples, "image"), left=MARGIN, bottom=0.07)
    return figure


def _keys(panels: Sequence[NDArray[np.intp]]) -> list[dict[str, str]]:
    """The colours that are there, by what they mean, a row of four at most."""
    there = np.unique(np.concatenate([cells.ravel() for cells in panels])).tolist()
    rows = [there[:4], there[4:]]
    return [{_LABELS[index]: _COLOURS[index] for index in row} for row in rows if row]


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
    show_cells(axes, _PALETTE[cells], origin="lower")
    axes.set_xticks(())
    axes.set_yticks(())
    axes.spines[:].set_visible(False)


def _count(cause_map: CauseMap) -> str:
    units = cause_map.dead.size
    if units > MOST_UNITS:
        return f"{MOST_UNITS} of {units:,} units"
    return counted(units, "unit")


def _heads(cause_map: CauseMap, *, has_dropout: bool) -> tuple[str, ...]:
    dead = f"{cause_map.dead.sum():,} of {cause_map.dead.size:,} dead"
    if not has_dropout:
        return (f"{cause_map.layer}: {dead}",)
    return (
        f"{cause_map.layer}, first pass: {dead}",
        f"second pass: dropout differs in {percent(_changed(cause_map.is_dropped), 0)}",
        f"both passes: ReLU differs in {percent(_changed(cause_map.is_closed), 0)}",
    )


def _changed(cells: NDArray[np.bool_]) -> float:
    return float((cells[0] != cells[1]).mean())


def _finding(maps: Sequence[CauseMap], *, has_dropout: bool) -> str:
    pairs = [cause_map.causes[0].size for cause_map in maps]

    def mean(shares: Iterable[float]) -> float:
        return float(np.average(list(shares), weights=pairs))

    dead = sum(int(cause_map.dead.sum()) for cause_map in maps)
    if not has_dropout:
        closed = mean(float(cause_map.is_closed[0].mean()) for cause_map in maps)
        return one_pass_title(closed, dead=dead, units=sum(one.dead.size for one in maps))
    fired = sum(
        int((cause_map.dead & ~cause_map.is_closed[:2].all(axis=(0, 1))).sum())
        for cause_map in maps
    )
    return passes_title(
        mean(_changed(cause_map.is_dropped) for cause_map in maps),
        mean(_changed(cause_map.is_closed) for cause_map in maps),
        dead=dead,
        firing=fired,
    )
