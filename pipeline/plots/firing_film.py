"""The firing rates of many epochs as pixels, on one sheet that is drawn only once."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray

from pipeline.plots.figure_layout import head
from pipeline.plots.firing import draw_bars, draw_firing_rates, finding, panel_head, relu_layers
from pipeline.records import History
from why_zero.records import UnitStates


def film_firing_rates(history: History, title: str) -> list[NDArray[np.uint8]]:
    """The pixels of `draw_firing_rates` for each record, shape (height, width, 3).

    Axes, ticks and key stay; only bars, spines before them and headings are drawn for each.

    Args:
        history: records of one network, at least one.
        title: whose they are.
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
        heading.set_text(finding(record))
        drawn: list[Artist] = [heading]
        for axes, (name, states) in zip(panels, relu_layers(record).items(), strict=True):
            drawn += _fill(axes, name, states)
        for artist in (*drawn, *spines):
            artist.draw(canvas.get_renderer())
        frames.append(np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[..., :3].copy())
    return frames


def _empty(axes: Axes) -> None:
    """Take away what an epoch has drawn."""
    for artist in (*axes.collections, *axes.patches):
        artist.remove()
    head(axes, "")


def _fill(axes: Axes, name: str, states: UnitStates) -> list[Artist]:
    """Draw an epoch's bars and head into the axes, and return what is to be rastered."""
    _empty(axes)
    draw_bars(axes, states)
    return [*axes.collections, *axes.patches, head(axes, panel_head(name, states))]
