"""Axes that draw all their ticks at once, in a fifth of the time.

Matplotlib makes seven artists for each tick and measures every label; that took longer than
drawing what a figure shows.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
from matplotlib import lines
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator
from matplotlib.transforms import Bbox, ScaledTranslation, Transform

from pipeline.plots.style import INK, SMALL
from why_zero.records import Floats

T = TypeVar("T")

# Points, as matplotlib has them: the length and width of a tick, and from there to its label.
_LENGTH, _WIDTH, _PAD = 3.5, 0.8, 3.5
# Of each side: the tick's mark, which way is out, and how a label stands beside it.
_SIDES: dict[str, tuple[Any, tuple[int, int], dict[str, str]]] = {
    "bottom": (lines.TICKDOWN, (0, -1), {"ha": "center", "va": "top"}),
    "left": (lines.TICKLEFT, (-1, 0), {"ha": "right", "va": "center_baseline"}),
    "right": (lines.TICKRIGHT, (1, 0), {"ha": "left", "va": "center_baseline"}),
}


class PlainAxes(Axes):
    """Axes with a spine and ticks below and on the left, small labels, and no minor ticks."""

    def __init__(self, figure: Figure, box: tuple[float, float, float, float]) -> None:
        """Add axes to a figure.

        Args:
            figure: where to.
            box: left, bottom, width and height as shares of the figure's.
        """
        super().__init__(figure, box)
        # Otherwise matplotlib's ticks do this.
        self.spines[:].set_position(("outward", 0))
        self.spines[["top", "right"]].set_visible(False)
        # White on white.
        self.patch.set_visible(False)
        self.tick_params(labelsize=SMALL, colors=INK)
        figure.add_axes(self)

    def _init_axis(self) -> None:
        self.xaxis, self.yaxis = _PlainXAxis(self, clear=False), _PlainYAxis(self, clear=False)
        self.spines["bottom"].register_axis(self.xaxis)
        self.spines["left"].register_axis(self.yaxis)


class _PlainAxis(Axis):
    """An axis that draws ticks, grid lines and labels without matplotlib's `Tick`."""

    _is_label_free = True

    def reset_ticks(self) -> None:
        # Matplotlib's own lists make a tick when they are looked at.
        self.majorTicks, self.minorTicks = [], []  # type: ignore[assignment]

    def set_ticks(  # type: ignore[override]
        self, ticks: Iterable[Any], labels: Iterable[str] | None = None
    ) -> None:
        self.set_major_locator(FixedLocator(list(ticks)))
        if labels is not None:
            self.set_ticklabels(labels)

    def set_ticklabels(self, labels: Iterable[str]) -> None:  # type: ignore[override]
        self.set_major_formatter(FixedFormatter(list(labels)))

    def set_label_coords(self, *args: Any, **kwargs: Any) -> None:
        self._is_label_free = False
        super().set_label_coords(*args, **kwargs)

    def get_children(self) -> list[Artist]:
        return [self.label, *self.get_ticklabels()]

    def draw(self, renderer: Any) -> None:
        look = {"length": _LENGTH, "labelrotation": 0, "right": False, **self.get_tick_params()}
        side = "right" if look["right"] else self.label_position
        mark, outwards, alignment = _SIDES[side]
        ticks, edge = self._visible_ticks(), float(side == "right")
        places = np.array(list(ticks))
        if look["gridOn"]:
            # Nothing is drawn to or from NaN.
            grid = self._line(np.repeat(places, 3), np.tile([np.nan, 0.0, 1.0], len(ticks)))
            grid.set(color=look["grid_color"], linewidth=_WIDTH, clip_box=self.axes.bbox)
            grid.draw(renderer)
        marks = self._line(places, np.full(len(ticks), edge))
        marks.set(linestyle="", marker=mark, markersize=look["length"], markeredgewidth=_WIDTH)
        marks.set_color(look["color"])
        marks.draw(renderer)
        label = Text(fontsize=look["labelsize"], color=look["labelcolor"], parse_math=False)
        label.set(rotation=look["labelrotation"], figure=self.axes.figure, **alignment)
        inches = [(look["length"] + _PAD) / 72 * way for way in outwards]
        label.set_transform(
            self._blended() + ScaledTranslation(*inches, self.axes.figure.dpi_scale_trans)
        )
        boxes = [self.axes.bbox]
        for place, text in ticks.items():
            label.set(text=text, position=self._ordered(place, edge))
            label.draw(renderer)
            if text and self._is_label_free:
                boxes.append(label.get_window_extent(renderer))
        if self.label.get_text():
            if self._is_label_free:
                self._move_label(Bbox.union(boxes), renderer.points_to_pixels(self.labelpad))
            self.label.draw(renderer)
        self.stale = False

    def _visible_ticks(self) -> dict[float, str]:
        """The ticks' labels by their places."""
        low, high = sorted(self.get_view_interval())
        places = [float(place) for place in self.get_majorticklocs()]
        labels = self.get_major_formatter().format_ticks(places)
        margin = 1e-9 * (high - low)
        return {
            place: label
            for place, label in zip(places, labels, strict=True)
            if low - margin <= place <= high + margin
        }

    def _line(self, along: Floats, across: Floats) -> Line2D:
        """A line of the axes, between points along and across the axis."""
        line = Line2D(*self._ordered(along, across), transform=self._blended())
        line.set_figure(self.axes.figure)
        return line


class _PlainXAxis(_PlainAxis, XAxis):
    def _blended(self) -> Transform:
        return self.axes.get_xaxis_transform()

    def _ordered(self, along: T, across: T) -> tuple[T, T]:
        return along, across

    def _move_label(self, labels: Bbox, gap: float) -> None:
        self.label.set_y(labels.y0 - gap)


class _PlainYAxis(_PlainAxis, YAxis):
    def _blended(self) -> Transform:
        return self.axes.get_yaxis_transform()

    def _ordered(self, along: T, across: T) -> tuple[T, T]:
        return across, along

    def _move_label(self, labels: Bbox, gap: float) -> None:
        self.label.set_x(labels.x0 - gap)
