"""The mask of a dropout, read while the dropout itself draws it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from why_zero._watch.isolation import unseen
from why_zero.errors import WhyZeroError


class MaskReader(TorchDispatchMode):
    """A block around one call of a dropout, whose mask can be asked for afterwards.

    A function of dropout gives back what it has masked, and where h = 0 that does not show the
    mask. Below it PyTorch either draws the mask with `bernoulli_`, or calls a kernel that returns
    it: both are seen here, and happen once, as they would without anybody looking.
    """

    def __init__(self, drop_rate: float) -> None:
        """Be ready for one dropout with this p."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._drop_rate = drop_rate
        self._keep: Tensor | None = None

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Let the call happen, and keep the mask if it is the one that makes it."""
        if "dropout" in func.__name__ and func is not torch.ops.aten.native_dropout.default:
            # In inference mode calls come here before they are taken apart.
            with self:
                return func.decompose(*args, **(kwargs or {}))
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.native_dropout.default:
            self._keep = result[1]
        elif func is torch.ops.aten.bernoulli_.float:
            with unseen():
                self._keep = result != 0  # soon it will be scaled in place
        return result

    def keep(self, y: Tensor) -> Tensor:
        """What the dropout kept, True = kept, in the shape of its output y.

        Raises:
            WhyZeroError: it drew no mask in a way that is known.
        """
        if self._keep is not None:
            # Channels of a tensor without a batch axis are drawn with one.
            return self._keep.view(self._keep.shape[-y.dim() :]).expand(y.shape)
        if self._drop_rate == 1 or not y.numel():  # nothing is drawn then
            return torch.zeros_like(y, dtype=torch.bool)
        raise WhyZeroError(
            f"a dropout must draw its mask with bernoulli_ or native_dropout, got neither on "
            f"{y.device}: report this device"
        )
