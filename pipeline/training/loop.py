"""The only training loop: `updates()` takes one optimizer step a turn, `epochs()` drives it.

Both train a stack, of one network or of many.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from pipeline.config.recipe import Recipe
from pipeline.records import Ending, EpochRecord, History, Score
from pipeline.training import device as devices
from pipeline.training.batches import Batch, Examples, batches
from pipeline.training.mask_dead import with_mask_dead
from pipeline.training.masks import MaskSource, RandomMasks
from pipeline.training.measure import ScoreSum, Watch, evaluate
from pipeline.training.stack import LayerPass, Stack
from pipeline.training.step import CapturedStep, take_step, training_pass
from why_zero import StateCount


@dataclass(frozen=True)
class Update:
    """What one optimizer step saw. The parameters' `.grad` still holds its gradients.

    Attributes:
        batch: the samples.
        logits: of each network, as the loss saw them.
        losses: cross-entropy of each sample, in nats.
        layers: every layer's pass, where it was asked for; else empty.
    """

    batch: Batch
    logits: Float[Tensor, "networks batch classes"]
    losses: Float[Tensor, "networks batch"]
    layers: Sequence[LayerPass]


def updates(
    stack: Stack,
    optimizer: torch.optim.Optimizer,
    *,
    batches: Iterable[Batch],
    masks: MaskSource,
    is_watched: Callable[[int], bool],
    keep_gradients: bool = False,
    captured: CapturedStep | None = None,
) -> Iterator[Update]:
    """Take one optimizer step a turn and yield what that step saw.

    Args:
        stack: the networks.
        optimizer: over the stack's parameters.
        batches: one for each update.
        masks: where the dropout masks come from.
        is_watched: whether the update with this index keeps what its layers did.
        keep_gradients: watched updates also keep the gradients of z, h and y.
        captured: takes the updates that are not watched; of the same stack, optimizer and masks.
    """
    for index, batch in enumerate(batches):
        if captured is not None and not is_watched(index):
            yield Update(batch, *captured.take_step(batch), ())
            continue
        trace: list[LayerPass] | None = [] if is_watched(index) else None
        logits, losses = take_step(
            stack, optimizer, batch, masks, trace=trace, keep_gradients=keep_gradients
        )
        yield Update(batch, logits, losses, trace or ())


def epochs(
    stack: Stack,
    optimizer: torch.optim.Optimizer,
    *,
    training: Examples,
    validation: Examples,
    so_far: Sequence[History] = (),
    heartbeat: Callable[[], None] = lambda: None,
) -> Iterator[tuple[EpochRecord, ...]]:
    """Train a stack and yield a record for each network that is still going, epoch by epoch.

    Epoch 0 is the stack as born. A network ends by itself: after its last epoch, by its
    patience, or when its loss is no longer finite; the others do not notice. It is computed on
    with them, unseen, until the last one ends. Leaving the loop ends all.

    No random stream outlives an epoch, so the weights and the optimizer's state at an epoch's end
    are all that going on from there takes: the next records are the same to the last bit.

    Args:
        stack: the networks; their recipes agree in all but activation, drop rate, output
            dropout and seed.
        optimizer: over the stack's parameters, as `optimizer_of` makes it.
        training: the images trained on, also the reference set of the units' states.
        validation: what patience and the best epoch are judged by.
        so_far: each network's records, where the stack and the optimizer are those of a later
            epoch's end; training goes on behind the last of them.
        heartbeat: called with every update; whatever it raises ends the loop.
    """
    loop = _Loop(stack, optimizer, training, validation, heartbeat)
    members = [_Member(recipe) for recipe in stack.recipes]
    for member, history in zip(members, so_far, strict=False):
        member.replay(history)
    begun = max((len(history) for history in so_far), default=0)
    for epoch in range(begun, stack.recipes[0].epochs + 1):
        if all(member.ending for member in members):
            return
        records = loop.epoch(epoch)
        going = [record for record in records if members[record.member].ending is None]
        judged = [members[record.member].judge(record, stack) for record in going]
        yield tuple(_with_mask_dead(judged, stack, training))


def optimizer_of(stack: Stack) -> torch.optim.Optimizer:
    """The optimizer that the stack's recipes name, over all its networks at once."""
    recipe = stack.recipes[0]
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "adam":
        is_recorded = devices.captures_graphs(stack.scales.device)
        return torch.optim.Adam(
            stack.parameters(), lr=rate, weight_decay=decay, fused=True, capturable=is_recorded
        )
    return torch.optim.SGD(
        stack.parameters(), lr=rate, momentum=recipe.momentum, weight_decay=decay, fused=True
    )


class _Loop:
    """One epoch of every network after another: training passes, evaluations, records."""

    def __init__(
        self,
        stack: Stack,
        optimizer: torch.optim.Optimizer,
        training: Examples,
        validation: Examples,
        heartbeat: Callable[[], None],
    ) -> None:
        self._stack = stack
        self._optimizer = optimizer
        self._training = training
        self._validation = validation
        self._heartbeat = heartbeat
        self._device = training.images.device
        self._masks = RandomMasks(
            stack.recipes, stack.units, stream="epoch 0", device=stack.scales.device
        )
        self._recording = (
            CapturedStep(stack, optimizer, self._masks)
            if devices.captures_graphs(self._device)
            else None
        )

    def epoch(self, epoch: int) -> list[EpochRecord]:
        """The records of one epoch, of every network."""
        stack = self._stack
        watch = Watch(stack)
        self._masks.restart(f"epoch {epoch}")
        devices.synchronize(self._device)
        started = time.perf_counter()
        train = self._pass(epoch, watch) if epoch else None
        devices.synchronize(self._device)
        seconds = (time.perf_counter() - started) / len(stack.recipes)
        if not epoch:
            self._pass_at_birth(watch)
        watch.check()
        states = StateCount(len(stack.recipes), stack.recipes[0].widths, self._device)
        train_eval = evaluate(stack, self._training.in_order(), states=states)
        held_out = evaluate(stack, self._validation.in_order())
        layers = watch.layers(states, is_trained=epoch > 0)
        memory = devices.peak_memory_mb(self._device)
        return [
            EpochRecord(
                member=member,
                epoch=epoch,
                layers=layers[member],
                train=train[member] if train else None,
                train_eval=train_eval[member],
                validation=held_out[member],
                epoch_seconds=seconds if train else None,
                samples_per_second=len(self._training) / seconds if train else None,
                peak_memory_mb=memory if train else None,
            )
            for member in range(len(stack.recipes))
        ]

    def _pass(self, epoch: int, watch: Watch) -> list[Score]:
        """Every batch once, with an optimizer step each."""
        every = self._stack.recipes[0].probe_every
        total = ScoreSum(len(self._stack.recipes), self._device)
        for update in updates(
            self._stack,
            self._optimizer,
            batches=batches(self._stack.recipes, self._training, epoch=epoch),
            masks=self._masks,
            is_watched=lambda index: every > 0 and index % every == 0,
            captured=self._recording,
        ):
            total.add(update.logits, update.losses, update.batch.target)
            if update.layers:
                watch.add(update.layers)
            self._heartbeat()
        return total.scores()

    @torch.no_grad()
    def _pass_at_birth(self, watch: Watch) -> None:
        """The passes of epoch 0 that a training epoch would watch, without a step."""
        every = self._stack.recipes[0].probe_every
        if not every:
            return
        for batch in batches(self._stack.recipes, self._training, epoch=0, every=every):
            trace: list[LayerPass] = []
            training_pass(self._stack, batch, self._masks, trace=trace)
            watch.add(trace)


def _with_mask_dead(
    records: list[EpochRecord], stack: Stack, training: Examples
) -> list[EpochRecord]:
    """The records, those of a birth or an end with their mask-dead units."""
    is_due = [r.epoch == 0 or r.ending in {"finished", "patience"} for r in records]
    if not any(is_due) or not stack.recipes[0].mask_passes:
        return records
    due = [record for record, is_one in zip(records, is_due, strict=True) if is_one]
    others = [record for record, is_one in zip(records, is_due, strict=True) if not is_one]
    judged = with_mask_dead(due, stack, training.in_order)
    return sorted([*judged, *others], key=lambda record: record.member)


class _Member:
    """When one network stops, and which of its weights are kept."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._best_loss = math.inf
        self._best_epoch = 0
        self.ending: Ending | None = None

    def replay(self, history: History) -> None:
        """Take in records that were judged before."""
        for record in history:
            self._take(record)
        self.ending = history[-1].ending if history else None

    def _take(self, record: EpochRecord) -> bool:
        """Whether this is the best epoch so far."""
        loss = record.validation.loss if record.validation else math.inf
        is_best = loss < self._best_loss
        if is_best:
            self._best_loss, self._best_epoch = loss, record.epoch
        return is_best

    def judge(self, record: EpochRecord, stack: Stack) -> EpochRecord:
        """The record with its ending, and with the weights if they are to be kept so far."""
        is_best = self._take(record)
        self.ending = self._ending(record)
        is_end = self.ending in {"finished", "patience"}
        is_kept = is_best if self._recipe.select == "best" else is_end
        weights = stack.state(record.member) if is_kept else None
        return replace(record, ending=self.ending, weights=weights)

    def _ending(self, record: EpochRecord) -> Ending | None:
        losses = [record.train_eval.loss, record.train.loss if record.train else 0.0]
        if not all(math.isfinite(loss) for loss in losses):
            return "diverged"
        if record.epoch == self._recipe.epochs:
            return "finished"
        patience = self._recipe.patience
        return "patience" if patience and record.epoch - self._best_epoch >= patience else None
