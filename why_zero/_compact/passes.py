"""Passes of a network over a set: its inputs, its outputs, how two differ, what one costs."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from why_zero._compact.flow import WEIGHTED
from why_zero._passes import tensors_of
from why_zero.errors import WhyZeroError

_BATCH = 1024


class Batches:
    """A set of samples that can be gone through again and again."""

    def __init__(self, name: str, samples: Tensor | Iterable[Any], device: torch.device) -> None:
        """Take a tensor, or batches; what can be gone through once only is kept."""
        if isinstance(samples, Tensor):
            samples = samples.split(_BATCH)
        elif isinstance(samples, Iterator):
            samples = list(samples)
        self._name, self._samples, self._device = name, samples, device

    def __iter__(self) -> Iterator[Tensor]:
        """Every batch's inputs, on the device.

        Raises:
            WhyZeroError: there is none, or one is no tensor.
        """
        is_empty = True
        for batch in self._samples:
            first = batch[0] if isinstance(batch, tuple | list) and batch else batch
            if not isinstance(first, Tensor):
                raise WhyZeroError(
                    f"{self._name} must be a tensor, or batches that are tensors or tuples that "
                    f"begin with one, got {type(first).__name__}: give the model's inputs"
                )
            if len(first):
                is_empty = False
                yield first.to(self._device, copy=True)  # a forward may write to its input
        if is_empty:
            raise WhyZeroError(f"{self._name} must hold samples, got none: give some")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How the outputs of two networks differ.

    Attributes:
        largest: difference of any output.
        changed: the share of samples whose largest output is another one; None where the output is
            no matrix.
    """

    largest: float
    changed: float | None


def compared(first: nn.Module, second: nn.Module, batches: Batches) -> Comparison:
    """How the outputs of two networks differ over a set; NaN where one gives NaN."""
    largest, changed, total = torch.zeros((), dtype=torch.float64), 0, 0
    is_matrix = True
    for inputs in batches:
        one, other = list(tensors_of(first(inputs.clone()))), list(tensors_of(second(inputs)))
        for a, b in zip(one, other, strict=True):
            # On the CPU, since not every device has float64. Infinities of one sign are the same.
            one_way, other_way = a.cpu().double(), b.cpu().double()
            apart = torch.where(one_way == other_way, 0, one_way - other_way).abs()
            if apart.numel():
                largest = torch.maximum(largest, apart.max())
        is_matrix = is_matrix and len(one) == 1 and one[0].ndim == 2
        if is_matrix:
            changed += int((one[0].argmax(1) != other[0].argmax(1)).sum())
            total += len(inputs)
    return Comparison(largest=float(largest), changed=changed / total if is_matrix else None)


def multiplications(module: nn.Module, sample: Tensor) -> int:
    """Multiply-adds of all calls of linear layers and convolutions in one pass."""
    count = 0

    def add(part: nn.Module, _: object, output: Tensor) -> None:
        nonlocal count
        weight: Any = part.weight  # no parameter where it is parametrized
        # Every number that comes out is a sum with one row of the weights.
        count += output.numel() * weight[0].numel()

    with ExitStack() as hooks:
        for part in module.modules():
            if isinstance(part, WEIGHTED):
                hooks.enter_context(part.register_forward_hook(add))
        module(sample)
    return count
