"""What every pass of somebody's module needs: its tensors, and evaluation mode for a while."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass

from torch import Tensor, nn


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
