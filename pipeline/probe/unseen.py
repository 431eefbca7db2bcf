"""The instrument's own calls of torch, kept from everybody else's modes and graphs."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def unseen() -> Iterator[None]:
    """A block whose own calls of torch no mode sees and no graph records."""
    # torch documents no public name for this; it is the one that its own modes use.
    with torch._C.DisableTorchFunction(), torch.no_grad():  # noqa: SLF001
        yield
