"""How many units are dead before training: counts over whole stacks of untrained networks."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from pipeline.training.batches import Batch
from pipeline.training.measure import evaluate
from pipeline.training.stack import Stack
from why_zero import StateCount


def dead_at_birth(stack: Stack, batches: Sequence[Batch]) -> list[Bool[Tensor, "networks _"]]:
    """By hidden layer, which units of which network are dead for all these samples."""
    networks, widths = len(stack.recipes), stack.recipes[0].widths
    states = StateCount(networks, widths, stack.scales.device)
    evaluate(stack, batches, states=states)
    return [
        torch.stack(
            [torch.from_numpy(states.states(layer, member).dead) for member in range(networks)]
        )
        for layer in range(len(widths))
    ]


def without_biases(stack: Stack) -> Stack:
    """The same stack, its biases now 0."""
    for bias in stack.biases:
        torch.nn.init.zeros_(bias)
    return stack


def is_silent(dead: Sequence[Bool[Tensor, "networks _"]]) -> Bool[Tensor, " networks"]:
    """Which networks have a layer without any unit that fires: their output is constant."""
    return torch.stack([layer.all(1) for layer in dead]).any(0)
