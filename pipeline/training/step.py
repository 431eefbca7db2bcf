"""One optimizer step of a stack: as it comes, or recorded once and repeated."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor

from pipeline.training import device as devices
from pipeline.training.batches import Batch
from pipeline.training.masks import MaskSource, RandomMasks
from pipeline.training.measure import cross_entropy
from pipeline.training.stack import LayerPass, Stack

Logits = Float[Tensor, "networks batch classes"]
Losses = Float[Tensor, "networks batch"]


def training_pass(
    stack: Stack, batch: Batch, masks: MaskSource, *, trace: list[LayerPass] | None = None
) -> Logits:
    """The logits of a pass in training mode, in the precision that the recipes name.

    Args:
        stack: the networks.
        batch: their samples.
        masks: where the dropout masks come from.
        trace: takes what each layer did.
    """
    drawn = masks.draw(batch.target.shape[1])
    with _precision(stack):
        logits: Tensor = stack(batch.x, drawn, trace=trace)
    return logits


def take_step(
    stack: Stack,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    masks: MaskSource,
    *,
    trace: list[LayerPass] | None = None,
    keep_gradients: bool = False,
) -> tuple[Logits, Losses]:
    """Take one optimizer step: the logits and the samples' losses, in nats, as it saw them.

    Every network's gradient is that of its own mean loss: the sum over networks mixes nothing.

    Args:
        stack: the networks.
        optimizer: over the stack's parameters.
        batch: the samples.
        masks: where the dropout masks come from.
        trace: takes what each layer did.
        keep_gradients: the gradients of z, h and y in the trace are kept as well.
    """
    logits = training_pass(stack, batch, masks, trace=trace)
    if keep_gradients and trace:
        for tensor in (t for layer in trace for t in (layer.z, layer.h, layer.y)):
            tensor.retain_grad()
    losses = cross_entropy(logits, batch.target)
    optimizer.zero_grad(set_to_none=True)
    losses.mean(1).sum().backward()
    optimizer.step()
    if trace and not keep_gradients:
        # What still holds the graph of one step would be part of a recording of the next.
        trace[:] = [layer.detached() for layer in trace]
    return logits.detach(), losses.detach()


def _precision(stack: Stack) -> AbstractContextManager[object]:
    if stack.recipes[0].precision == "float32":
        return nullcontext()
    # Each weight is cast once a pass anyhow, and a recording must not keep what was cast before.
    return torch.autocast(stack.scales.device.type, torch.bfloat16, cache_enabled=False)


class CapturedStep:
    """Steps of one stack that differ in their samples and masks alone: recorded, then repeated.

    On CUDA a graph, see `device.recorded`; elsewhere each is taken as it comes.
    """

    def __init__(self, stack: Stack, optimizer: torch.optim.Optimizer, masks: RandomMasks) -> None:
        """Record nothing yet; the arguments are those of `take_step`."""
        self._stack = stack
        self._optimizer = optimizer
        self._masks = masks
        self._batch: Batch | None = None
        self._again: Callable[[], tuple[Logits, Losses]] | None = None

    def take_step(self, batch: Batch) -> tuple[Logits, Losses]:
        """As the function `take_step`; the result is overwritten by the next step.

        The first step is taken as it comes, so that whatever is made only once exists, and the
        second is recorded. A batch of another size, such as an epoch's last, is taken as it comes.
        """
        if self._batch is None:
            self._batch = Batch(batch.x.clone(), batch.target.clone())
            return take_step(self._stack, self._optimizer, batch, self._masks)
        if batch.x.shape != self._batch.x.shape:
            return take_step(self._stack, self._optimizer, batch, self._masks)
        self._batch.x.copy_(batch.x)
        self._batch.target.copy_(batch.target)
        if self._again is None:
            held = self._batch
            self._again = devices.capture(
                lambda: take_step(self._stack, self._optimizer, held, self._masks),
                self._stack.scales.device,
                self._masks.sources,
            )
        return self._again()
