"""The instrument's own code, kept from everybody else's modes, graphs and compilers."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch
from torch import nn

from why_zero.errors import WhyZeroError

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


def refuse_compiled(module: nn.Module) -> None:
    """Refuse what runs without the function calls that a probe watches.

    Raises:
        WhyZeroError: a part of the module is compiled or scripted.
    """
    for name, part in module.named_modules():
        is_compiled = hasattr(part, "_orig_mod") or part._compiled_call_impl is not None  # noqa: SLF001
        if is_compiled or isinstance(part, torch.jit.ScriptModule):
            kind = "compiled" if is_compiled else "scripted"
            raise WhyZeroError(
                f"module must be plain Python, got a {kind} one ({name or type(part).__name__}): "
                "probe the module from before torch.compile or torch.jit, and call that one"
            )


def refuse_compiling() -> None:
    """Refuse to be compiled: torch.compile then runs what it was about to compile as it stands.

    Raises:
        WhyZeroError: torch.compile is reading this code; with `fullgraph=True` the user sees it.
    """
    if torch.compiler.is_compiling():
        raise WhyZeroError(
            "a probe must watch uncompiled code, got a call from inside torch.compile: "
            "run this step without compiling it"
        )
