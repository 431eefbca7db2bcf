"""Where the values of a tensor come from, within one pass: which layer, which unit axis.

Links follow the memory, not the Python object: a view or a copy in the same order is still the
layer's output, an in-place change or any arithmetic ends it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.weak import WeakTensorKeyDictionary

from why_zero._watch.layer_counts import LayerCounts

Stage = Literal["relu", "soft", "derived", "dropped"]

# Give the same values in the same logical order, perhaps in new memory.
_COPIES = {"reshape", "flatten", "contiguous", "clone", "to", "float", "half", "bfloat16", "double"}
# Of ReLU outputs they make a zero just where every value that they look at was closed.
_KEEP_ZEROS = {
    *("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d"),
    *("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "adaptive_avg_pool1d"),
    *("adaptive_avg_pool2d", "adaptive_avg_pool3d", "mean", "amax"),
}
_WITH_ROWS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_OVERWRITE = {"__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__ipow__"}
_MOVE_AXES = {"transpose", "permute", "movedim", "moveaxis", "swapaxes", "swapdims", "t", "__get__"}


@dataclass(frozen=True)
class Place:
    """Where a tensor's elements lie in its storage."""

    size: torch.Size
    stride: tuple[int, ...]
    offset: int

    @classmethod
    def of(cls, tensor: Tensor) -> "Place":
        return cls(tensor.size(), tensor.stride(), int(tensor.storage_offset()))

    @property
    def end(self) -> int:
        """One past the last element."""
        steps = zip(self.size, self.stride, strict=True)
        return self.offset + 1 + sum((size - 1) * stride for size, stride in steps)

    @property
    def overlaps(self) -> bool:
        """Whether one element stands for several, as after `expand`."""
        steps = zip(self.size, self.stride, strict=True)
        return any(not stride and size > 1 for size, stride in steps)


@dataclass(frozen=True)
class Origin:
    """What a piece of memory holds.

    Attributes:
        stage: a ReLU's output; another activation's; something made of ReLU outputs that is zero
            just where all of these are; or what dropout left.
        layer: whose it is; None for something derived.
        place: of the tensor that the layer gave.
        version: of the memory; it counts in-place changes.
        copied_from: for a copy, the origin of what was copied, and where that lay.
    """

    stage: Stage
    layer: LayerCounts | None
    place: Place
    version: int
    copied_from: "tuple[Origin, Place] | None" = None

    def holds(self, place: Place) -> bool:
        """Whether a view at this place shows nothing but the layer's values, each once."""
        within = self.place.offset <= place.offset and place.end <= self.place.end
        return place == self.place or (within and not place.overlaps)

    def in_layer(self, flags: Tensor, place: Place) -> Tensor:
        """Flags of a view at `place`, laid out as the layer's own tensor is.

        They are False where the view does not reach.
        """
        if place != self.place:
            memory = flags.new_zeros(self.place.end - self.place.offset)
            start = place.offset - self.place.offset
            memory.as_strided(place.size, place.stride, start).copy_(flags)
            flags = memory.as_strided(self.place.size, self.place.stride)
        if self.copied_from is None:
            return flags
        origin, view = self.copied_from
        return origin.in_layer(flags.reshape(view.size), view)


@dataclass(frozen=True)
class Maker:
    """What made a tensor's units.

    Attributes:
        axis: which axis numbers the units.
        name: of the module; empty where no module with weights did.
        module: whose weights are the units' incoming rows, where nothing has happened since.
    """

    axis: int
    name: str
    module: nn.Module | None


class Lineage:
    """The origins of one pass; gone with it."""

    def __init__(self) -> None:
        # A weak reference keeps the address of freed memory from being taken for another's.
        self._origins: dict[StorageWeakRef, Origin] = {}
        self._makers = WeakTensorKeyDictionary()
        self._uses: Counter[int] = Counter()

    def mark(self, tensor: Tensor, stage: Stage, layer: LayerCounts | None) -> None:
        """Say what this tensor's memory holds from now on."""
        origin = Origin(stage, layer, Place.of(tensor), _version(tensor))
        self._origins[_memory(tensor)] = origin

    def origin(self, tensor: Tensor) -> Origin | None:
        """What the tensor's memory holds, if nothing has overwritten it."""
        found = self._origins.get(_memory(tensor))
        return found if found is not None and found.version == _version(tensor) else None

    def maker(self, tensor: Tensor) -> Maker:
        """Who made the tensor's units; by its shape alone where nobody is known."""
        known: Maker | None = self._makers.get(tensor)
        axis = 1 if tensor.dim() > 3 else tensor.dim() - 1
        return known if known is not None else Maker(axis, "", None)

    def forget(self, name: str, source: Tensor) -> None:
        """Drop what is known of memory that this call overwrites and that counts no changes."""
        is_overwritten = name in _OVERWRITE or (name.endswith("_") and not name.startswith("__"))
        if is_overwritten and source.is_inference():
            self._origins.pop(_memory(source), None)

    def rows(self, module: nn.Module | None) -> list[Tensor]:
        """The weight and bias whose rows are the module's units, if it was called just once."""
        if module is None or self._uses[id(module)] != 1:
            return []
        return [p for p in (module.weight, module.bias) if isinstance(p, nn.Parameter)]

    def follow(
        self, name: str, source: Tensor, result: Tensor, *, module: nn.Module, module_name: str
    ) -> None:
        """Carry what is known over a call that is neither an activation nor a dropout.

        The function `name` made the result of its first argument, inside the innermost module.
        """
        made = self._maker_of(name, result)
        if made is not None:
            is_own = isinstance(module, _WITH_ROWS)
            self._uses[id(module)] += 1
            self._makers[result] = Maker(made, module_name, module if is_own else None)
        elif (axis := self._kept_axis(name, source, result)) is not None:
            self._makers[result] = Maker(axis, self.maker(source).name, None)
        origin = self.origin(source)
        if origin is None or _memory(result) == _memory(source):
            return
        if name in _COPIES and result.numel() == source.numel():
            self._origins[_memory(result)] = Origin(
                origin.stage,
                origin.layer,
                Place.of(result),
                _version(result),
                copied_from=(origin, Place.of(source)),
            )
        elif name in _KEEP_ZEROS and origin.stage in {"relu", "derived"}:
            self.mark(result, "derived", None)

    def join(self, sources: Sequence[Tensor], result: Tensor) -> None:
        """Carry what is known over a concatenation."""
        origins = [self.origin(source) for source in sources]
        if all(origin is not None and origin.stage in {"relu", "derived"} for origin in origins):
            self.mark(result, "derived", None)

    def inherit(self, source: Tensor, result: Tensor) -> None:
        """Units keep their axis and their maker's name over an activation or a dropout."""
        known = self.maker(source)
        self._makers[result] = Maker(known.axis, known.name, None)

    @staticmethod
    def _maker_of(name: str, result: Tensor) -> int | None:
        """The axis of the units where the call makes new ones."""
        if name == "linear":
            return result.dim() - 1
        if name[:-2] in {"conv", "conv_transpose"} and name.endswith("d"):
            return result.dim() - int(name[-2]) - 1
        return None

    def _kept_axis(self, name: str, source: Tensor, result: Tensor) -> int | None:
        known: Maker | None = self._makers.get(source)
        if known is None or name in _MOVE_AXES or result.dim() != source.dim():
            return None
        axis = known.axis
        return axis if result.size(axis) == source.size(axis) else None


def _memory(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())


def _version(tensor: Tensor) -> int:
    # Tensors of inference mode count no changes.
    return 0 if tensor.is_inference() else tensor._version  # noqa: SLF001
