"""Which dead units no dropout mask wakes, by drawing masks over the reference set.

A unit that is dead in evaluation mode often fires under some upstream mask, so it still learns.
It must not know how a network is trained.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from pipeline.batches import Batch
from pipeline.masks import RandomMasks
from pipeline.records import EpochRecord
from pipeline.stack import LayerPass, Stack

Dead = list[Bool[Tensor, "networks _"]]


def with_mask_dead(
    records: Sequence[EpochRecord], stack: Stack, reference: Callable[[], Iterable[Batch]]
) -> list[EpochRecord]:
    """The records, each unit of their ReLU layers judged dead under every mask or not.

    `mask_passes` masks are drawn for every sample of D, from streams of their own.

    Args:
        records: networks of the stack, whose weights are as the records tell.
        stack: the networks.
        reference: gives the batches of D, anew at each call.
    """
    dead = _dead_in_evaluation(records, stack)
    passes = [
        RandomMasks(
            stack.recipes,
            stack.units,
            stream=f"mask-dead, epoch {records[0].epoch}, pass {number}",
            device=stack.scales.device,
        )
        for number in range(stack.recipes[0].mask_passes)
    ]
    for batch in reference():
        if not _can_be_woken(dead, stack):
            break
        _strike_out_what_fires(dead, stack, batch, passes)
    return _judged(records, dead)


def _dead_in_evaluation(records: Sequence[EpochRecord], stack: Stack) -> Dead:
    """Which units of each hidden layer are dead without masks; none of networks without record."""
    dead = [torch.zeros(len(stack.recipes), units, dtype=torch.bool) for units in stack.units[:-1]]
    for record in records:
        for index, layer in enumerate(record.layers[:-1]):
            if layer.states is not None:
                dead[index][record.member] = torch.from_numpy(layer.states.dead)
    return [layer.to(stack.scales.device) for layer in dead]


def _can_be_woken(dead: Dead, stack: Stack) -> bool:
    """Whether a mask is left that could matter: no mask is upstream of the first layer."""
    has_dropout = torch.tensor([recipe.drop_rate > 0 for recipe in stack.recipes])
    has_dropout = has_dropout.to(stack.scales.device)
    return any(bool(layer[has_dropout].any()) for layer in dead[1:])


@torch.no_grad()
def _strike_out_what_fires(
    dead: Dead, stack: Stack, batch: Batch, passes: Sequence[RandomMasks]
) -> None:
    """Training-mode passes over one batch: what fires in one of them is not mask-dead."""
    first = stack.first(batch.x)  # the same under every mask, and most of a pass
    for masks in passes:
        trace: list[LayerPass] = []
        stack.onward(first, masks.draw(batch.target.shape[1]), trace=trace)
        for layer, seen in zip(dead, trace, strict=False):
            layer.logical_and_(seen.z.amax(1) <= 0)


def _judged(records: Sequence[EpochRecord], dead: Dead) -> list[EpochRecord]:
    units = [layer.cpu().numpy() for layer in dead]
    return [
        replace(
            record,
            layers=tuple(
                layer
                if layer.states is None
                else replace(layer, mask_dead=units[index][record.member])
                for index, layer in enumerate(record.layers)
            ),
        )
        for record in records
    ]
