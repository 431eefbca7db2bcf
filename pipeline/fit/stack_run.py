"""Trains one stack from its checkpoint, and ends the runs of its networks."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch

from pipeline.data import split
from pipeline.errors import PipelineError
from pipeline.fit.members import Member
from pipeline.fit.progress import Progress
from pipeline.fit.tasks import FitContext, Task
from pipeline.fit.turns import Turns
from pipeline.plots import RenderPool
from pipeline.records import EpochRecord
from pipeline.records.result import Result
from pipeline.runs.color import run_color
from pipeline.runs.publish import log_dataset
from pipeline.tracking import watching_system
from pipeline.training import device as devices
from pipeline.training.batches import Examples
from pipeline.training.checkpoint import Checkpoint, DamagedError
from pipeline.training.loop import epochs, make_optimizer
from pipeline.training.stack import Stack

_logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class StackRun:
    """A stack to train, or to continue training.

    Attributes:
        checkpoint: its folder.
        tasks: one for each network, in the order of the checkpoint.
        waiting: those without a result so far. The others are still computed, so that the numbers
            of these stay the same to the last bit, but not logged.
    """

    checkpoint: Checkpoint
    tasks: list[Task]
    waiting: list[Task]

    def halves(self) -> list["StackRun"]:
        """The same networks in two stacks, at the point training had reached."""
        try:
            halves = self.checkpoint.halves()
        except DamagedError as damage:
            _logger.warning("%s", damage)
            self.checkpoint.restart()
            halves = self.checkpoint.halves()
        middle = len(self.tasks) // 2
        parts = [self.tasks[:middle], self.tasks[middle:]]
        return [
            StackRun(
                checkpoint=checkpoint,
                tasks=part,
                waiting=[task for task in part if task in self.waiting],
            )
            for checkpoint, part in zip(halves, parts, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class Session:
    """What all stacks that are trained together share, also those on other devices.

    Attributes:
        context: where runs go.
        progress: is told of every epoch.
        render_pool: draws the pictures of all.
        turns: decides who may work while another publishes.
        ends: the outcome of every network so far, by fingerprint: its result, or why it failed.
        under_way: why the others have none here, by the checkpoints of processes that train them.
    """

    context: FitContext
    progress: Progress
    render_pool: RenderPool
    turns: Turns
    ends: dict[str, Result | str]
    under_way: dict[str, str] = field(default_factory=dict)

    def end(self, run: StackRun, task: Task, end: Result | str) -> None:
        """Record the outcome of a network, which its stack then no longer waits for."""
        self.ends[task.fingerprint] = end
        run.waiting.remove(task)
        self.progress.finished()


def train(stack_run: StackRun, session: Session) -> None:
    """Train one stack, and end the run of each waiting network.

    Args:
        stack_run: the stack, whose checkpoint is locked and there.
        session: where this thread is `working`.

    Raises:
        OutOfMemoryError: the stack does not fit; `StackRun.halves` may.
        PipelineError: something that concerns all networks that still wait.
    """
    with ExitStack() as opened:
        members: dict[int, Member] = {}
        for index, member in _open(stack_run, session.context):
            opened.enter_context(member.run)
            members[index] = member
        with devices.explaining_lack_of_memory(stack_run.tasks[0].device):
            _train(stack_run, members, session)
        for member in members.values():
            with session.turns.alone():
                end = member.finish(
                    stack_size=len(stack_run.tasks), render_pool=session.render_pool
                )
            session.end(stack_run, member.task, end)
        # A failed publication can be repeated without training.
        if all(member.is_done for member in members.values()):
            stack_run.checkpoint.remove()


def _train(stack_run: StackRun, members: dict[int, Member], session: Session) -> None:
    """Train the stack to its end, and log its members, which are keyed by their places.

    One whose run was deleted is no member any more.
    """
    checkpoint = stack_run.checkpoint
    recipes = [task.recipe for task in stack_run.tasks]
    training, validation = _examples(stack_run.tasks[0])
    stack, optimizer, so_far = _where_it_was(stack_run, members, session)
    everyone = dict(members)  # the checkpoint keeps also those whose runs are deleted meanwhile
    updates_per_epoch = math.ceil(len(training) / recipes[0].batch_size)
    with (
        watching_system([member.run for member in members.values()]),
        session.progress.pace(networks=len(members), updates_per_epoch=updates_per_epoch) as pace,
    ):

        def heartbeat() -> None:
            session.turns.heartbeat()
            pace()

        trained = epochs(
            stack,
            optimizer,
            training=training,
            validation=validation,
            so_far=so_far,
            cuda_graphs=session.context.cuda_graphs,
            heartbeat=heartbeat,
        )
        for records in trained:
            for record in records:
                if record.member in everyone:
                    everyone[record.member].take(record)
            kept = [everyone[i].kept if i in everyone else None for i in range(len(recipes))]
            checkpoint.save(stack, optimizer, records=records, kept=kept)
            # Only now: epochs that are not in the checkpoint are trained and logged again.
            logged = [record for record in records if record.member in members]
            for record in logged:
                _log(record, stack_run, members, session)
            if not members:
                return
            if logged:
                names = [task.name for task in stack_run.tasks]
                session.progress.epoch(recipes, names, logged, pace)
            session.turns.give_way()


def _where_it_was(
    stack_run: StackRun, members: Mapping[int, Member], session: Session
) -> tuple[Stack, torch.optim.Optimizer, Sequence[Sequence[EpochRecord]]]:
    """The stack and its optimizer from the checkpoint, with all records so far; else as born."""
    checkpoint, first = stack_run.checkpoint, stack_run.tasks[0]
    recipes = [task.recipe for task in stack_run.tasks]
    inputs, classes = first.data.train_images[0].numel(), len(first.data.classes)

    def born() -> tuple[Stack, torch.optim.Optimizer]:
        stack = Stack(recipes, inputs=inputs, classes=classes).to(first.device)
        return stack, make_optimizer(stack)

    stack, optimizer = born()
    if not checkpoint.has_state:
        return stack, optimizer, ()
    try:
        progress = checkpoint.restore(stack, optimizer)
    except DamagedError as damage:
        _logger.warning("%s", damage)
        checkpoint.restart()
        return *born(), ()
    for index, member in members.items():
        history = progress.histories[index]
        member.go_on(history, progress.kept[index])
        session.progress.go_on(member.task.name, member.task.recipe, history[-1])
    return stack, optimizer, progress.histories


def _log(
    record: EpochRecord, stack_run: StackRun, members: dict[int, Member], session: Session
) -> None:
    """Log the epoch of a member; if its run was deleted, it fails alone."""
    member = members[record.member]
    try:
        member.log(record)
    except PipelineError:
        deletion = member.deletion
        if deletion is None:
            raise
        member.run.leave()
        session.end(stack_run, member.task, deletion)
        del members[record.member]


def _open(stack_run: StackRun, context: FitContext) -> Iterator[tuple[int, Member]]:
    """The networks without a result by their places in the stack, with their runs opened."""
    stack = stack_run.checkpoint.identity
    known = context.tracker.runs_of(stack)
    size = {"stack_size": str(len(stack_run.tasks)), "stack": stack}
    if stack_run.checkpoint.is_halved:
        size["stack_halved"] = "true"
    for index, task in enumerate(stack_run.tasks):
        if task not in stack_run.waiting:
            continue
        run_id = known.get(task.fingerprint)
        if run_id is None and (stack_run.checkpoint.is_halved or not context.is_forced):
            # From the stack that this is a half of, or whose checkpoint is lost.
            run_id = context.tracker.begun(task.fingerprint)
        if run_id is None:
            run = context.tracker.start_network(
                task.name,
                task.parameters,
                step=context.step,
                tags={
                    **context.tags,
                    **size,
                    "arm": task.recipe.arm,
                    "device_name": devices.describe(task.device),
                    "fingerprint": task.fingerprint,
                    "validated_on": task.recipe.validated_on,
                },
                color=run_color(task.recipe),
            )
        else:
            run = context.tracker.reopen(run_id)
        with run.ending_unless_done():
            # Again for a resumed run: its process may have died before this.
            run.parameters(task.parameters)
            run.tags(size)
            log_dataset(run, task.data, context="training")
            member = Member.of(task, run, is_new=run_id is None)
        yield index, member


def _examples(task: Task) -> tuple[Examples, Examples]:
    """What is trained on and what is validated on, on the device."""
    data = task.data
    kept, held_out = split(len(data.train_labels), task.recipe.holdout)

    def examples(images: torch.Tensor, labels: torch.Tensor) -> Examples:
        return Examples(images.flatten(1).to(task.device), labels.to(task.device))

    training = examples(data.train_images[kept], data.train_labels[kept])
    if task.recipe.holdout:
        return training, examples(data.train_images[held_out], data.train_labels[held_out])
    return training, examples(data.test_images, data.test_labels)
