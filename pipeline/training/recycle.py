"""Gives dead or dormant units new weights between two epochs: ReDo, by Sokar et al. 2023.

"The Dormant Neuron Phenomenon in Deep Reinforcement Learning" (ICML 2023, section 4): the incoming
weights of such a unit are drawn again from the initial distribution, its outgoing ones become 0,
and the optimizer forgets what it knows of both. A dead unit gives 0 before and after, so recycling
it leaves the network's answers as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.config.recipe import Recipe
from pipeline.records import EpochRecord
from pipeline.training import device as devices
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack, initial_layer

# By network and by the layer's place, which units were given new weights, shape (units,).
Recycled = Mapping[int, Mapping[int, NDArray[np.bool_]]]


@torch.no_grad()
def recycle(stack: Stack, optimizer: Optimizer, records: Sequence[EpochRecord]) -> Recycled:
    """Recycle units of the networks that ask for it after this epoch, and return which.

    New weights come from the stream `recycle LAYER epoch N` of the network's seed, drawn on the CPU
    for the whole layer: those of a unit do not depend on which others are recycled.

    Args:
        stack: the networks, with the weights that the records are of.
        optimizer: over the stack's parameters.
        records: of the networks that go on, at the end of one epoch.
    """
    recycled: dict[int, Mapping[int, NDArray[np.bool_]]] = {}
    for record in records:
        member, epoch, recipe = record.member, record.epoch, stack.recipes[record.member]
        if not epoch or not recipe.recycle_every or epoch % recipe.recycle_every:
            continue
        chosen = {
            index: layer.states.dormant_at(recipe.recycle_below)
            for index, layer in enumerate(record.layers)
            if layer.states is not None
        }
        where = {
            index: torch.from_numpy(units).to(stack.scales.device)
            for index, units in chosen.items()
            if units.any()
        }
        for index, units in where.items():
            weight, bias = _drawn(stack, index, recipe, epoch)
            _replace(optimizer, stack.weights[index], member, where=units, by=weight.T)
            _replace(optimizer, stack.biases[index], member, where=units, by=bias)
        # Last: new weights of a deeper unit do not bring those of a recycled one back.
        for index, units in where.items():
            nothing = torch.zeros((), device=units.device)
            outgoing = stack.weights[index + 1]
            _replace(optimizer, outgoing, member, where=units[:, None], by=nothing)
        recycled[member] = chosen
    return recycled


def with_recycled(records: Sequence[EpochRecord], recycled: Recycled) -> list[EpochRecord]:
    """The records of the next epoch, with the units that were recycled before its updates."""
    return [
        replace(
            record,
            layers=tuple(
                replace(layer, recycled=recycled.get(record.member, {}).get(index))
                for index, layer in enumerate(record.layers)
            ),
        )
        for record in records
    ]


def _drawn(stack: Stack, index: int, recipe: Recipe, epoch: int) -> tuple[Tensor, Tensor]:
    """New weights and biases for all units of a layer, on the stack's device."""
    stream = f"recycle {stack.layer_names[index]} epoch {epoch}"
    source = devices.generator(torch.device("cpu"), recipe.seed, stream)
    _, inputs, units = stack.weights[index].shape
    weight, bias = initial_layer(inputs, units, recipe, source)
    return weight.to(stack.scales.device), bias.to(stack.scales.device)


def _replace(
    optimizer: Optimizer, parameter: Tensor, member: int, *, where: Tensor, by: Tensor
) -> None:
    """Set a member's part of a parameter in place, as a captured update needs it."""
    parameter[member] = torch.where(where, by, parameter[member])
    optimizer.forget(parameter, member, where)
