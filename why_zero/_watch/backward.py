"""Masks, compared with what the backward pass makes of them, whenever that comes."""

from torch import Tensor
from torch.utils.hooks import RemovableHandle

from why_zero._watch.isolation import unseen
from why_zero.identities import check_gradients

# Nodes whose first gradient is that of dropout's input: the product on the CPU, the kernel on GPUs.
_NODES = {"MulBackward0", "NativeDropoutBackward0"}


class MaskWatch:
    """Hooks on the graph nodes of watched dropouts; each is gone once it has fired."""

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []

    def watch(self, layer: str, y: Tensor, *, keep: Tensor, drop_rate: float) -> None:
        """Check identity 7 when the gradient comes back through this dropout, if it ever does."""
        node = y.grad_fn
        if node is None or node.name() not in _NODES:
            return
        scale = scale_of(drop_rate)

        def compare(inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor | None, ...]) -> None:
            handle.remove()
            if inputs[0] is not None and outputs[0] is not None:
                with unseen():
                    check_gradients(layer, inputs[0], outputs[0], keep=keep, scale=scale)

        handle = node.register_hook(compare)
        # Graphs that went without a backward pass took their hooks with them.
        self._handles = [old for old in self._handles if old.hooks_dict_ref() is not None]
        self._handles.append(handle)

    def stop(self) -> None:
        """Take every hook off that has not fired."""
        for handle in self._handles:
            handle.remove()
        self._handles = []


def scale_of(drop_rate: float) -> float:
    """1 / (1 - p); 1 where everything is dropped and there is nothing to scale."""
    return 1 / (1 - drop_rate) if drop_rate < 1 else 1.0
