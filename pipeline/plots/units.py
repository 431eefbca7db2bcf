"""The map of units by epochs: which unit fires how often, which one is dead, and since when."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from pipeline.plots.cells import show_cells
from pipeline.plots.figure_layout import (
    EPOCHS,
    WIDTH,
    blank,
    colour_scale,
    count_epochs,
    head,
    panel_figure,
    patches,
)
from pipeline.plots.style import DEAD, FIRING_RATES, SMALL
from pipeline.plots.titles import NO_RELU, dead_title
from pipeline.records import History
from why_zero.records import Floats


def draw_units(history: History, title: str) -> Figure:
    """One panel per ReLU layer: a row a unit, a column an epoch, coloured by firing rate.

    So that dead units stand together, rows are sorted from below: first those dead at last, then
    by the number of epochs a unit was dead in, then by its last firing rate.
    """
    rates = {
        layer.name: _rates(history, i)
        for i, layer in enumerate(history[0].layers)
        if layer.states is not None
    }
    if not rates:
        return blank(NO_RELU, title)
    last = history[-1].epoch
    is_any_dead = any(bool((layer == 0).any()) for layer in rates.values())
    height = 4.6 if len(rates) <= 5 else 3.4
    figure, panels = panel_figure(
        dead_title(
            {name: (layer[:, 0] == 0, layer[:, -1] == 0) for name, layer in rates.items()},
            last,
            is_diverged=history[-1].ending == "diverged",
        ),
        f"{title} · each row is a unit: the dead lowest, then the once dead · in evaluation mode, "
        "on the images trained on",
        len(rates),
        height=height,
        label="units",
        below=EPOCHS,
        keys=[patches({"dead: never fires": DEAD} if is_any_dead else {})],
        title=0.6,
        right=1.0,
    )
    for axes, (name, layer) in zip(panels, rates.items(), strict=True):
        image = _draw_layer(axes, layer, last)
        axes.yaxis.set_label_coords(-0.04, 0.5)
        born, now = (layer[:, [0, -1]] == 0).sum(axis=0)
        head(axes, f"{name}: {now:,} of {len(layer):,} dead\n{born:,} born dead")
    _scale(figure, image, height - 1.15)
    return figure


def _rates(history: History, layer: int) -> Floats:
    states = [record.layers[layer].states for record in history]
    rates = np.stack([state.firing_rate for state in states if state is not None], axis=1)
    return rates[np.lexsort((rates[:, -1], (rates > 0).sum(axis=1), rates[:, -1] > 0))]


def _draw_layer(axes: Axes, rates: Floats, last: int) -> AxesImage:
    units = len(rates)
    image = show_cells(
        axes,
        np.ma.masked_equal(rates, 0),
        cmap=FIRING_RATES.with_extremes(bad=DEAD),
        norm=PowerNorm(0.4, 0, 1),
        origin="lower",
        extent=(-0.5, last + 0.5, 0.0, float(units)),
    )
    axes.set_ylim(0, units)
    axes.set_yticks(())
    count_epochs(axes, last)
    return image


def _scale(figure: Figure, image: AxesImage, height: float) -> None:
    ticks = {share: f"{100 * share:g}" for share in (0.001, 0.01, 0.1, 0.25, 0.5, 1)}
    axes = colour_scale(figure, image, (WIDTH - 0.8, 0.55, 0.15, height), ticks)
    axes.set_title("fires for\n% of images", fontsize=SMALL, loc="left", y=1.0)
