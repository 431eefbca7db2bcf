"""Lays out grey images of any size like those of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import PipelineError

Grey = NDArray[np.uint8]
Ink = Literal["auto", "light", "dark"]
_SIDE = 28
_EDGE = 0.02  # of the shorter side: the frame that shows the background
_LEAST_CONTRAST = 26  # a tenth of 255: paper and camera noise stay below


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the images of a data set were made from larger ones.

    Attributes:
        margin: pixels on each side of 28 x 28 that stay free when the image is scaled.
        is_by_mass: the centre of mass is put in the middle, otherwise the middle of the drawing.
        is_writing: strokes of one colour on a plain ground: what is paler than a quarter of the
            way to the strongest becomes ground, and half of the stroke becomes white. Else all
            levels stay, and only what is within a twentieth of the ground is cut off at the sides.
    """

    margin: int
    is_by_mass: bool
    is_writing: bool


# LeCun, Cortes and Burges, "The MNIST database" (yann.lecun.com/exdb/mnist): fitted into 20 x 20
# with the aspect ratio kept and grey levels from anti-aliasing, then centred in 28 x 28 by the
# centre of mass. Cohen et al. 2017 (arXiv:1702.05373), section II: centred, 2 pixels free, bicubic.
# Xiao et al. 2017 (arXiv:1708.07747), section 2: trimmed to within 5 % of the ground's colour, the
# longer side made 28, centred, negated (we leave out their sharpening).
LAYOUTS = MappingProxyType(
    {
        "mnist": Layout(margin=4, is_by_mass=True, is_writing=True),
        "emnist": Layout(margin=2, is_by_mass=False, is_writing=True),
        "fashion-mnist": Layout(margin=0, is_by_mass=False, is_writing=False),
    }
)
WHOLE = "whole"


def layout_of(dataset: str) -> str:
    """The name of the layout of a data set: a key of `LAYOUTS`, or `WHOLE` where none is known."""
    if dataset.startswith("emnist-"):
        return "emnist"
    if dataset == "qmnist":
        return "mnist"
    return dataset if dataset in LAYOUTS else WHOLE


def ink_of(images: Sequence[NDArray[np.number]]) -> Ink:
    """The ink of most of these images, `light` or `dark`, as their edges show it."""
    return "dark" if 2 * sum(map(_is_dark, images)) > len(images) else "light"


def as_it_is(image: Grey, *, ink: Ink, name: str) -> Grey:
    """An image that already has the right size, light on dark, otherwise unchanged.

    Raises:
        PipelineError: every pixel has one grey level; the arguments are those of `laid_out`.
    """
    if image.min() == image.max():
        raise _blank(name)
    return _light(image, ink)


def laid_out(image: Grey, size: tuple[int, int], *, layout: str, ink: Ink, name: str) -> Grey:
    """The image in this layout: uint8, light on dark.

    With `WHOLE` the uncropped image is scaled to fit.

    Args:
        image: shape (height, width), any size.
        size: height and width of the result.
        layout: a key of `LAYOUTS`, or `WHOLE`.
        ink: whether what is drawn is lighter or darker than its background; `auto` compares the
            frame (its median) with the middle between the darkest and the lightest pixel.
        name: of the image in errors.

    Raises:
        PipelineError: nothing is drawn.
    """
    light = _light(image, ink)
    if layout == WHOLE:
        if light.min() == light.max():
            raise _blank(name)
        return _placed(_fitted(light, size), size, is_by_mass=False)
    rules = LAYOUTS[layout]
    height, width = (side - 2 * round(side * rules.margin / _SIDE) for side in size)
    drawn = _drawn(light, is_writing=rules.is_writing, name=name)
    return _placed(_fitted(drawn, (height, width)), size, is_by_mass=rules.is_by_mass)


def _light(image: Grey, ink: Ink) -> Grey:
    """The image with light ink on a dark background."""
    is_dark = _is_dark(image) if ink == "auto" else ink == "dark"
    return 255 - image if is_dark else image


def _is_dark(image: NDArray[np.number]) -> bool:
    """Whether the frame is lighter than the middle between darkest and lightest."""
    return float(np.median(_frame(image))) > (float(image.min()) + float(image.max())) / 2


def _frame(image: NDArray[np.number]) -> NDArray[np.float64]:
    edge = max(1, round(min(image.shape) * _EDGE))
    sides = (image[:edge], image[-edge:], image[:, :edge].T, image[:, -edge:].T)
    return np.concatenate([side.ravel() for side in sides]).astype(np.float64)


def _drawn(image: Grey, *, is_writing: bool, name: str) -> Grey:
    """The drawing, cropped, on a background of 0."""
    ground, most = float(np.median(_frame(image))), float(image.max())
    if most - ground < _LEAST_CONTRAST:
        raise _blank(name)
    is_ink = image >= ground + (most - ground) * (0.25 if is_writing else 0.05)
    rows, columns = (np.flatnonzero(is_ink.any(axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    levels = (image[box] - ground).clip(0)
    if not is_writing:
        return np.rint(levels).astype(np.uint8)
    strokes = levels[levels >= (most - ground) / 2]
    white = np.where(is_ink[box], levels / np.median(strokes), 0).clip(0, 1)
    return np.rint(255 * white).astype(np.uint8)


def _fitted(image: Grey, size: tuple[int, int]) -> Grey:
    """The image scaled to fit into this size, its aspect ratio kept."""
    scale = min(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (max(1, round(side * scale)) for side in image.shape)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def _placed(image: Grey, size: tuple[int, int], *, is_by_mass: bool) -> Grey:
    """The image inside a dark one of this size, moved by whole pixels."""
    corner = []
    for axis, side in enumerate(size):
        room = side - image.shape[axis]
        start = room // 2
        if is_by_mass:
            mass = image.sum(1 - axis, dtype=np.int64)
            centre = float((mass * np.arange(len(mass))).sum() / mass.sum())
            # In MNIST's files the centre of mass lies at pixel 14 of 0 … 27, to half a pixel.
            start = min(max(int(np.floor(side / 2 - centre + 0.5)), 0), room)
        corner.append(start)
    placed = np.zeros(size, np.uint8)
    top, left = corner
    placed[top : top + image.shape[0], left : left + image.shape[1]] = image
    return placed


def _blank(name: str) -> PipelineError:
    return PipelineError(
        f"an image must show something on a plain background, got a single grey in {name}: "
        "give one with more contrast"
    )
