"""A network rebuilt from its weights and its run's parameters, with its input example.

A graph (pt2, ONNX) is a program, and its readers can be made to run or open anything: a graph from
outside is never opened.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.bundle import layout
from pipeline.bundle.codec import strict_json
from pipeline.bundle.layout import BundleError
from pipeline.config.recipe import Recipe
from pipeline.config.settings import parsed
from pipeline.errors import UsageError
from pipeline.training.stack import plain, read_weights

# What a graph depends on: a default for any of these would give a different network.
_NEEDED = frozenset({"activation", "drop_rate", "output_dropout", "widths"})


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """A network that was rebuilt.

    Attributes:
        network: plain, in evaluation mode on the CPU.
        example: an input, shape (batch, …).
        inputs: the shape of what it takes, -1 for the batch.
        outputs: the shape of what it gives.
    """

    network: nn.Sequential
    example: NDArray[np.float32]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def rebuild(parameters: Mapping[str, str], *, weights: Path, example: Path) -> Rebuilt:
    """The network that these parameters and weights are of.

    Args:
        parameters: of the run that trained it.
        weights: safetensors.
        example: JSON, as MLflow keeps an input example.

    Raises:
        BundleError: one of the three is invalid, or does not match the others.
    """
    if missing := _NEEDED - parameters.keys():
        raise BundleError(layout.RUN, f"no parameter {min(missing)}")
    try:
        recipe = parsed(Recipe, parameters)
    except UsageError as error:
        raise BundleError(layout.RUN, f"parameters that define no network ({error})") from error
    try:
        network = plain(recipe, read_weights(weights, recipe)).eval()
    except ValueError as error:
        raise BundleError(layout.STATE_DICT, f"weights of another network ({error})") from error
    try:
        images = _images(example)
        with torch.no_grad():
            outputs = network(torch.from_numpy(images)).shape
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise BundleError(
            layout.EXAMPLE, f"an input that its network cannot take ({reason})"
        ) from error
    return Rebuilt(
        network=network,
        example=images,
        inputs=(-1, *images.shape[1:]),
        outputs=(-1, *outputs[1:]),
    )


def _images(example: Path) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # infinity is refused below
        images = np.asarray(strict_json(example.read_bytes()), np.float32)
    if images.ndim < 2 or len(images) < 2 or not ((images >= 0) & (images <= 1)).all():
        raise ValueError("no batch of at least 2 with numbers in [0, 1]")
    return images
