"""Axes that draw all their ticks at once, in a fifth of the time.

Matplotlib makes seven artists for each tick and measures every label; that took longer than
drawing what a figure shows.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
from matplotlib import markers
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.spines import Spine
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
    "bottom": (markers.TICKDOWN, (0, -1), {"ha": "center", "va": "top"}),
    "left": (markers.TICKLEFT, (-1, 0), {"ha": "right", "va": "center_baseline"}),
    "right": (markers.TICKRIGHT, (1, 0), {"ha": "left", "va": "center_baseline"}),
}


class PlainAxes(Axes):
    """Axes with a spine and ticks below and on the left, small labels, and no minor ticks.

    Ticks can be set on the right instead. There is nothing that tight layouts could measure.
    """

    def __init__(self, figure: Figure, box: tuple[float, float, float, float]) -> None:
        """Add axes to a figure.

        Args:
            figure: where to.
            box: left, bottom, width and height as shares of the figure's.
        """
        super().__init__(figure, box)
        # Otherwise matplotlib's ticks do this.
        self.spines[:].set_position(("outward", 0))
        # White on white.
        self.patch.set_visible(False)
        self.tick_params(labelsize=SMALL, colors=INK)
        figure.add_axes(self)

    def _gen_axes_spines(self) -> dict[str, Spine]:
        return {side: Spine.linear_spine(self, side) for side in ("left", "bottom")}

    def _init_axis(self) -> None:
        self.xaxis, self.yaxis = _PlainXAxis(self, clear=False), _PlainYAxis(self, clear=False)
        self.spines["bottom"].register_axis(self.xaxis)
        self.spines["left"].register_axis(self.yaxis)


class _PlainAxis(Axis):
    """An axis that draws ticks, grid lines and labels without matplotlib's `Tick`."""

    _side: str
    _is_label_free = True

    def reset_ticks(self) -> None:
        # Matplotlib's own lists make a tick when they are looked at.
        self.majorTicks, self.minorTicks = [], []

    def set_ticks(  # type: ignore[override]
        self, ticks: Iterable[Any], labels: Iterable[str] | None = None
    ) -> None:
        self.set_major_locator(FixedLocator(list(ticks)))
        if labels is not None:
            self.set_ticklabels(labels)

    def set_ticklabels(self, labels: Iterable[str]) -> None:  # type: ignore[override]
        self.set_major_formatter(FixedFormatter(list(labels)))

    def set_label_coords(self, x: float, y: float, transform: Transform | None = None) -> None:
        self._is_label_free = False
        super().set_label_coords(x, y, transform)

    def get_children(self) -> list[Artist]:
        return [self.label, *self.get_majorticklabels()]

    def get_majorticklabels(self) -> list[Text]:
        look, side = self._look()
        _, outwards, alignment = _SIDES[side]
        figure = self.axes.figure
        right, up = ((look["length"] + _PAD) / 72 * way for way in outwards)
        place = self._transform_along() + ScaledTranslation(right, up, figure.dpi_scale_trans)
        places = self.get_majorticklocs()
        texts = self.get_major_formatter().format_ticks(list(places))
        labels = []
        for along, text in zip(places, texts, strict=True):
            x, y = self._ordered(along, float(side == "right"))
            label = Text(x, y, text, color=look["labelcolor"], fontsize=look["labelsize"])
            label.set(rotation=look["rotation"], parse_math=False, **alignment)
            label.set_figure(figure)
            label.set_transform(place)
            labels.append(label)
        return labels

    def draw(self, renderer: Any) -> None:  # noqa: ANN401 - an SVG's is no RendererBase
        low, high = sorted(self.get_view_interval())
        margin = 1e-9 * (high - low)
        places = np.array(self.get_majorticklocs(), dtype=np.float64)
        is_shown = (places >= low - margin) & (places <= high + margin)
        boxes = [self.axes.bbox]
        if is_shown.any():
            self._draw_ticks(renderer, places[is_shown])
            labels = self.get_majorticklabels()
            for label in (label for label, shows in zip(labels, is_shown, strict=True) if shows):
                label.draw(renderer)
                if self._is_label_free and label.get_text():
                    boxes.append(label.get_window_extent(renderer))
        if self.label.get_text():
            if self._is_label_free:
                self._move_label(Bbox.union(boxes), renderer.points_to_pixels(self.labelpad))
            self.label.draw(renderer)
        self.stale = False

    def _draw_ticks(self, renderer: Any, places: Floats) -> None:  # noqa: ANN401 - see above
        """Draw the grid lines, if any, and the ticks."""
        look, side = self._look()
        if look["gridOn"]:
            # Nothing is drawn to or from NaN.
            grid = self._line(np.repeat(places, 3), np.tile([np.nan, 0.0, 1.0], len(places)))
            grid.set(color=look["grid_color"], linewidth=_WIDTH, clip_box=self.axes.bbox)
            grid.draw(renderer)
        ticks = self._line(places, np.full(len(places), float(side == "right")))
        ticks.set(linestyle="", marker=_SIDES[side][0], markersize=look["length"])
        ticks.set(color=look["color"], markeredgewidth=_WIDTH)
        ticks.draw(renderer)

    def _look(self) -> tuple[dict[str, Any], str]:
        """How ticks look, and on which side they are."""
        look = {"length": _LENGTH, "rotation": 0, "right": False, **self.get_tick_params()}
        return look, "right" if look["right"] else self._side

    def _line(self, along: Floats, across: Floats) -> Line2D:
        """A line of the axes, between points along and across the axis."""
        line = Line2D(*self._ordered(along, across), transform=self._transform_along())
        line.set_figure(self.axes.figure)
        return line

    def _transform_along(self) -> Transform:
        """Data along the axis and shares of the axes across it, to pixels."""
        is_x = self._side == "bottom"
        return self.axes.get_xaxis_transform() if is_x else self.axes.get_yaxis_transform()

    def _ordered(self, along: T, across: T) -> tuple[T, T]:
        return (along, across) if self._side == "bottom" else (across, along)

    def _move_label(self, labels: Bbox, gap: float) -> None:
        if self._side == "bottom":
            self.label.set_y(labels.y0 - gap)
        else:
            self.label.set_x(labels.x0 - gap)


class _PlainXAxis(_PlainAxis, XAxis):
    _side = "bottom"


class _PlainYAxis(_PlainAxis, YAxis):
    _side = "left"
