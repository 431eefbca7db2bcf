"""The figure of what the first layer looks for: its units' weights as images."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from pipeline.plots.figure_layout import (
    RIGHT,
    WIDTH,
    add_axes_at,
    colour_scale,
    evenly,
    key,
    new_figure,
)
from pipeline.plots.style import DEAD, INK, SMALL, WEIGHTS
from pipeline.plots.tile_layout import TileGrid, ratio
from pipeline.plots.titles import weights_title
from pipeline.records.words import percent
from why_zero.records import Floats, UnitStates

COLUMNS = 12
LEAST_PIXELS = 28
# Inches: left of the tiles, between them, and of all rows at most.
MARGIN, GAP, MOST = 1.15, 0.07, 5.8
# The scale ends where only one weight in 200 is beyond: a few large ones would pale the rest.
QUANTILE = 0.995
FRAME: dict[str, Any] = {"facecolor": "none", "edgecolor": DEAD, "linewidth": 2.5}


def draw_first_weights(
    weights: NDArray[np.floating],
    image_shape: tuple[int, int],
    *,
    states: UnitStates | None,
    title: str,
) -> Figure:
    """One tile per unit: its weights, each in the place of the pixel it multiplies.

    Tiles are sorted by firing rate, the dead first and in frames. Where units have no states they
    come in the network's order.

    Args:
        weights: of the first layer, shape (units, height * width).
        image_shape: height and width of the images in pixels.
        states: of the first layer's units; None where it has no ReLU.
        title: which network.
    """
    units = len(weights)
    wide = (WIDTH - MARGIN - RIGHT) / COLUMNS
    high = (wide - GAP) * ratio(image_shape) + GAP
    most = COLUMNS * max(int(MOST / high), 1)
    order = np.arange(units) if states is None else np.argsort(states.fired, kind="stable")
    chosen = order[evenly(units, most)]
    rows = math.ceil(chosen.size / COLUMNS)
    few = f"{most} of {units:,} units, evenly chosen" if units > most else "all units"
    how = " by firing rate" if states is not None else ""
    figure = new_figure(
        weights_title(weights, None if states is None else states.dead),
        f"{title} · {few}{how} · each tile shows the weight of every pixel",
        body=rows * high + 0.75,
    )
    axes = add_axes_at(figure, (MARGIN, 0.1, WIDTH - MARGIN - RIGHT, rows * high))
    gap = (GAP / high, GAP / wide)
    # The grid has whole pixels: beside an image of a few, the thinnest gap would be a wide one.
    larger = np.ones((math.ceil(LEAST_PIXELS / max(image_shape)),) * 2, dtype=np.float32)
    tiles = [np.kron(weights[unit].reshape(image_shape), larger) for unit in chosen]
    tile_grid = TileGrid(tiles[0].shape, (rows, COLUMNS), gap=gap, white=np.float32(math.nan))
    for i, tile in enumerate(tiles):
        tile_grid.put(tile, *divmod(i, COLUMNS))
    _draw_tiles(figure, axes, tile_grid, weights=weights)
    if states is not None:
        _frame(axes, tile_grid, np.flatnonzero(states.dead[chosen]))
        _label_rows(axes, states.firing_rate[chosen])
        if states.dead.any():
            dead = Patch(label="dead: never fires", **FRAME)
            key(figure, [dead], top=rows * high + 0.65, left=MARGIN + GAP)
    return figure


def _draw_tiles(
    figure: Figure, axes: Axes, tile_grid: TileGrid, *, weights: NDArray[np.floating]
) -> None:
    """The tiles and, above their right end, the scale of their colours."""
    sizes = np.abs(weights[np.isfinite(weights)])
    end = float(np.quantile(sizes, QUANTILE) or sizes.max()) if sizes.any() else 1.0
    image = tile_grid.show(axes, colours=WEIGHTS, limits=(-end, end))
    top = figure.get_figheight() * axes.get_position().y1
    ticks = {-end: f"\u2212{end:.2g} or less", 0.0: "0", end: f"{end:.2g} or more"}
    colour_scale(figure, image, (WIDTH - RIGHT - 2.5, top + 0.4, 2.0, 0.14), ticks)


def _frame(axes: Axes, tile_grid: TileGrid, tiles: NDArray[np.intp]) -> None:
    for tile in tiles:
        left, top, width, height = tile_grid.frame(*divmod(int(tile), COLUMNS))
        axes.add_patch(Rectangle((left, top), width, height, clip_on=False, **FRAME))


def _label_rows(axes: Axes, rates: Floats) -> None:
    for row, start in enumerate(range(0, rates.size, COLUMNS)):
        ends = [percent(rate, 0) for rate in rates[start : start + COLUMNS][[0, -1]]]
        text = " – ".join(dict.fromkeys(ends))
        axes.text(-0.05, row + 0.5, text, ha="right", va="center", fontsize=SMALL, color=INK)
    axes.text(-0.05, 0, "fires for", ha="right", va="bottom", fontsize=SMALL, color=INK)
