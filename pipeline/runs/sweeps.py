"""Finds a sweep, and the runs of its networks."""

import logging
from collections.abc import Sequence

from pipeline.errors import PipelineError
from pipeline.records.networks_file import NETWORKS, run_ids
from pipeline.tracking import FoundRun, Tracker, any_of, tagged

LATEST = "latest"
THIS_EXPERIMENT = "auto"
_ELSEWHERE = (
    "set MLFLOW_EXPERIMENT_NAME to the experiment that it is in (compare also takes experiments)"
)

_logger = logging.getLogger(__name__)


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

    Args:
        which: `latest`, or the id of a run.
        tracker: of the store that it is in.
        experiments: the names of those to search; `auto` for the tracker's own.

    Raises:
        PipelineError: there is none.
    """
    places = ", ".join(
        "that this run is in" if name == THIS_EXPERIMENT else repr(name) for name in experiments
    )
    if which == LATEST:
        steps = search_in(experiments, tagged({"kind": "step", "step": "sweep"}), tracker)
        for run in steps:
            # A killed sweep resumes when it is started again, and compares at its end.
            # One that failed before it trained anything is not meant by "latest".
            is_ended = run.tags.get("outcome") in {"finished", "failed"}
            if is_ended and tracker.has_artifact(run.id, NETWORKS):
                return run
        raise PipelineError(
            f"the latest sweep must have compared its networks, got {len(steps)} sweeps and none "
            f"that has in the experiment {places}: run sweep first, or {_ELSEWHERE}"
        )
    found = search_in(experiments, any_of([which]), tracker)
    if not found:
        raise PipelineError(
            f"sweep must be latest or the id of a run, got {which!r}, which is not in the "
            f"experiment {places}: copy the id from the run's page, or {_ELSEWHERE}"
        )
    if not tracker.has_artifact(which, NETWORKS):
        raise PipelineError(
            "sweep must be latest or the id of a sweep that has compared its networks, got "
            f"{which!r} ({found[0].name!r}): copy the id from the sweep's page, or run its "
            "command again"
        )
    return found[0]


def finished_networks(
    sweep: FoundRun, tracker: Tracker, *, experiments: Sequence[str] = (THIS_EXPERIMENT,)
) -> list[FoundRun]:
    """The runs of a sweep's finished networks, in its order; a warning counts missing ones.

    Args:
        sweep: as `find_sweep` found it.
        tracker: as there.
        experiments: likewise.

    Raises:
        PipelineError: the sweep names none, or none exists any more.
    """
    try:
        ids = run_ids(tracker.artifact(sweep.id, NETWORKS).read_text(encoding="utf-8"))
    except ValueError as error:
        raise PipelineError(
            f"{NETWORKS} of a sweep must name its networks, got {error} in {sweep.id}: "
            "run the sweep's command again, which rewrites it"
        ) from error
    runs = {run.id: run for run in search_in(experiments, any_of(ids), tracker)} if ids else {}
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
