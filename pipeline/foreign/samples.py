"""Samples from a file of tensors, a .npy file or a folder of images."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from pipeline.errors import PipelineError
from pipeline.foreign.tensors import PICKLED, require_file, tensors_in
from why_zero.errors import in_one_line

_IMAGES = {".png", ".jpg", ".jpeg"}


def load_samples(address: str, limit: int | None = None) -> Tensor:
    """The samples at an address, one along the first axis.

    Args:
        address: a .safetensors file (its first tensor, or FILE.safetensors:NAME), a .npy file, a
            .pt file with one tensor, or a folder of PNG and JPEG images of one size, which become
            numbers in [0, 1], shape (images, channels, height, width): one channel where all
            are grey, else three.
        limit: take the first so many.

    Raises:
        PipelineError: there are no samples that can be read.
    """
    path = Path(address)
    if path.is_dir():
        return _images(path, limit)
    samples = _array(path) if path.suffix == ".npy" else _tensor(address)
    if not samples.ndim or not len(samples):
        raise PipelineError(
            f"samples must lie along the first axis, got shape {tuple(samples.shape)} in "
            f"{address}: give one sample or more"
        )
    if samples.layout != torch.strided or samples.is_quantized:
        raise PipelineError(
            f"samples must be a dense tensor of plain numbers, got another kind in {address}: save "
            "tensor.to_dense() or tensor.dequantize()"
        )
    return samples[:limit]


def _tensor(address: str) -> Tensor:
    path, name = Path(address), ""
    if not path.exists() and ":" in address:
        before, _, name = address.rpartition(":")
        path = Path(before)
    if path.suffix not in {".safetensors", *PICKLED}:
        raise PipelineError(
            "samples must be a .safetensors, .npy or .pt file, or a folder of images, got "
            f"{address}: " + ("convert it" if path.exists() else "correct the path")
        )
    found = tensors_in(path)
    if isinstance(found, Mapping) and path.suffix == ".safetensors":
        if name and name not in found:
            raise PipelineError(
                f"samples must be a tensor of the file, got {name!r}, which {path} does not hold: "
                f"it has {', '.join(found) or 'none'}"
            )
        found = found[name] if name else next(iter(found.values()), None)
    if not isinstance(found, Tensor):
        raise PipelineError(
            f"samples must be one tensor, got {type(found).__name__} in {path}: save the tensor "
            "of the inputs alone"
        )
    return found


def _array(path: Path) -> Tensor:
    require_file(path)
    try:
        return torch.from_numpy(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise PipelineError(
            f"a .npy file must hold an array of numbers, got {path} ({in_one_line(error)}): save "
            "one with numpy.save; objects are refused, since reading them runs code"
        ) from error


def _images(folder: Path, limit: int | None) -> Tensor:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _IMAGES)[:limit]
    if not paths:
        raise PipelineError(
            f"a folder of samples must hold PNG or JPEG images, got none in {folder}: name the "
            "folder that they are in"
        )
    images = [_image(path) for path in paths]
    is_grey = all(image.mode in {"1", "L"} for image in images)
    for path, image in zip(paths, images, strict=True):
        if image.size != images[0].size:
            raise PipelineError(
                f"images must be of one size, got {_size(images[0])} in {paths[0]} and "
                f"{_size(image)} in {path}: make them alike first"
            )
    pixels = np.stack([np.asarray(image.convert("L" if is_grey else "RGB")) for image in images])
    numbers = torch.from_numpy(pixels).float() / 255
    return numbers.unsqueeze(1) if is_grey else numbers.permute(0, 3, 1, 2).contiguous()


def _image(path: Path) -> Image.Image:
    """The image, upright and decoded."""
    try:
        with warnings.catch_warnings():
            # Pillow warns above 89 million pixels and refuses twice as many: both are too many.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                return ImageOps.exif_transpose(image)
    except Exception as error:  # Pillow raises errors of many kinds for damaged files
        raise PipelineError(
            f"an image must be a whole PNG or JPEG file, got {path} ({in_one_line(error)}): fetch "
            "it again, or take it away"
        ) from error


def _size(image: Image.Image) -> str:
    return f"{image.width} x {image.height}"
