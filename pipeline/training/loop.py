"""The only training loop: `updates()` takes one optimizer step at a time, `epochs()` drives it.

Both train a stack, of one network or of many.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pipeline.records import EpochRecord, History
from pipeline.training import device as devices
from pipeline.training.batches import Batch, Examples, Roll, batches
from pipeline.training.mask_dead import with_mask_dead
from pipeline.training.masks import MaskSource, RandomMasks
from pipeline.training.measure import (
    ScoreSum,
    Watch,
    check_losses,
    cross_entropy,
    epoch_records,
)
from pipeline.training.optimizer import Optimizer
from pipeline.training.recycle import recycle, with_recycled
from pipeline.training.stack import LayerPass, Stack
from pipeline.training.stopping import Stopping


@dataclass(frozen=True)
class Update:
    """What one optimizer step saw.

    Until the next update the parameters' `.grad` holds the gradients of this one, or None where
    the step was left to a graph, which keeps them to itself.

    Attributes:
        batch: the samples.
        logits: of each network, as the loss saw them.
        losses: cross-entropy of each sample, in nats.
        layers: every layer's pass if it was watched, otherwise empty.
        inputs: what became of the inputs if it was watched, otherwise None.
    """

    batch: Batch
    logits: Float[Tensor, "networks batch classes"]
    losses: Float[Tensor, "networks batch"]
    layers: Sequence[LayerPass]
    inputs: LayerPass | None = None


def updates(
    stack: Stack,
    optimizer: Optimizer,
    *,
    batches: Iterable[Batch],
    masks: MaskSource,
    is_watched: Callable[[int], bool],
    keep_gradients: bool = False,
    graph: devices.Graph | None = None,
) -> Iterator[Update]:
    """Take one optimizer step at a time and yield what that step saw.

    Args:
        stack: the networks.
        optimizer: over the stack's parameters.
        batches: one for each update.
        masks: where the dropout masks come from.
        is_watched: whether the update with this index keeps what its layers did.
        keep_gradients: watched updates also keep the gradients of z, h and y.
        graph: runs the updates that are not watched; their logits and losses are overwritten by
            the next one. One graph serves one stack, one optimizer and one `masks`.
    """
    seen: LayerPass | None = None

    def step(x: Tensor, target: Tensor, trace: list[LayerPass] | None = None) -> list[Tensor]:
        nonlocal seen
        logits, inputs = _masked(stack, x, masks, trace)
        seen = None if trace is None else inputs
        if keep_gradients:
            for layer in trace or ():
                layer.retain_gradients()
        losses = cross_entropy(logits, target)
        optimizer.zero_grad()
        # Each network's gradient is that of its own mean loss: the sum does not mix them.
        losses.mean(1).sum().backward()
        optimizer.step()
        return [logits.detach(), losses.detach()]

    for index, batch in enumerate(batches):
        trace: list[LayerPass] = []
        if is_watched(index):
            logits, losses = step(batch.x, batch.target, trace)
        elif graph is None:
            logits, losses = step(batch.x, batch.target)
        else:
            logits, losses = graph.run(step, batch.x, batch.target)
            optimizer.zero_grad()  # a replay leaves the gradients of an earlier update
        if not keep_gradients:
            # What still holds the autograd graph of this step would be captured with the next.
            trace = [layer.detached() for layer in trace]
        yield Update(batch, logits, losses, trace, seen if trace else None)


def epochs(
    stack: Stack,
    optimizer: Optimizer,
    *,
    training: Examples,
    validation: Examples,
    so_far: Sequence[History] = (),
    cuda_graphs: bool = True,
    heartbeat: Callable[[], None] = lambda: None,
) -> Iterator[tuple[EpochRecord, ...]]:
    """Train a stack and yield a record for each network that is still going, epoch by epoch.

    Epoch 0 is the untrained stack. Each network ends on its own: after its last epoch, by its
    patience, or when its loss is no longer finite; the others are not affected. It is still
    computed with them, without records, until the last one ends. Leaving the loop ends all.

    No random stream outlives an epoch, so the weights and the optimizer's state at the end of an
    epoch are enough to resume: the next records are the same to the last bit.

    Args:
        stack: the networks; their recipes agree in all but activation, drop rates, output
            dropout, recycling, seed, initial weights, scaling of inputs and max-norm.
        optimizer: over the stack's parameters.
        training: the images trained on, also the reference set of the units' states.
        validation: what patience and the best epoch are judged by.
        so_far: each network's records, if the stack and the optimizer are those of a later epoch;
            training resumes after the last of them.
        cuda_graphs: capture an update and replay it where the device can.
        heartbeat: called with every update; whatever it raises ends the loop.
    """
    recipes, every = stack.recipes, stack.recipes[0].probe_every
    device = stack.scales.device
    stops = [
        Stopping(recipe, so_far[member] if so_far else ()) for member, recipe in enumerate(recipes)
    ]
    masks = RandomMasks(recipes, stack.units, stream="epoch 0", device=device)
    has_graph = cuda_graphs and devices.has_graphs(device)
    graph = devices.Graph(masks.generators) if has_graph else None
    going = [history[-1] for history in so_far if history]
    decays = recipes[0].learning_rate_decay != 1
    for epoch in range(max(map(len, so_far), default=0), recipes[0].epochs + 1):
        if all(stop.ending for stop in stops):
            return
        recycled = recycle(stack, optimizer, [r for r in going if r.ending is None])
        watch, score = Watch(stack, epoch=epoch), ScoreSum(len(recipes), device)
        masks.restart(f"epoch {epoch}")
        devices.synchronize(device)
        started = time.perf_counter()
        if epoch:
            optimizer.begin(epoch)
            if has_graph and decays:
                graph = devices.Graph(masks.generators)  # a captured step keeps its learning rate
            roll = Roll(training)
            for update in updates(
                stack,
                optimizer,
                batches=batches(recipes, training, epoch=epoch),
                masks=masks,
                is_watched=lambda index: every > 0 and index % every == 0,
                graph=graph,
            ):
                score.add(update.logits, update.losses, update.batch.target)
                roll.add(update.batch)
                if update.layers:
                    check_losses(update.logits, update.losses, roll.labels(update.batch))
                    watch.add(update.layers, inputs=update.inputs)
                heartbeat()
            roll.check()
        elif every:
            _watch_birth(stack, masks, watch, batches(recipes, training, epoch=0, every=every))
        devices.synchronize(device)
        seconds = time.perf_counter() - started
        judged = [
            stops[record.member].judge(record, stack)
            for record in epoch_records(
                stack,
                epoch,
                watch=watch,
                train=score.scores() if epoch else None,
                training=training,
                validation=validation,
                seconds=seconds,
            )
            if stops[record.member].ending is None
        ]
        going = with_recycled(with_mask_dead(judged, stack, training.in_order), recycled)
        yield tuple(going)


@torch.no_grad()
def _watch_birth(stack: Stack, masks: MaskSource, watch: Watch, batches: Iterable[Batch]) -> None:
    """The passes of epoch 0 that a training epoch would watch, without optimizer steps."""
    stack.zero_grad()  # gradients from before these passes
    for batch in batches:
        trace: list[LayerPass] = []
        _, inputs = _masked(stack, batch.x, masks, trace)
        watch.add(trace, inputs=inputs)


def _masked(
    stack: Stack, x: Tensor, masks: MaskSource, trace: list[LayerPass] | None
) -> tuple[Tensor, LayerPass]:
    """The logits of a training pass under the next masks, and what became of the inputs."""
    samples, pixels = x.shape[1:]
    inputs, kept = stack.enter(x, masks.draw_inputs(samples, pixels)), masks.draw(samples)
    with _precision(stack):
        return stack.onward(stack.first(inputs.y), kept, trace=trace), inputs


def _precision(stack: Stack) -> AbstractContextManager[object]:
    """A block in which a training pass has the precision that the recipes name."""
    if stack.recipes[0].precision == "float32":
        return nullcontext()
    # Each weight is cast once per pass anyway, and a capture must not keep an earlier cast.
    return torch.autocast(stack.scales.device.type, torch.bfloat16, cache_enabled=False)
