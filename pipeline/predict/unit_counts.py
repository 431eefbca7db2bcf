"""How many units of each layer are active, inactive or dead for one image."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from pipeline.training.stack import LayerPass, Stack

Dead = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class UnitCount:
    """One ReLU layer's units for one image, in evaluation mode.

    active + inactive + dead = units, where an unknown number of dead units is among the inactive.

    Attributes:
        layer: its name.
        units: how many it has.
        active: z > 0.
        inactive: z <= 0 for this image, but not for every training image.
        dead: z <= 0 for this image and for every training image; None if unknown.
        woken: z > 0 for this image, but for no training image: also counted as active; None if
            unknown.
    """

    layer: str
    units: int
    active: int
    inactive: int
    dead: int | None
    woken: int | None


@torch.no_grad()
def count_units(
    stack: Stack, images: Float[Tensor, "images inputs"], dead: Dead | None
) -> tuple[Float[Tensor, "images classes"], list[tuple[UnitCount, ...]]]:
    """The logits, and for each image the counts of every hidden layer with ReLU.

    Args:
        stack: of a single network.
        images: in [0, 1].
        dead: by layer, which units are dead over the images trained on; None if unknown.

    Raises:
        ValueError: a layer's number of units differs from that of its dead flags.
    """
    trace: list[LayerPass] = []
    logits = stack(images[None], trace=trace)[0]
    layers = [
        (name, (layer.z[0] > 0).numpy())
        for name, layer in zip(stack.layer_names, trace, strict=True)
        if not stack.has_no_relu_at(name).all()
    ]
    counts = [
        tuple(_count(name, is_open[place], dead) for name, is_open in layers)
        for place in range(len(images))
    ]
    return logits, counts


def _count(layer: str, is_open: NDArray[np.bool_], dead: Dead | None) -> UnitCount:
    units, active = len(is_open), int(is_open.sum())
    if dead is None:
        return UnitCount(
            layer=layer,
            units=units,
            active=active,
            inactive=units - active,
            dead=None,
            woken=None,
        )
    is_dead = dead[layer]
    if is_dead.shape != is_open.shape:
        raise ValueError(f"{layer} has {units} units, got deadness of {len(is_dead)}")
    silent = int((is_dead & ~is_open).sum())
    return UnitCount(
        layer=layer,
        units=units,
        active=active,
        inactive=units - active - silent,
        dead=silent,
        woken=int((is_dead & is_open).sum()),
    )
