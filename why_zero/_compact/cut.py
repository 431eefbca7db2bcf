"""Takes rows and columns out of layers."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn


def columns_of(units: Sequence[int], block: int) -> list[int]:
    """Where the units are along an axis that holds `block` neighbours of each."""
    return [unit * block + offset for unit in units for offset in range(block)]


def cut(part: nn.Module, *, rows: Collection[int], columns: Collection[int]) -> None:
    """Take rows (what it gives) and columns (what it reads) out of a layer or a batch norm."""
    if isinstance(part, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - has no public name
        for name in ("weight", "bias", "running_mean", "running_var"):
            _shorten(part, name, rows, axis=0)
        part.num_features -= len(rows)
        return
    _shorten(part, "weight", rows, axis=0)
    _shorten(part, "weight", columns, axis=1)
    _shorten(part, "bias", rows, axis=0)
    given, read = (
        ("out_features", "in_features")
        if isinstance(part, nn.Linear)
        else ("out_channels", "in_channels")
    )
    setattr(part, given, getattr(part, given) - len(rows))
    setattr(part, read, getattr(part, read) - len(columns))


@torch.no_grad()
def fold(part: nn.Module, columns: Sequence[int], constants: Tensor) -> None:
    """Add to a layer's bias what these columns make of constant inputs.

    Args:
        part: with a bias; of a convolution every position must see the constants.
        columns: which ones.
        constants: of each column, float64 on the CPU.
    """
    weight, bias = part.get_parameter("weight"), part.get_parameter("bias")
    # On the CPU, since not every device has float64.
    entries = weight[:, list(columns)].cpu().double()
    by_column = entries.reshape(*entries.shape[:2], -1).sum(2)
    bias.copy_(bias.cpu().double() + by_column @ constants)


def _shorten(part: nn.Module, name: str, gone: Collection[int], *, axis: int) -> None:
    """Take these entries out of a parameter or buffer; None stays None."""
    tensor = getattr(part, name)
    if tensor is None or not gone:
        return
    absent = set(gone)
    keep = [index for index in range(tensor.shape[axis]) if index not in absent]
    kept = tensor.detach().index_select(axis, torch.tensor(keep, device=tensor.device))
    if isinstance(tensor, nn.Parameter):
        kept = nn.Parameter(kept, requires_grad=tensor.requires_grad)
    setattr(part, name, kept)
