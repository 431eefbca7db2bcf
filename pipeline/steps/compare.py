"""The step `compare`: trained networks, read back and compared."""

import logging
from collections import Counter
from collections.abc import Sequence

from pipeline import comparison
from pipeline.config.options import CompareSettings
from pipeline.config.settings import texts
from pipeline.console import Console
from pipeline.errors import PipelineError
from pipeline.records.result import Result
from pipeline.runs.load import load_result
from pipeline.tracking import FoundRun, Tracker, any_of, connect, searches_metrics, tagged

BY_RESULTS = (
    "A search by a metric picks networks by their results: the intervals do not know that the "
    "others are missing."
)

_logger = logging.getLogger(__name__)


def run(settings: CompareSettings, console: Console) -> None:
    """Compare the networks of a sweep, or those that a search finds.

    Raises:
        PipelineError: there is no such sweep, or no finished network among what was found.
    """
    tracker = connect()
    name = f"compare {settings.sweep if settings.search == 'none' else settings.search}"
    caution = ""
    with tracker.start_step("compare", name, parameters=texts(settings)) as step:
        if settings.search == "none":
            source, found = _of_a_sweep(settings, tracker)
        else:
            source = f"the search {settings.search}"
            found = _search(settings.search, settings, tracker)
            if searches_metrics(settings.search):
                caution = BY_RESULTS
                _logger.warning("%s", caution)
        results = _load(found, tracker, source=source)
        console.line(f"{len(results)} networks of {source}")
        comparison.publish(step, results, console, origin=source, caution=caution)
    console.elapsed("done")
    if tracker.ui_command:
        console.line(f"open the UI:  {tracker.ui_command}")
    console.line(f"report:       {tracker.run_page(step.id)}")


def _search(search: str, settings: CompareSettings, tracker: Tracker) -> list[FoundRun]:
    """The ended runs that a search finds in the experiments of the settings, newest first."""
    names = [name for name in settings.experiments if name != "auto"]
    found = tracker.search(search, experiments=names) if names else []
    if "auto" in settings.experiments:
        found = [*tracker.search(search), *found]
    return list({run.id: run for run in found}.values())


def _of_a_sweep(settings: CompareSettings, tracker: Tracker) -> tuple[str, list[FoundRun]]:
    """The sweep in words, and the runs of its networks."""
    experiments = ", ".join(
        "that this run is in" if name == "auto" else name for name in settings.experiments
    )
    if settings.sweep == "latest":
        steps = _search(tagged({"kind": "step", "step": "sweep"}), settings, tracker)
        # A killed sweep goes on when it is started again, and compares when it is through.
        # One that failed before it trained anything is not what anybody means by the latest.
        sweep = next(
            (
                step
                for step in steps
                if step.tags.get("outcome") in {"finished", "failed"}
                and tracker.has_artifact(step.id, comparison.NETWORKS)
            ),
            None,
        )
        if sweep is None:
            raise PipelineError(
                f"sweep=latest must find a sweep, got none in the experiment {experiments}: run "
                "sweep first, name its experiment with experiments=NAME, or give a search"
            )
    else:
        sweep = next(iter(_search(any_of([settings.sweep]), settings, tracker)), None)
        if sweep is None:
            raise PipelineError(
                f"sweep must be latest or the id of a run, got {settings.sweep!r}, which is not in "
                f"the experiment {experiments}: copy the id from the run's page, or name its "
                "experiment with experiments=NAME"
            )
    if not tracker.has_artifact(sweep.id, comparison.NETWORKS):
        raise PipelineError(
            f"sweep must be latest or the id of a sweep that has compared its networks, got "
            f"{settings.sweep!r} ({sweep.name!r}): copy the id from the sweep's page, or start "
            "its line again"
        )
    file = tracker.artifact(sweep.id, comparison.NETWORKS)
    try:
        ids = comparison.run_ids(file.read_text(encoding="utf-8"))
    except (ValueError, KeyError) as error:
        raise PipelineError(
            f"{comparison.NETWORKS} of a sweep must name its networks, got {error} in {sweep.id}: "
            "start the sweep's line again, which writes it anew"
        ) from error
    if not ids:
        raise PipelineError(
            f"a sweep must have finished networks, got none in {comparison.NETWORKS} of "
            f"{sweep.name!r} ({sweep.id}): start its line again"
        )
    runs = {run.id: run for run in _search(any_of(ids), settings, tracker)}
    gone = len(ids) - len(runs)
    if gone:
        _logger.warning("%d of the sweep's %d networks are no longer there", gone, len(ids))
    return f"{sweep.name!r} (run {sweep.id})", [runs[id_] for id_ in ids if id_ in runs]


def _load(found: Sequence[FoundRun], tracker: Tracker, *, source: str) -> list[Result]:
    """The networks among these runs; those that cannot be compared are counted in a warning."""
    results: list[Result] = []
    skipped: Counter[str] = Counter()
    for run in found:
        if run.tags.get("kind") != "network":
            skipped["no network's"] += 1
        elif run.tags.get("outcome") != "finished":
            skipped[run.tags.get("outcome", "not finished")] += 1
        elif run.tags.get("step") == "toy":
            skipped["of the toy, which has no validation"] += 1
        else:
            try:
                results.append(load_result(run, tracker))
            except PipelineError as error:
                _logger.warning("%s", error)
                skipped["unreadable"] += 1
    reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
    if not results:
        raise PipelineError(
            f"there must be finished networks to compare, got {len(found)} runs for {source}"
            + (f" ({reasons})" if reasons else "")
            + ": correct the search, or name other experiments; parameters are texts, such as "
            "params.drop_rate = '0.5'"
        )
    if skipped:
        _logger.warning("skipped %d of %d runs: %s", skipped.total(), len(found), reasons)
    return results
