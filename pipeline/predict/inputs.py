"""Turns files into images that a network takes, and reports files that cannot be read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.predict.image_files import read_images
from pipeline.predict.layouts import Ink, as_it_is, laid_out

Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The content of some files.

    Attributes:
        names: of the images.
        images: of one size, 0 … 255, as the network knows them: light on dark, or dark on light.
        failures: a line for each file or image that cannot be used.
    """

    names: tuple[str, ...]
    images: tuple[NDArray[np.uint8], ...]
    failures: tuple[str, ...]


def read_inputs(
    files: Sequence[str],
    *,
    size: Size,
    layout: str,
    ink: Ink,
    is_fitted_anew: bool,
    learned: Ink,
) -> Inputs:
    """The images in these files, in order.

    Args:
        files: paths, or `-` for standard input.
        size: height and width that the network takes.
        layout: how an image of another size is laid out; see `laid_out`.
        ink: whether what is drawn is lighter or darker than the background.
        is_fitted_anew: whether a picture of the right size is laid out anyway; images from a data
            set's own file never are.
        learned: the ink of the images that the network learned from, `light` or `dark`.
    """
    names: list[str] = []
    images: list[NDArray[np.uint8]] = []
    failures: list[str] = []
    for file in files:
        try:
            pictures = read_images(file)
        except PipelineError as error:
            failures.append(str(error))
            continue
        for name, pixels in zip(pictures.names, pictures.pixels, strict=True):
            try:
                if pixels.shape == size and (pictures.is_data or not is_fitted_anew):
                    # A data set's own images are as its networks know them, whatever their edges.
                    is_known = pictures.is_data and ink == "auto"
                    light = as_it_is(pixels, ink=learned if is_known else ink, name=name)
                else:
                    light = laid_out(pixels, size, layout=layout, ink=ink, name=name)
            except PipelineError as error:
                failures.append(str(error))
            else:
                names.append(name)
                images.append(255 - light if learned == "dark" else light)
    return Inputs(names=tuple(names), images=tuple(images), failures=tuple(failures))
