"""Reads image files as grey pixels: PNG, JPEG and IDX, from a path or standard input."""

import io
import math
import struct
import sys
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.data import is_idx, parse_idx
from pipeline.errors import PipelineError

STANDARD_INPUT = "-"
FORMATS = ("PNG", "JPEG")
_STARTS = (b"\x89PNG", b"\xff\xd8\xff")
_START_BYTES = 4
# Read before anything is known of the content: standard input may have no end.
MOST_PICTURE_BYTES, MOST_IDX_BYTES = 1 << 28, 1 << 30
# What Pillow raises for files that are damaged; a decompression bomb is an error of its own.
DAMAGES = (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error, zlib.error)
MOST_PIXELS = 1 << 24  # worked on; larger pictures are reduced first
GREY_LEVELS_16_BIT = 257  # 65,535 / 255

Grey = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The content of one file.

    Attributes:
        names: of each image: the file name, with the index (from 0) in an IDX file.
        pixels: each image's grey levels, shape (height, width), 0 = black.
        is_data: whether they come from a data set's file, in the form that networks take.
    """

    names: tuple[str, ...]
    pixels: tuple[Grey, ...]
    is_data: bool


def read_images(name: str) -> Pictures:
    """The images in a file; its content, not its name, decides how it is read.

    Colours become grey (ITU-R 601 luma), transparent pixels become a background that contrasts with
    the drawing, and 16 bits become 8. A photograph is turned upright according to its EXIF data.

    Args:
        name: a path, or `-` for standard input.

    Raises:
        PipelineError: there is no such file, or it holds no image that can be read.
    """
    shown = _shown(name)
    content = _content(name)
    if not content:
        raise PipelineError(f"an image file must not be empty, got {shown}: fetch it again")
    if _is_idx(content):
        images = _idx_images(content, shown)
        names = tuple(f"{shown}[{place}]" for place in range(len(images)))
        return Pictures(names=names, pixels=tuple(images), is_data=True)
    return Pictures(names=(shown,), pixels=(_grey(_decoded(content, shown)),), is_data=False)


def _shown(name: str) -> str:
    """The name for one line of text: without line breaks or characters that cannot be encoded."""
    if name == STANDARD_INPUT:
        return "standard input"
    return name if name.isprintable() else repr(name)


def _content(name: str) -> bytes:
    try:
        if name == STANDARD_INPUT:
            return _read(sys.stdin.buffer.read, name)
        with Path(name).open("rb") as file:
            return _read(file.read, name)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise PipelineError(
            f"an image must be a file that can be read, got {_shown(name)} ({reason}): "
            "correct its name, or give - for standard input"
        ) from error


def _read(read: Callable[[int], bytes], name: str) -> bytes:
    """All bytes that there are to read; of what can be no image only the first."""
    start = read(_START_BYTES)
    if _is_idx(start):
        most = MOST_IDX_BYTES
    elif start.startswith(_STARTS):
        most = MOST_PICTURE_BYTES
    else:
        return start
    content = start + read(most + 1 - len(start))
    if len(content) > most:
        raise PipelineError(
            f"an image file must hold at most {most:,} bytes, got more in {_shown(name)}: "
            "give fewer or smaller images"
        )
    return content


def _is_idx(content: bytes) -> bool:
    return is_idx(content[:_START_BYTES].ljust(_START_BYTES, b"\xff"))


def _idx_images(content: bytes, name: str) -> NDArray[np.uint8]:
    array = parse_idx(content, name)
    if array.ndim != 3 or array.dtype != np.uint8:
        raise PipelineError(
            f"an IDX file of images must hold bytes in 3 dimensions, got {array.dtype.name} in "
            f"{array.ndim} in {name}: give the images, not the labels"
        )
    return array.astype(np.uint8, copy=False)


def _decoded(content: bytes, name: str) -> Image.Image:
    """The upright image, fully decoded."""
    try:
        with warnings.catch_warnings():
            # Pillow warns above 89 million pixels and refuses twice as many: both are too many.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                is_animated = image.format == "PNG" and getattr(image, "is_animated", False)
                if not is_animated:
                    image.load()
                    ImageOps.exif_transpose(image, in_place=True)  # no copy
                    return _within_bounds(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PipelineError(
            f"an image must have at most {Image.MAX_IMAGE_PIXELS} pixels, got more in {name}: "
            "give a smaller one"
        ) from error
    except UnidentifiedImageError as error:
        raise PipelineError(
            f"an image must be a PNG, JPEG or IDX file, got {name}, which starts with the bytes "
            f"{content[:4].hex(' ')}: convert it"
        ) from error
    except DAMAGES as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise PipelineError(
            f"an image must be complete, got {name} ({reason}): it is damaged, fetch it again"
        ) from error
    raise PipelineError(
        f"an image must be a still, got an animation in {name}: save one of its frames"
    )


def _within_bounds(image: Image.Image) -> Image.Image:
    """The image, if it is huge with each square of some pixels averaged to one.

    Grey levels and layouts are worked out in float64: a picture of the most pixels allowed would
    take gigabytes for what becomes 28 x 28.
    """
    factor = math.ceil(math.sqrt(image.width * image.height / MOST_PIXELS))
    if factor < 2:
        return image
    if image.mode.startswith("I;"):
        image = image.convert("I")
    elif image.mode in {"1", "P", "PA"}:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.reduce(factor)


def _grey(image: Image.Image) -> Grey:
    """Grey levels, 0 = black; shape (height, width)."""
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.float64) / GREY_LEVELS_16_BIT
        return np.rint(levels).clip(0, 255).astype(np.uint8)
    if not image.has_transparency_data:
        return np.asarray(image.convert("L"))
    layers = image.convert("RGBA")
    grey = np.asarray(layers.convert("RGB").convert("L")).astype(np.float64)
    cover = np.asarray(layers.getchannel("A")) / 255
    drawn = (grey * cover).sum() / max(cover.sum(), 1)
    ground = 0 if drawn > 127 else 255
    return np.rint(grey * cover + ground * (1 - cover)).astype(np.uint8)
