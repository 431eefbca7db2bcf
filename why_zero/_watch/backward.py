"""Masks, compared with what the backward pass makes of them, whenever that comes."""

from collections.abc import Callable

from torch import Tensor
from torch.utils.hooks import RemovableHandle

from why_zero._watch.isolation import is_plain, unseen
from why_zero._watch.layer_counts import on_host
from why_zero.errors import BrokenIdentity
from why_zero.identities import survivors_that_differ

# Nodes whose first gradient is that of dropout's input: the product on the CPU, the kernel on GPUs.
_NODES = {"MulBackward0", "NativeDropoutBackward0"}


class MaskWatch:
    """Hooks on the graph nodes of watched dropouts; each is gone once it has fired.

    Args:
        guard: runs what a hook does, and keeps its errors from the user's backward pass.
    """

    def __init__(self, guard: Callable[[str, Callable[[], None]], None]) -> None:
        self._guard = guard
        self._handles: list[RemovableHandle] = []
        self._counts: list[tuple[str, Tensor]] = []

    def watch(self, layer: str, y: Tensor, *, keep: Tensor, drop_rate: float) -> None:
        """Test identity 7 when the gradient comes back through this dropout, if it ever does."""
        node = y.grad_fn
        if node is None or node.name() not in _NODES:
            return
        scale = scale_of(drop_rate)

        def compare(inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor | None, ...]) -> None:
            handle.remove()
            before, after = inputs[0], outputs[0]

            def count() -> None:
                with unseen():
                    if before is None or after is None or not all(map(is_plain, (before, after))):
                        return
                    differ = survivors_that_differ(after, before, keep=keep, scale=scale)
                    self._counts.append((layer, differ))

            self._guard(layer, count)

        handle = node.register_hook(compare)
        # Graphs that went without a backward pass took their hooks with them.
        self._handles = [old for old in self._handles if old.hooks_dict_ref() is not None]
        self._handles.append(handle)

    def broken(self) -> list[BrokenIdentity]:
        """The layers whose gradients contradicted their masks since this was last asked."""
        layers, counts = [layer for layer, _ in self._counts], [count for _, count in self._counts]
        self._counts = []
        return [
            BrokenIdentity(layer, 7, expected="0 wrong gradients", observed=int(count))
            for layer, count in zip(layers, on_host(counts), strict=True)
            if count
        ]

    def stop(self) -> None:
        """Take every hook off that has not fired."""
        for handle in self._handles:
            handle.remove()
        self._handles = []


def scale_of(drop_rate: float) -> float:
    """1 / (1 - p); 1 where everything is dropped and there is nothing to scale."""
    return 1 / (1 - drop_rate) if drop_rate < 1 else 1.0
