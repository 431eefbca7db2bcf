"""The instrument's own code, kept from everybody else's modes, graphs and compilers."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def unseen() -> Iterator[None]:
    """A block whose own calls of torch no mode sees and no graph records."""
    # torch documents no public name for this; it is the one that its own modes use.
    with torch._C.DisableTorchFunction(), torch.no_grad():  # noqa: SLF001
        yield


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function as torch.compile must leave it: with all that it calls."""
    # Nothing can compile before this module is there, and it takes more than a second to import.
    if "torch._dynamo" not in sys.modules:
        return function
    left_alone: Callable[P, R] = torch.compiler.disable(function)
    return left_alone
