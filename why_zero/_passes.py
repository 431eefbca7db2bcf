"""What passes of somebody's module need: a copy of it, evaluation mode for a while, its tensors."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor, nn

from why_zero.errors import WhyZeroError, in_one_line

# Calls a module on a batch, and gives what it puts out.
Run = Callable[[nn.Module, Any], object]


def copied(module: nn.Module) -> nn.Module:
    """A copy of the module.

    Raises:
        WhyZeroError: it cannot be copied.
    """
    try:
        return copy.deepcopy(module)
    except Exception as error:  # whatever its parts raise that cannot be copied
        raise WhyZeroError(
            f"copy.deepcopy must copy a module, got {type(module).__name__} ({in_one_line(error)}"
            "): remove what computes its weights, such as torch.nn.utils.weight_norm or prune"
        ) from error


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """A block in evaluation mode."""
    was_training = {part: part.training for module in modules for part in module.modules()}
    try:
        for module in modules:
            module.eval()
        yield
    finally:
        for part, training in was_training.items():
            part.training = training


def tensors_of(value: object) -> Iterator[Tensor]:
    """All tensors in tuples, lists, dictionaries and data classes."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_of(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_of(part)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from tensors_of(getattr(value, field.name))
