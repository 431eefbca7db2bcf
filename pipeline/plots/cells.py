"""Images of few, large cells, enlarged after they were coloured: matplotlib colours every pixel."""

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.image import AxesImage
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray


def show_cells(
    axes: Axes,
    values: NDArray[np.generic],
    *,
    origin: Literal["upper", "lower"] = "upper",
    extent: tuple[float, float, float, float] | None = None,
    **colours: Any,  # noqa: ANN401 - as matplotlib has them
) -> AxesImage:
    """Draw an array that fills axes, a rectangle for each of its elements.

    Args:
        axes: where to.
        values: numbers, shape (rows, columns), or colours, shape (rows, columns, 3).
        origin: where the first row is.
        extent: left, right, bottom and top on the axes; None counts columns and rows.
        colours: `cmap` and `norm`, as `Axes.imshow` has them.
    """
    cells = _Cells(axes, origin=origin, extent=extent, **colours)
    cells.set_data(values)
    # This sets the axes' limits too.
    cells.set_extent(cells.get_extent())
    axes.add_image(cells)
    return cells


class _Cells(AxesImage):
    def make_image(
        self,
        renderer: RendererBase,
        magnification: float = 1.0,
        unsampled: bool = False,  # noqa: ARG002 - as matplotlib has it
    ) -> tuple[NDArray[np.uint8], int, int, Affine2D]:
        box = self.get_window_extent(renderer)
        colours = self.to_rgba(np.ma.asarray(self.get_array()), bytes=True)
        left, right = sorted(map(round, box.intervalx))
        bottom, top = sorted(map(round, box.intervaly))
        for axis, length in enumerate((top - bottom, right - left)):
            pixels = max(round(length * magnification), 1)
            cells = (np.arange(pixels) + 0.5) * colours.shape[axis] / pixels
            colours = colours.take(cells.astype(np.intp), axis)
        upwards = colours[::-1] if self.origin == "upper" else colours
        return upwards, left, bottom, Affine2D()
