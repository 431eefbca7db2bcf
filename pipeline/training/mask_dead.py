"""Which dead units fire under no dropout mask, by drawing masks over the reference set.

A unit that is dead in evaluation mode often fires under some upstream mask, so it still learns.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from pipeline.records import EpochRecord
from pipeline.training.batches import Batch
from pipeline.training.masks import RandomMasks
from pipeline.training.stack import LayerPass, Stack

# Of each hidden layer of some networks, which units no mask has woken yet.
Asleep = Sequence[Bool[Tensor, "networks _"]]


def with_mask_dead(
    records: Sequence[EpochRecord], stack: Stack, reference: Callable[[], Iterable[Batch]]
) -> list[EpochRecord]:
    """The records, with mask-dead units added at birth and at the end.

    `mask_passes` masks are drawn for every sample of D, from streams of their own. On a CPU one
    network after another: most have no dead units to test, or soon none left. On a GPU all at once:
    what takes time there is starting an operation.

    Args:
        records: one per network, of the weights that the stack holds.
        stack: the networks.
        reference: yields the batches of D, from the first at each call.
    """
    due = [
        record
        for record in records
        if stack.recipes[record.member].mask_passes
        and (record.epoch == 0 or record.ending in {"finished", "patience"})
    ]
    size = 1 if stack.scales.device.type == "cpu" else max(1, len(due))
    judged = [
        record
        for start in range(0, len(due), size)
        for record in _judged(due[start : start + size], stack, reference)
    ]
    by_member = {record.member: record for record in judged}
    return [by_member.get(record.member, record) for record in records]


def _judged(
    records: Sequence[EpochRecord], stack: Stack, reference: Callable[[], Iterable[Batch]]
) -> list[EpochRecord]:
    """The records of some networks, with their mask-dead units."""
    device = stack.scales.device
    asleep = [
        torch.stack(
            [
                torch.zeros(units, dtype=torch.bool)
                if (states := record.layers[layer].states) is None
                else torch.from_numpy(states.dead)
                for record in records
            ]
        ).to(device)
        for layer, units in enumerate(stack.units[:-1])
    ]
    _let_sleep_what_never_fires(
        asleep, stack.part([record.member for record in records]), records[0].epoch, reference
    )
    rows = [layer.cpu().numpy() for layer in asleep]
    return [
        replace(
            record,
            layers=tuple(
                layer if layer.states is None else replace(layer, mask_dead=rows[index][place])
                for index, layer in enumerate(record.layers)
            ),
        )
        for place, record in enumerate(records)
    ]


@torch.no_grad()
def _let_sleep_what_never_fires(
    asleep: Asleep, networks: Stack, epoch: int, reference: Callable[[], Iterable[Batch]]
) -> None:
    """Training-mode passes over D: what fires in one of them is not mask-dead."""
    passes = [
        RandomMasks(
            networks.recipes,
            networks.units,
            stream=f"mask-dead, epoch {epoch}, pass {number}",
            device=networks.scales.device,
        )
        for number in range(networks.recipes[0].mask_passes)
    ]
    if (deepest := _deepest(asleep, networks)) is None:
        return
    for batch in reference():
        # The same under every mask where no inputs are dropped, and most of a pass's cost.
        first: Tensor | None = None
        for masks in passes:
            trace: list[LayerPass] = []
            keep = masks.draw_inputs(*batch.x.shape[1:])
            if first is None or keep is not None:
                first = networks.first(networks.enter(batch.x, keep).y)
            kept = masks.draw(batch.target.shape[1], layers=deepest)
            networks.onward(first, kept, trace=trace)
            for layer, seen in zip(asleep, trace, strict=False):
                layer.logical_and_(seen.z.amax(1) <= 0)
        if (deepest := _deepest(asleep, networks)) is None:
            return


def _deepest(asleep: Asleep, networks: Stack) -> int | None:
    """The last layer, 0 for h1, with a unit that a mask could still wake; None if there is none.

    Only the masks of the inputs and of the layers before it could.
    """
    for index in reversed(range(len(asleep))):
        drops = [
            r.input_drop_rate > 0 or any(map(r.drop_rate_of, r.layers[:index]))
            for r in networks.recipes
        ]
        layer = asleep[index]
        if bool(layer[torch.tensor(drops, device=layer.device)].any()):
            return index
    return None
