"""Which dead units fire under no dropout mask, by drawing masks over the reference set.

A unit that is dead in evaluation mode often fires under some upstream mask, so it still learns.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from pipeline.config.recipe import Recipe
from pipeline.records import EpochRecord
from pipeline.training.batches import Batch
from pipeline.training.masks import RandomMasks
from pipeline.training.stack import LayerPass, Stack

Dead = Sequence[Bool[Tensor, " _"]]


def with_mask_dead(
    records: Sequence[EpochRecord], stack: Stack, reference: Callable[[], Iterable[Batch]]
) -> list[EpochRecord]:
    """The records, with mask-dead units added at birth and at the end.

    `mask_passes` masks are drawn for every sample of D, from streams of their own. One network
    after another: most have no dead units to test, or soon none left.

    Args:
        records: one per network, of the weights that the stack holds.
        stack: the networks.
        reference: yields the batches of D, from the first at each call.
    """
    return [
        _judged(record, stack, reference)
        if stack.recipes[record.member].mask_passes
        and (record.epoch == 0 or record.ending in {"finished", "patience"})
        else record
        for record in records
    ]


def _judged(
    record: EpochRecord, stack: Stack, reference: Callable[[], Iterable[Batch]]
) -> EpochRecord:
    *hidden, logits = record.layers
    device = stack.scales.device
    dead = [
        torch.zeros(units, dtype=torch.bool, device=device)
        if layer.states is None
        else torch.from_numpy(layer.states.dead).to(device)
        for units, layer in zip(stack.units[:-1], hidden, strict=True)
    ]
    if _can_be_woken(dead, stack.recipes[record.member]):
        _strike_out_what_fires(dead, stack.part(record.member), record.epoch, reference())
    judged = [
        layer if layer.states is None else replace(layer, mask_dead=units.cpu().numpy())
        for layer, units in zip(hidden, dead, strict=True)
    ]
    return replace(record, layers=(*judged, logits))


def _can_be_woken(dead: Dead, recipe: Recipe) -> bool:
    """Whether masks could still matter: no mask comes before the first layer."""
    return recipe.drop_rate > 0 and any(bool(layer.any()) for layer in dead[1:])


@torch.no_grad()
def _strike_out_what_fires(
    dead: Dead, network: Stack, epoch: int, batches: Iterable[Batch]
) -> None:
    """Training-mode passes of one network over D: what fires in one of them is not mask-dead."""
    [recipe] = network.recipes
    passes = [
        RandomMasks(
            [recipe],
            network.units,
            stream=f"mask-dead, epoch {epoch}, pass {number}",
            device=network.scales.device,
        )
        for number in range(recipe.mask_passes)
    ]
    for batch in batches:
        first = network.first(batch.x)  # the same under every mask, and most of the cost of a pass
        for masks in passes:
            trace: list[LayerPass] = []
            network.onward(first, masks.draw(batch.target.shape[1]), trace=trace)
            for is_dead, layer in zip(dead, trace, strict=False):
                is_dead.logical_and_(layer.z[0].amax(0) <= 0)
        if not _can_be_woken(dead, recipe):
            return
