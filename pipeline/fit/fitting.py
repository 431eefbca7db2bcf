"""Finds finished and interrupted networks, and trains the rest."""

import logging
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import torch

from pipeline.config.recipe import Recipe
from pipeline.config.settings import parsed
from pipeline.data import split
from pipeline.errors import OutOfMemoryError, PipelineError
from pipeline.fit import plan
from pipeline.fit.crew import Crew
from pipeline.fit.progress import progress
from pipeline.fit.stack_run import Conduct, Session, StackRun, conduct
from pipeline.fit.tasks import FitContext, Fitted, Task
from pipeline.plots import render_pool
from pipeline.records.result import Failure, Result
from pipeline.runs.complete import complete
from pipeline.runs.load import load_result
from pipeline.runs.publish import trace
from pipeline.tracking import SavedModels
from pipeline.training import checkpoint as checkpoints
from pipeline.training import device as devices
from pipeline.training.checkpoint import Planned, UnderWayError
from pipeline.workers import workers
from why_zero.errors import WhyZeroError

_logger = logging.getLogger(__name__)


def fit(tasks: Sequence[Task], context: FitContext) -> Fitted:
    """Train every task that has no finished run yet, several stacks side by side.

    What a killed process had begun continues where it stopped. A network that fails does not stop
    the others.

    Raises:
        UsageError: a task holds out more images than there are; then nothing is trained.
    """
    for task in tasks:
        split(len(task.data.train_labels), task.recipe.holdout)
    todo = {task.fingerprint: task for task in tasks}
    reused = {} if context.is_forced else _reused(todo, context)
    ends: dict[str, Result | str] = {**reused}
    stack_runs = _stack_runs([task for key, task in todo.items() if key not in ends], context)
    waiting = [task for run in stack_runs for task in run.waiting]
    recipes, names = [task.recipe for task in waiting], [task.name for task in waiting]
    with progress(context.console, recipes, names) as shown, render_pool(len(waiting)) as pool:
        session = Session(
            context=context,
            progress=shown,
            render_pool=pool,
            saved=SavedModels(),
            ends=ends,
            reused=dict(reused),
        )
        _train_all(stack_runs, session)
    if context.keeps_all and session.reused:
        _complete(todo, session)
    results: list[Result] = []
    failures: dict[str, str] = {}
    failed: list[Failure] = []
    for key, task in todo.items():
        end = ends.get(key)
        if end is None:
            continue  # another process trains it
        if isinstance(end, Result):
            results.append(end)
        else:
            # Two may share a name, for example on two data sets with the same name.
            name = f"{task.name} ({key[:6]})" if task.name in failures else task.name
            failures[name] = end
            failed.append(task.failed(end))
    under_way = tuple(session.under_way.values())
    return Fitted(results=results, failures=failures, failed=tuple(failed), under_way=under_way)


def _reused(tasks: Mapping[str, Task], context: FitContext) -> dict[str, Result]:
    """The results of those that were trained before, with one line that says how many they are.

    Args:
        tasks: by their fingerprints.
        context: where they may be.
    """
    found: dict[str, Result] = {}
    for key, run in context.tracker.finished_all(tasks).items():
        try:
            found[key] = load_result(run, context.tracker)
        except PipelineError as error:
            _logger.warning("%s", error)
    if len(found) == 1:
        [(key, result)] = found.items()
        known = f"{tasks[key].name}: already trained (run {result.run_id}); force=true trains it"
        context.console.line(f"{known} again")
    elif found:
        known = f"{len(found)} of {len(tasks)} networks: already trained; force=true trains them"
        context.console.line(f"{known} again")
    return found


def _complete(tasks: Mapping[str, Task], session: Session) -> None:
    """Give the networks that were found what their runs lack; one that cannot have it has failed.

    Args:
        tasks: by their fingerprints.
        session: whose networks they are.
    """
    keys = {result.run_id: key for key, result in session.reused.items()}
    completed = complete(
        list(keys),
        session.context.tracker,
        result_of=lambda run: session.reused[keys[run.id]],
        data_of=lambda result: tasks[keys[result.run_id]].data,
        console=session.context.console,
    )
    session.ends.update({keys[run]: why for run, why in completed.failures.items()})


def _stack_runs(tasks: Sequence[Task], context: FitContext) -> list[StackRun]:
    """The interrupted stacks, and new ones for the tasks in none of them."""
    waiting = {task.fingerprint: task for task in tasks}
    runs = [] if context.is_forced else _under_way(waiting, context)
    for run in runs:
        for task in run.tasks:
            waiting.pop(task.fingerprint, None)
    stacks = plan.stacks(
        list(waiting.values()), memory_bytes=context.memory_bytes, slots=context.engine.slots
    )
    return runs + [_begin(stack, context) for stack in stacks]


def _begin(tasks: Sequence[Task], context: FitContext) -> StackRun:
    members = [
        Planned(fingerprint=task.fingerprint, parameters=task.recipe.parameters) for task in tasks
    ]
    store = context.tracker.identity
    checkpoint = checkpoints.begin(context.checkpoints, store=store, members=members)
    return StackRun(checkpoint=checkpoint, tasks=list(tasks), waiting=list(tasks))


def _under_way(waiting: Mapping[str, Task], context: FitContext) -> list[StackRun]:
    """The stacks left by a killed process whose missing networks are all wanted now.

    A network in several of them continues in the smallest, which may be half of another.
    """
    claimed: set[str] = set()
    runs = []
    for left in checkpoints.unfinished(context.checkpoints, store=context.tracker.identity):
        keys = [member.fingerprint for member in left.members]
        missing = [key for key in keys if key in waiting and key not in claimed]
        others = [key for key in keys if key not in missing]
        if any(context.tracker.finished(key) is None for key in others if key not in claimed):
            continue  # another command began it, and will resume it
        if not missing:
            left.discard()  # all are finished, or continue in its halves
            continue
        claimed |= set(missing)
        first = waiting[missing[0]]
        tasks = [
            waiting.get(member.fingerprint)
            or replace(first, recipe=parsed(Recipe, dict(member.parameters)))
            for member in left.members
        ]
        missed = [task for task, key in zip(tasks, keys, strict=True) if key in missing]
        context.console.line(f"resuming {len(missed)} interrupted networks")
        runs.append(StackRun(checkpoint=left, tasks=tasks, waiting=missed))
    return runs


def _train_all(stack_runs: Sequence[StackRun], session: Session) -> None:
    """Have all stacks trained, those of one device by its workers, and publish their networks."""
    networks = Counter[torch.device]()
    waiting: dict[torch.device, deque[StackRun]] = {}
    for run in stack_runs:
        device = run.tasks[0].device
        networks[device] += len(run.tasks)
        waiting.setdefault(device, deque()).append(run)
    with workers(networks, session.context.engine) as everyone, devices.one_thread():
        here = Counter(worker.device for worker in everyone)
        share = {device: max(1, devices.cores() // count) for device, count in here.items()}

        def conducted(run: StackRun) -> Conduct:
            device = run.tasks[0].device
            return _or_halves(run, session, waiting[device], threads=share[device])

        def meanwhile() -> None:
            first = stack_runs[0].tasks[0]
            if session.context.keeps_all:
                session.render_pool.begin()
                with suppress(Exception):  # it is met again when the network is published
                    trace(first.recipe, first.data, session.saved)

        Crew(everyone, waiting, conducted, meanwhile).work()


def _or_halves(run: StackRun, session: Session, queue: deque[StackRun], *, threads: int) -> Conduct:
    """Conduct a stack; the halves of one that does not fit into memory join the queue."""
    try:
        try:
            yield from _unless_finished(run, session, threads=threads)
        except OutOfMemoryError as lack:
            if len(run.tasks) == 1:
                raise
            session.context.console.line(
                f"{len(run.tasks)} networks do not fit into memory at once ({lack}); split in half"
            )
            queue.extendleft(reversed(run.halves()))
    except UnderWayError as others:
        session.under_way[run.checkpoint.identity] = str(others)
    except WhyZeroError as error:
        for task in list(run.waiting):
            session.end(run, task, str(error))


def _unless_finished(run: StackRun, session: Session, *, threads: int) -> Conduct:
    """Conduct a stack, except what another process has finished since it was planned."""
    context, checkpoint = session.context, run.checkpoint
    with checkpoint.locked():
        is_here = checkpoint.is_there
        is_touched = not is_here or bool(context.tracker.runs_of(checkpoint.identity))
        may_be_done = is_touched and not context.is_forced
        waiting = {task.fingerprint: task for task in run.waiting}
        for key, found in _reused(waiting, context).items() if may_be_done else ():
            session.reused[key] = found
            session.progress.go_on(waiting[key].name, waiting[key].recipe, found.history[-1])
            session.end(run, waiting[key], found)
        if is_here and run.waiting:
            yield from conduct(run, session, threads=threads)
            return
        checkpoint.remove()  # also what the lock has made of one that is gone
    if run.waiting:
        anew = _begin(run.waiting, context)
        run.checkpoint, run.tasks = anew.checkpoint, anew.tasks
        yield from _unless_finished(run, session, threads=threads)
