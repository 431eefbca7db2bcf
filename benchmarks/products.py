"""The bare matrix products of the post's network: what is left when all else costs nothing.

It must not know what they are compared with.
"""

import itertools
from collections.abc import Callable

import torch

from benchmarks.blocks import BLOCK
from pipeline import device as devices
from pipeline.batches import EVALUATION_BATCH

SIZES = (784, 256, 256, 128, 128, 10)


def products(device: torch.device) -> Callable[[], None]:
    """A function that computes those of a block of updates, at batch 200.

    The forward pass, the weight gradients, and the input gradients of all layers but the first.
    """
    values, weights = _operands(200, device)

    def run() -> None:
        for _ in range(BLOCK):
            _forward(values, weights)
            for layer in reversed(range(len(weights))):
                torch.mm(values[layer + 1].t(), values[layer])
                if layer:
                    torch.mm(values[layer + 1], weights[layer])
        devices.synchronize(device)

    return run


def evaluation_products(device: torch.device) -> Callable[[], None]:
    """A function that computes those of evaluating one batch."""
    values, weights = _operands(EVALUATION_BATCH, device)

    def run() -> None:
        _forward(values, weights)
        devices.synchronize(device)

    return run


def _operands(batch: int, device: torch.device) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    values = [torch.rand(batch, size, device=device) for size in SIZES]
    weights = [torch.rand(out, size, device=device) for size, out in itertools.pairwise(SIZES)]
    return values, weights


def _forward(values: list[torch.Tensor], weights: list[torch.Tensor]) -> None:
    for weight, value in zip(weights, values, strict=False):
        torch.mm(value, weight.t())
