"""Why each activation of a few samples is what it is, in a few passes with masks of their own."""

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.config.recipe import Recipe
from pipeline.records import CauseMap, EpochRecord
from pipeline.training.batches import Batch
from pipeline.training.masks import RandomMasks
from pipeline.training.stack import LayerPass, Stack
from why_zero.causes import by_cause

PASSES = 2


@torch.no_grad()
def cause_maps(recipe: Recipe, chosen: EpochRecord, batch: Batch) -> list[CauseMap]:
    """The map of each ReLU layer over the batch, in `PASSES` training-mode passes.

    Args:
        recipe: of the network.
        chosen: its record with its weights, and with what its units are over D with these.
        batch: the samples to show, one batch for all networks.

    Raises:
        ValueError: the record holds no weights.
    """
    if chosen.weights is None:
        raise ValueError("the record must hold weights")
    classes = len(chosen.layers[-1].causes.active)
    stack = Stack([recipe], inputs=batch.x.shape[2], classes=classes)
    stack.load(0, chosen.weights)
    passes: list[list[LayerPass]] = []
    for number in range(PASSES):
        masks = RandomMasks(
            [recipe], stack.units, stream=f"cause map, pass {number}", device=batch.x.device
        )
        trace: list[LayerPass] = []
        inputs = stack.enter(batch.x, masks.draw_inputs(*batch.x.shape[1:]))
        stack.onward(stack.first(inputs.y), masks.draw(batch.target.shape[1]), trace=trace)
        passes.append(trace)
    return [
        CauseMap(
            layer=layer.name,
            causes=np.stack([_causes(trace[index]) for trace in passes]),
            dead=layer.states.dead,
        )
        for index, layer in enumerate(chosen.layers)
        if layer.states is not None
    ]


def _causes(layer: LayerPass) -> NDArray[np.uint8]:
    """The indices into `CAUSES` of a ReLU layer's pass, (samples, units)."""
    is_open = layer.z[0] > 0
    keep = torch.ones_like(is_open) if layer.keep is None else layer.keep[0]
    causes = torch.stack(list(by_cause(is_open, keep)))
    return causes.to(torch.uint8).argmax(0).to(torch.uint8).numpy()
