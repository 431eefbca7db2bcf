"""Figures as PNG files, drawn in a third of the time that matplotlib takes.

Half of its time went into text: every glyph is hinted and rendered each time that it is drawn. Here
a word is rendered once in a process.
"""

import io
import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg, get_hinting_flag
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from numpy.typing import NDArray
from PIL import Image

# MLflow fits a picture to its pane, so twice the dots are a sharper picture, not a larger one.
_DOTS_PER_INCH = 200
_QUANTIZE = Image.Quantize.FASTOCTREE
# zlib's own 6 takes more than twice the time for a fifth fewer bytes.
_COMPRESSION = 3


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file, 200 dots per inch, in 256 colours.

    So it is sharp on a dense screen, and yet takes fewer bytes than one of half the size in all
    colours. A channel of a pixel is off by a few of 255, which nobody sees.
    """
    figure.set_dpi(_DOTS_PER_INCH)
    renderer = _Renderer(*figure.bbox.size, _DOTS_PER_INCH)
    figure.draw(renderer)
    file = io.BytesIO()
    _in_few_colours(np.asarray(renderer.buffer_rgba())).save(file, format="PNG", compress_level=_COMPRESSION)
    return file.getvalue()


def _in_few_colours(pixels: NDArray[np.uint8]) -> Image.Image:
    """The opaque pixels with a palette of 256 colours, shape (height, width, 4)."""
    # A colour is looked up once for each run of equal pixels: a twentieth of them.
    colours = pixels.view(np.uint32).ravel()
    starts = np.flatnonzero(np.diff(colours, prepend=~colours[:1]))
    runs = Image.frombuffer("RGBA", (len(starts), 1), colours[starts].tobytes()).convert("RGB")
    # The fastest method by far; but its white is almost white, and is set to that of a page.
    few = runs.quantize(256, _QUANTIZE, dither=Image.Dither.NONE)
    indices = np.asarray(few)[0]
    palette, ground = few.getpalette() or [], 3 * int(indices[0])
    palette[ground : ground + 3] = (255, 255, 255)
    lengths = np.diff(starts, append=colours.size)
    image = Image.fromarray(np.repeat(indices, lengths).reshape(pixels.shape[:2]))
    image.putpalette(palette)
    return image


class _Word(NamedTuple):
    """A word as an image, and its place beside the pen, in pixels."""

    image: NDArray[np.uint8]
    left: float
    width: float
    height: float
    descent: float


class _Renderer(RendererAgg):
    """Agg's renderer with a memory for words, which stand on whole pixels."""

    def draw_text(  # noqa: PLR0913, PLR0917 - as matplotlib has it
        self,
        gc: Any,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: bool = False,
        mtext: Any = None,
    ) -> None:
        if ismath:
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
            return
        sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
        for word in self._words(s, prop):
            if word.image.any():
                left = round(x + word.left * cosine + word.descent * sine)
                bottom = round(y - word.left * sine + word.descent * cosine)
                self._renderer.draw_text_image(word.image, left, bottom + 1, angle, gc)
            x, y = x + word.width * cosine, y - word.width * sine

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: Any
    ) -> tuple[float, float, float]:
        if ismath:
            return super().get_text_width_height_descent(s, prop, ismath)
        words = self._words(s, prop)
        descent = max(word.descent for word in words)
        ascent = max(word.height - word.descent for word in words)
        return sum(word.width for word in words), ascent + descent, descent

    def _words(self, line: str, prop: FontProperties) -> list[_Word]:
        path, size = findfont(prop), prop.get_size_in_points()
        first, *others = line.split(" ")
        words = [first, *(f" {word}" for word in others)]
        return [_rendered(word, path, size, self.dpi) for word in words]


@lru_cache(4096)
def _rendered(word: str, path: str, size: float, dpi: float) -> _Word:
    font = get_font(path)
    font.clear()
    font.set_size(size, dpi)
    font.set_text(word, 0.0, flags=get_hinting_flag())
    font.draw_glyphs_to_bitmap(antialiased=True)
    left, _ = font.get_bitmap_offset()
    width, height = font.get_width_height()
    return _Word(
        np.asarray(font.get_image()), left / 64, width / 64, height / 64, font.get_descent() / 64
    )
