"""Figures as PNG files, drawn with a memory for words.

Text took half of matplotlib's time: it lays out, hints and renders every glyph each time anew. Here
a process renders a word once.
"""

import io
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import RendererAgg, get_hinting_flag
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

# MLflow fits a picture to its pane, so twice the dots are a sharper picture, not a larger one.
_DOTS_PER_INCH = 200.0
_QUANTIZE = Image.Quantize.FASTOCTREE
# A run of more pixels keeps its colour; of several in one place of the palette, the longest.
_AREA = 300
# zlib's own 6 makes a fifth fewer bytes in more than twice the time.
_COMPRESSION = 3


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file, 200 dots per inch, in 256 colours.

    So it is sharp on a dense screen, and yet takes fewer bytes than one of half the size in all
    colours. A channel of a pixel is off by a few of 255, which nobody sees.
    """
    figure.set_dpi(_DOTS_PER_INCH)
    renderer = _Renderer(*figure.bbox.size, _DOTS_PER_INCH)  # type: ignore[no-untyped-call]
    figure.draw(renderer)
    pixels = np.asarray(renderer.buffer_rgba())  # type: ignore[no-untyped-call]
    file = io.BytesIO()
    _in_few_colours(pixels).save(file, format="PNG", compress_level=_COMPRESSION)
    return file.getvalue()


def _in_few_colours(pixels: NDArray[np.uint8]) -> Image.Image:
    """Opaque pixels with a palette of 256 colours, shape (height, width, 4)."""
    # Runs of equal pixels are a twentieth of all pixels.
    colours = pixels.view(np.uint32).ravel()
    starts = np.concatenate(([0], np.flatnonzero(colours[1:] != colours[:-1]) + 1))
    lengths = np.diff(starts, append=len(colours))
    runs = Image.frombuffer("RGBA", (len(starts), 1), colours[starts].tobytes()).convert("RGB")
    # The fastest method by far; but it takes means, so that white would be almost white.
    few = runs.quantize(256, _QUANTIZE, dither=Image.Dither.NONE)
    indices, palette = np.asarray(few)[0], np.array(few.getpalette(), np.uint8).reshape(-1, 3)
    areas = np.flatnonzero(lengths > _AREA)
    areas = areas[np.argsort(lengths[areas])]
    palette[indices[areas]] = np.asarray(runs)[0, areas]
    image = Image.fromarray(np.repeat(indices, lengths).reshape(pixels.shape[:2]))
    image.putpalette(palette.tobytes())
    return image


class _Renderer(RendererAgg):
    """Agg's renderer, which here draws text word by word, each on whole pixels."""

    def draw_text(  # noqa: PLR0917 - as matplotlib has it
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: bool | Literal["TeX"] = False,
        mtext: Text | None = None,
    ) -> None:
        if ismath or angle not in {0, 90}:
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)  # type: ignore[no-untyped-call]
            return
        draw = self._renderer.draw_text_image
        for word in self._words(s, prop):
            if angle:
                right = round(x + word.descent) + 1
                left, bottom = right - len(word.image), round(y - word.left)
                draw(np.rot90(word.image), left, bottom, 0, gc)
                y -= word.width
            else:
                left, bottom = round(x + word.left), round(y + word.descent) + 1
                draw(word.image, left, bottom, 0, gc)
                x += word.width

    def get_text_width_height_descent(
        self, s: str, prop: FontProperties, ismath: bool | Literal["TeX"]
    ) -> tuple[float, float, float]:
        if ismath:
            return super().get_text_width_height_descent(s, prop, ismath)  # type: ignore[no-untyped-call]
        words = self._words(s, prop)
        descent = max(word.descent for word in words)
        ascent = max(word.height - word.descent for word in words)
        return sum(word.width for word in words), ascent + descent, descent

    def _get_font_height_metrics(self, prop: FontProperties) -> tuple[float, float, float]:
        """A line's ascent, descent and gap: without this, `Text` reads the font's tables anew."""
        return _line_metrics(_path(prop), prop.get_size_in_points() * self.dpi / 72)

    def _words(self, line: str, prop: FontProperties) -> list["_Word"]:
        """The words of a line, each but the first with the space before it."""
        path, size = _path(prop), prop.get_size_in_points()
        first, *others = line.split(" ")
        words = [first, *(f" {word}" for word in others)]
        return [_rendered(word, path, size, self.dpi) for word in words]


class _Word(NamedTuple):
    """A word's image, where it begins, and its measures, in pixels."""

    image: NDArray[np.uint8]
    left: float
    width: float
    height: float
    descent: float


_path = lru_cache(findfont)  # finding a font takes as long as drawing a word


@lru_cache(4096)
def _rendered(word: str, path: str, size: float, dpi: float) -> _Word:
    font = get_font(path)
    font.clear()
    font.set_size(size, dpi)
    font.set_text(word, 0.0, flags=get_hinting_flag())
    font.draw_glyphs_to_bitmap(antialiased=True)
    image = np.asarray(font.get_image())
    measures = (font.get_bitmap_offset()[0], *font.get_width_height(), font.get_descent())
    return _Word(image, *(measure / 64 for measure in measures))


@lru_cache
def _line_metrics(path: str, pixels: float) -> tuple[float, float, float]:
    font = get_font(path)
    scale = pixels / font.units_per_EM
    table: Mapping[str, Any] = font.get_sfnt_table("OS/2") or {}
    up, down, gap = (table[f"sTypo{name}"] for name in ("Ascender", "Descender", "LineGap"))
    return up * scale, -down * scale, gap * scale
