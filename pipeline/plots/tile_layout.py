"""Many small images as one: drawing it once is much faster than drawing every tile."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from pipeline.plots.cells import show_cells

# More pixels per side cannot be seen in a tile, and would only cost memory.
MOST_PIXELS = 90


class TileGrid:
    """Tiles of one shape in rows and columns, as one image."""

    def __init__(
        self,
        shape: tuple[int, int],
        cells: tuple[int, int],
        *,
        gap: tuple[float, float],
        white: np.generic,
    ) -> None:
        """An empty grid.

        Args:
            shape: a tile's height and width in pixels.
            cells: rows and columns of tiles.
            gap: the shares of a cell above and left of its tile that stay white.
            white: the value of an empty pixel; the tiles are stored in its type.
        """
        self._thin = tuple(math.ceil(length / MOST_PIXELS) for length in shape)
        height, width = (
            math.ceil(length / thin) for length, thin in zip(shape, self._thin, strict=True)
        )
        self._above = math.ceil(height * gap[0] / (1 - gap[0]))
        self._left = math.ceil(width * gap[1] / (1 - gap[1]))
        self._cell = (self._above + height, self._left + width)
        rows, columns = cells
        self._extent = (0.0, float(columns), float(rows), 0.0)
        self._pixels = np.full((rows * self._cell[0], columns * self._cell[1]), white)

    def frame(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Left, top, width and height of a cell and half the gaps around it, in steps of an axis.

        Frames of neighbours share a side.
        """
        left, above = self._left / self._cell[1], self._above / self._cell[0]
        return column + left / 2, row + above / 2, 1.0, 1.0

    def put(self, tile: NDArray[np.generic], row: int, column: int) -> None:
        """Copies an image into a cell."""
        top, left = row * self._cell[0] + self._above, column * self._cell[1] + self._left
        bottom, right = (row + 1) * self._cell[0], (column + 1) * self._cell[1]
        self._pixels[top:bottom, left:right] = tile[:: self._thin[0], :: self._thin[1]]

    def show(
        self, axes: Axes, *, colours: str | Colormap, limits: tuple[float, float]
    ) -> AxesImage:
        """Draws all tiles as one image; one step of an axis is one cell.

        Args:
            axes: of nothing else.
            colours: from the lower limit to the upper.
            limits: the values that get the first and the last colour.
        """
        axes.set_axis_off()
        norm = Normalize(*limits)
        return show_cells(axes, self._pixels, cmap=colours, norm=norm, extent=self._extent)


def ratio(shape: tuple[int, ...]) -> float:
    """Height by width of a tile; a strip is drawn no thinner than 1 to 4.

    Args:
        shape: its height and width in pixels.
    """
    return float(min(max(shape[0] / shape[1], 0.25), 4))
