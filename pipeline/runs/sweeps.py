"""Finds a sweep, and the runs of its networks."""

import logging
from collections.abc import Iterator, Sequence
from typing import TypedDict

from pipeline.errors import PipelineError
from pipeline.files import temporary_folder
from pipeline.records.networks_file import NETWORKS, run_ids
from pipeline.tracking import FoundRun, Tracker, any_of, tagged

LATEST = "latest"
THIS_EXPERIMENT = "auto"

_logger = logging.getLogger(__name__)


class _Place(TypedDict, total=False):
    """Where to search, as arguments of `Tracker.newest`; this experiment where nothing is said."""

    experiments: Sequence[str]
    everywhere: bool


def search_in(experiments: Sequence[str], search: str, tracker: Tracker) -> list[FoundRun]:
    """The ended runs that a search finds, newest first; `auto` is the tracker's experiment."""
    names = [name for name in experiments if name != THIS_EXPERIMENT]
    found = tracker.search(search, experiments=names) if names else []
    if THIS_EXPERIMENT in experiments:
        found = [*tracker.search(search), *found]
    return list({run.id: run for run in found}.values())


def find_sweep(
    which: str, tracker: Tracker, *, experiments: Sequence[str] = (THIS_EXPERIMENT,)
) -> FoundRun:
    """The newest sweep that has compared its networks, or the run of this id if it has.

    Without a sweep the newest `main` is meant, which compares what it has trained, too.

    Args:
        which: `latest`, or the id of a run, whatever its experiment.
        tracker: of the store that it is in.
        experiments: the names of those to search for the latest; `auto` for the tracker's own, and
            for all others if that has none.

    Raises:
        PipelineError: there is none.
    """
    if which != LATEST:
        return _sweep_with(which, tracker)
    for place in _places(experiments):
        for step in ("sweep", "main"):
            if run := _newest(step, place, tracker):
                return run
    where = "the store" if THIS_EXPERIMENT in experiments else ", ".join(map(repr, experiments))
    raise PipelineError(
        f"the latest sweep must have compared its networks, got none that has in {where}: "
        "run sweep or main first, or correct MLFLOW_TRACKING_URI"
    )


def newest_comparison(tracker: Tracker) -> FoundRun | None:
    """The newest sweep or `main` of this experiment, else of the store; None without any."""
    for place in _places((THIS_EXPERIMENT,)):
        newest = (_newest(step, place, tracker) for step in ("sweep", "main"))
        if ids := [run.id for run in newest if run]:
            return tracker.search(any_of(ids), everywhere=True)[0]
    return None


def source_of(run: FoundRun, tracker: Tracker) -> str:
    """A run in words: its name, its id, and the experiment that it is in."""
    experiment = tracker.experiment_name(run.experiment_id)
    return f"{run.name!r} (run {run.id}, experiment {experiment!r})"


def finished_networks(sweep: FoundRun, tracker: Tracker) -> list[FoundRun]:
    """The runs of a sweep's finished networks, in its order; a warning counts missing ones.

    Args:
        sweep: as `find_sweep` found it.
        tracker: as there.

    Raises:
        PipelineError: the sweep names none, or none exists any more.
    """
    try:
        with temporary_folder() as folder:
            table = tracker.artifact(sweep.id, NETWORKS, folder)
            ids = run_ids(table.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PipelineError(
            f"{NETWORKS} of a sweep must name its networks, got {error} in {sweep.id}: "
            "run the sweep's command again, which rewrites it"
        ) from error
    found = tracker.search(any_of(ids), everywhere=True) if ids else []
    runs = {run.id: run for run in found}
    if gone := len(ids) - len(runs):
        _logger.warning("%d of the sweep's %d networks no longer exist", gone, len(ids))
    networks = [
        runs[run_id]
        for run_id in ids
        if run_id in runs
        and (runs[run_id].tags.get("kind"), runs[run_id].tags.get("outcome"))
        == ("network", "finished")
    ]
    if not networks:
        raise PipelineError(
            f"a sweep must have finished networks, got none of {len(ids)} in {NETWORKS} of "
            f"{sweep.name!r} ({sweep.id}): run its command again"
        )
    return networks


def failed_networks(sweep: FoundRun, tracker: Tracker) -> list[FoundRun]:
    """The runs of a sweep's networks that failed."""
    tags = {"kind": "network", "outcome": "failed", "sweep": sweep.id}
    return tracker.search(tagged(tags), everywhere=True)


def _sweep_with(run_id: str, tracker: Tracker) -> FoundRun:
    """The run of this id, if it has compared networks."""
    run = tracker.run_or_none(run_id)
    if run is None:
        raise PipelineError(
            f"sweep must be latest or the id of a run, got {run_id!r}, which does not exist or was "
            "deleted: copy the id from the run's page"
        )
    if not tracker.has_artifact(run_id, NETWORKS):
        raise PipelineError(
            "sweep must be latest or the id of a sweep that has compared its networks, got "
            f"{run_id!r} ({run.name!r}): copy the id from the sweep's page, or run its command "
            "again"
        )
    return run


def _places(experiments: Sequence[str]) -> Iterator[_Place]:
    """These experiments, then all, as `Tracker.newest` takes them."""
    if THIS_EXPERIMENT in experiments:
        yield {}
    if names := [name for name in experiments if name != THIS_EXPERIMENT]:
        yield {"experiments": names}
    if THIS_EXPERIMENT in experiments:
        yield {"everywhere": True}


def _newest(step: str, place: _Place, tracker: Tracker) -> FoundRun | None:
    """The newest run of a step that has compared its networks."""
    for run in tracker.newest(tagged({"kind": "step", "step": step}), **place):
        # A killed sweep resumes when it is started again, and compares at its end.
        # One that failed before it trained anything is not meant by "latest".
        is_ended = run.tags.get("outcome") in {"finished", "failed"}
        if is_ended and tracker.has_artifact(run.id, NETWORKS):
            return run
    return None
