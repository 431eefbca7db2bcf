"""Which unit every element of a tensor belongs to, carried along whatever moves the elements.

The numbers of the units are themselves a tensor of the same shape, so a view, a permutation or an
index that moves activations moves the numbers in the same way. They take no memory to speak of: an
axis that does not number units has stride 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Int, Shaped
from torch import Tensor


@dataclass(frozen=True)
class Units:
    """The units of a tensor.

    Attributes:
        ids: the unit of every element, in the order of the weights that made them.
        source: the path of the module with these weights; empty where none is known.
        is_guess: whether the axis was guessed from the tensor's shape.
        is_counted: whether the ids are a view of 0, 1, 2 and so on.
    """

    ids: Int[Tensor, "..."]
    source: str = ""
    is_guess: bool = False
    is_counted: bool = False

    @classmethod
    def along(
        cls,
        tensor: Tensor,
        axis: int,
        *,
        source: str = "",
        is_guess: bool = False,
    ) -> "Units":
        """Units numbered by one axis of the tensor."""
        strides = [0] * tensor.dim()
        strides[axis] = 1
        ids = torch.arange(tensor.size(axis), device="cpu").as_strided(tensor.shape, strides)
        return cls(ids, source, is_guess, is_counted=True)

    @classmethod
    def guessed(cls, tensor: Tensor) -> "Units":
        """Units of a tensor that no known weights have made: channels of images, or features."""
        if not tensor.dim():
            return cls(torch.zeros((), dtype=torch.long, device="cpu"), is_guess=True)
        return cls.along(tensor, 1 if tensor.dim() > 3 else -1, is_guess=True)

    @cached_property
    def axes(self) -> tuple[int, ...]:
        """The axes along which the unit changes, slowest first."""
        strides = self.ids.stride()
        axes = [a for a in range(self.ids.dim()) if strides[a] and self.ids.size(a) > 1]
        return tuple(sorted(axes, key=lambda axis: -strides[axis]))

    def moved(self, move: Callable[[Tensor], Tensor]) -> "Units":
        """The units after a call that moves elements."""
        return self._with(_thinned(move(self.ids)))

    def _with(self, ids: Tensor) -> "Units":
        """The same units with these ids, which may be a view of those there were."""
        is_view = ids.untyped_storage().data_ptr() == self.ids.untyped_storage().data_ptr()
        return replace(self, ids=ids, is_counted=self.is_counted and is_view)

    def reshaped(self, shape: torch.Size) -> "Units":
        """The units after a change of shape in logical order, the batch kept thin."""
        ids = self.ids
        if ids.dim() and shape and ids.stride(0) == 0 and ids.size(0) == shape[0]:
            return self._with(ids[:1].reshape(1, *shape[1:]).expand(shape))
        return self._with(_thinned(ids.reshape(shape)))

    def carried(self, shape: torch.Size) -> "Units | None":
        """The units after a call that moves nothing; None where it has changed their axes.

        Axes are matched from the right, as broadcasting does; other axes may have any size.
        """
        ids = self.ids
        more = len(shape) - ids.dim()
        if more < 0 or any(shape[axis + more] != ids.size(axis) for axis in self.axes):
            return None
        thin = ids
        for axis in range(ids.dim()):
            if axis not in self.axes and ids.size(axis):
                thin = thin.narrow(axis, 0, 1)
        if not thin.numel():
            return None
        return replace(self, ids=thin.expand(shape))

    def reduced(self, axes: tuple[int, ...], *, keepdim: bool) -> "Units | None":
        """The units after these axes have been summed up; None where one of them numbers units."""
        gone = {axis % self.ids.dim() for axis in axes}
        if gone & set(self.axes) or not self.ids.numel():
            return None
        ids = self.ids
        for axis in sorted(gone, reverse=True):
            ids = ids.narrow(axis, 0, 1) if keepdim else ids.select(axis, 0)
        return replace(self, ids=ids)

    @cached_property
    def _numbers(self) -> tuple[Tensor, Tensor | None]:
        """The distinct ids, and which of these each element along the axes has.

        The latter is None where they are the elements in order.
        """
        size = [n if axis in self.axes else 1 for axis, n in enumerate(self.ids.size())]
        thin = self.ids.as_strided(size, self.ids.stride(), self.ids.storage_offset())
        flat = thin.permute(self._order).flatten()
        is_counted = self.is_counted and len(self.axes) < 2
        if is_counted or bool((flat[1:] > flat[:-1]).all()):
            return flat, None
        found: tuple[Tensor, Tensor] = torch.unique(flat, return_inverse=True)
        return found

    @property
    def _order(self) -> tuple[int, ...]:
        rest = [axis for axis in range(self.ids.dim()) if axis not in self.axes]
        return (*rest, *self.axes)

    @property
    def numbers(self) -> Int[Tensor, " units"]:
        """The ids of the units, ascending."""
        return self._numbers[0]

    def sums(self, flags: Shaped[Tensor, "..."]) -> Shaped[Tensor, " units"]:
        """How many of each unit's elements are True; of values, their sums."""
        numbers, which = self._numbers
        rest = [axis for axis in range(flags.dim()) if axis not in self.axes]
        # torch takes an empty list of axes for all axes.
        sums = flags.sum(rest, keepdim=True) if rest else flags * 1
        flat = sums.permute(self._order).flatten()
        if which is None:
            return flat
        return flat.new_zeros(len(numbers)).index_add_(0, which.to(flat.device), flat)

    @cached_property
    def pairs(self) -> Int[Tensor, " units"]:
        """How many elements each unit has."""
        numbers, which = self._numbers
        times = math.prod(n for axis, n in enumerate(self.ids.size()) if axis not in self.axes)
        if which is None:
            return torch.full_like(numbers, times)
        return torch.bincount(which, minlength=len(numbers)) * times


def _thinned(ids: Tensor) -> Tensor:
    """The same ids with stride 0 along every axis on which nothing changes."""
    if not ids.numel() or any(not stride for stride in ids.stride()):
        return ids
    thin = ids
    for axis in range(ids.dim()):
        first = thin.narrow(axis, 0, 1)
        if thin.size(axis) > 1 and bool((thin == first).all()):
            thin = first
    return thin.expand(ids.shape)
