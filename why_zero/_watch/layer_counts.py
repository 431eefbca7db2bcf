"""One layer in one pass, as counts by unit."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Int
from torch import Tensor, nn

from why_zero._watch.units import Units


@dataclass(frozen=True)
class Key:
    """Which layer it is, in every pass.

    Attributes:
        call: the module whose forward calls the function, with the function's name behind it where
            the module has parts of its own.
        source: the module whose units these are; empty where no module with weights made them.
        turn: 1 for the first such call of a pass.
    """

    call: str
    source: str
    turn: int


class Names:
    """A name for people for every key: `relu`, then `relu#2` and so on.

    Layers of one call are numbered in the order in which the module defines the parts that their
    units come from. So names do not depend on which pass was seen first.
    """

    def __init__(self, module: nn.Module) -> None:
        """Number by the parts of this module, in order of definition."""
        self._module = module
        self._keys: dict[Key, None] = {}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {path: place for place, (path, _) in enumerate(self._module.named_modules())}

    def add(self, key: Key) -> None:
        """Take note of a layer that was seen."""
        self._keys.setdefault(key)

    def of(self, key: Key) -> str:
        """The key's name among all that were seen."""
        keys = [other for other in {**self._keys, key: None} if other.call == key.call]
        keys.sort(key=lambda other: (self._places.get(other.source, -1), other.turn))
        turn = keys.index(key) + 1
        return key.call if turn == 1 else f"{key.call}#{turn}"


@dataclass
class Trials:
    """What one dropout did in one pass.

    Attributes:
        counts: independent trials, shape (4,), by cause; a trial is a pair, or a sample's channel
            where whole channels are dropped (open where any of its positions is).
        is_by_pair: whether a trial is a pair.
        zeros_before: pairs that would be 0 without this dropout.
        zeros: pairs with y == 0, read from y alone.
    """

    counts: Int[Tensor, "4"]
    is_by_pair: bool
    zeros_before: Int[Tensor, ""]
    zeros: Int[Tensor, ""]


@dataclass(eq=False)
class LayerCounts:
    """One layer in one pass.

    Attributes:
        key: which.
        activation: the function's name; None for a dropout without one.
        has_relu: whether its units can be closed.
        units: whose values these are.
        size: of the tensor whose elements are the pairs.
        counts: active, dropped, inactive, both and unexplained, shape (5, units).
        zeros: how many elements are 0, read from the output alone.
        total: the sum of the output, which is finite where all of it is.
        drop_rate: p.
        trials: what dropout did; None where it did nothing.
        uses: how often its values go into something that is more than one number.
        sums_up: whether all its values go into one number somewhere.
    """

    key: Key
    activation: str | None
    has_relu: bool
    units: Units
    size: torch.Size
    counts: Int[Tensor, "5 units"]
    zeros: Int[Tensor, ""]
    total: Tensor
    drop_rate: float = 0.0
    trials: Trials | None = None
    uses: int = 0
    sums_up: bool = False


def on_host(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The same on the CPU, fetched at once for each device and type."""
    found: list[Tensor] = list(tensors)
    for device, dtype in {(t.device, t.dtype) for t in tensors if t.device.type != "cpu"}:
        places = [k for k, t in enumerate(tensors) if (t.device, t.dtype) == (device, dtype)]
        flat = torch.cat([tensors[k].reshape(-1) for k in places]).cpu()
        for k, part in zip(places, flat.split([tensors[k].numel() for k in places]), strict=True):
            found[k] = part.reshape(tensors[k].shape)
    return found
