"""What becomes of one stack: its runs are opened, it is trained, its networks are published."""

import logging
import math
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field

from pipeline.errors import PipelineError
from pipeline.fit.members import Member
from pipeline.fit.progress import Pace, Progress
from pipeline.fit.tasks import FitContext, Task
from pipeline.plots import RenderPool
from pipeline.records.result import Result
from pipeline.runs.color import run_color
from pipeline.runs.complete import AHEAD
from pipeline.runs.publish import log_dataset
from pipeline.tracking import SavedModels, watching_system
from pipeline.training import device as devices
from pipeline.training.checkpoint import Checkpoint, DamagedError
from pipeline.workers import Begun, Epoch, Event, Job, Trained

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
    """What all stacks of a step share, also those on other devices.

    Attributes:
        context: where runs go.
        progress: is told of every epoch.
        render_pool: draws the pictures of all.
        saved: the models of all, by architecture.
        ends: the outcome of every network so far, by fingerprint: its result, or why it failed.
        reused: the results among these that were found, by fingerprint.
        under_way: why the others have none here, by the checkpoints of processes that train them.
    """

    context: FitContext
    progress: Progress
    render_pool: RenderPool
    saved: SavedModels
    ends: dict[str, Result | str]
    reused: dict[str, Result]
    under_way: dict[str, str] = field(default_factory=dict)

    def end(self, run: StackRun, task: Task, end: Result | str) -> None:
        """Record the outcome of a network, which its stack then no longer waits for."""
        self.ends[task.fingerprint] = end
        run.waiting.remove(task)
        self.progress.finished()


# So many times as long as writing the last epochs took, the next ones wait to be written together:
# writing takes at most a tenth of the time, however many networks there are.
PAYS = 10
# Gives the job, then takes what its worker tells, and None whenever nothing more is waiting to be
# told; after `Trained` a network is published at each turn.
Conduct = Generator[tuple[Job, Pace] | None, Event | None, None]


def conduct(stack_run: StackRun, session: Session, *, threads: int) -> Conduct:
    """Have one stack trained, and end the run of each waiting network.

    Args:
        stack_run: the stack, whose checkpoint is locked and there.
        session: what it shares with others.
        threads: that an operation on a CPU gets at first.

    Raises:
        OutOfMemoryError: the stack does not fit; `StackRun.halves` may.
        PipelineError: something that concerns all networks that still wait.
    """
    first = stack_run.tasks[0]
    job = Job(
        recipes=[task.recipe for task in stack_run.tasks],
        device=first.device,
        threads=threads,
        checkpoint=stack_run.checkpoint,
        cuda_graphs=session.context.cuda_graphs,
    )
    training = len(first.data.train_labels) - first.recipe.holdout
    updates_per_epoch = math.ceil(training / first.recipe.batch_size)
    with ExitStack() as opened:
        members: dict[int, Member] = {}
        networks = len(stack_run.waiting)
        with session.progress.pace(networks=networks, updates_per_epoch=updates_per_epoch) as pace:
            event = yield job, pace
            # While the worker begins.
            for index, member in _open(stack_run, session.context):
                opened.enter_context(member.run)
                members[index] = member
            is_here = session.context.engine.is_here
            runs = [member.run for member in members.values()]
            with watching_system(runs) if is_here else nullcontext():
                due = 0.0
                while members and not isinstance(event, Trained):
                    _take(event, stack_run, members, session, pace)
                    if event is None and (began := time.monotonic()) >= due:
                        _flush(stack_run, members, session)
                        due = time.monotonic() + PAYS * (time.monotonic() - began)
                    event = yield None
                _flush(stack_run, members, session)
        for index, member in members.items():
            member.kept = event.kept[index] if isinstance(event, Trained) else None
        order = list(members.values())
        for place, member in enumerate(order):
            for next_one in order[place : place + AHEAD] if session.context.keeps_all else ():
                next_one.prepare(session.render_pool)
            end = member.finish(
                stack_size=len(stack_run.tasks),
                render_pool=session.render_pool,
                saved=session.saved,
                keeps_all=session.context.keeps_all,
            )
            session.end(stack_run, member.task, end)
            yield None
        # A failed publication can be repeated without training.
        if all(member.is_done for member in members.values()):
            stack_run.checkpoint.remove()


def _take(
    event: Event | None,
    stack_run: StackRun,
    members: dict[int, Member],
    session: Session,
    pace: Pace,
) -> None:
    """Record what has happened to the members, which are keyed by their places in the stack."""
    if isinstance(event, Begun):
        for index, member in members.items():
            member.go_on(event.histories[index])
            if member.history:
                session.progress.go_on(member.task.name, member.task.recipe, member.history[-1])
    elif isinstance(event, Epoch):
        records = [record for record in event.records if record.member in members]
        for record in records:
            members[record.member].log(record)
        if records:
            tasks = stack_run.tasks
            recipes, names = [task.recipe for task in tasks], [task.name for task in tasks]
            session.progress.epoch(recipes, names, records, pace)


def _flush(stack_run: StackRun, members: dict[int, Member], session: Session) -> None:
    """Write what waits for it; a network whose run was deleted fails, and is no member any more."""
    for index, member in list(members.items()):
        try:
            member.flush()
        except PipelineError:
            deletion = member.deletion
            if deletion is None:
                raise
            member.run.leave()
            session.end(stack_run, member.task, deletion)
            del members[index]


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
