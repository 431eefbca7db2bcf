"""The step `compare`: trained networks, loaded and compared."""

import logging
from collections import Counter
from collections.abc import Sequence

from pipeline import comparison
from pipeline.config.options import CompareSettings
from pipeline.config.settings import texts
from pipeline.console import Console
from pipeline.errors import PipelineError
from pipeline.explorer import log_explorers
from pipeline.records.result import Result
from pipeline.records.words import counted
from pipeline.runs.links import print_pages
from pipeline.runs.load import load_data, load_failure, load_result
from pipeline.runs.sweeps import (
    failed_networks,
    find_sweep,
    finished_networks,
    search_in,
    source_of,
)
from pipeline.tracking import FoundRun, Tracker, connect, searches_metrics

BY_RESULTS = (
    "This search filters by a metric, so it selects networks by their results: the intervals do "
    "not account for the networks left out."
)

_logger = logging.getLogger(__name__)


def run(settings: CompareSettings, console: Console) -> None:
    """Compare the networks of a sweep, or those that match a search.

    Raises:
        PipelineError: there is no such sweep, or no finished network among what was found.
    """
    tracker = connect()
    name = f"compare {settings.sweep if settings.search == 'none' else settings.search}"
    caution = ""
    if settings.search == "none":
        sweep = find_sweep(settings.sweep, tracker, experiments=settings.experiments)
        source = source_of(sweep, tracker)
        found = finished_networks(sweep, tracker)
        failed = failed_networks(sweep, tracker)
    else:
        source = f"the search {settings.search}"
        found = search_in(settings.experiments, settings.search, tracker)
        failed = [run for run in found if _is_failed_network(run)]
        if searches_metrics(settings.search):
            caution = BY_RESULTS
            _logger.warning("%s", caution)
    results = _loaded(found, tracker, source=source)
    failures = [failure for run in failed if (failure := load_failure(run)) is not None]
    with tracker.start_step("compare", name, parameters=texts(settings)) as step:
        console.line(f"{counted(len(results), 'network')} from {source}")
        comparisons = comparison.compare(results, failures)
        links = log_explorers(step, comparisons, load_data, tracker=tracker, console=console)
        comparison.publish(
            step,
            results,
            comparisons,
            console=console,
            origin=source,
            caution=caution,
            failures={
                failure.recipe.name: failure.reason
                for compared in comparisons
                for failure in compared.failures
            },
            links=links,
        )
    console.elapsed("done")
    print_pages(tracker, console, report=step.id, explorers=links.values())


def _is_failed_network(run: FoundRun) -> bool:
    kind, outcome, step = (run.tags.get(tag) for tag in ("kind", "outcome", "step"))
    return (kind, outcome) == ("network", "failed") and step != "toy"


def _loaded(found: Sequence[FoundRun], tracker: Tracker, *, source: str) -> list[Result]:
    """The networks among these runs; those that cannot be compared are counted in a warning."""
    results: list[Result] = []
    skipped: Counter[str] = Counter()
    for run in found:
        if run.tags.get("kind") != "network":
            skipped["not networks"] += 1
        elif run.tags.get("outcome") != "finished":
            skipped[run.tags.get("outcome", "not finished")] += 1
        elif run.tags.get("step") == "toy":
            skipped["from the toy, which has no validation"] += 1
        else:
            try:
                results.append(load_result(run, tracker))
            except PipelineError as error:
                _logger.warning("%s", error)
                skipped["unreadable"] += 1
    reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
    if not results:
        raise PipelineError(
            f"there must be finished networks to compare, got {counted(len(found), 'run')} for "
            + source
            + (f" ({reasons})" if reasons else "")
            + ": correct the search, or name other experiments; parameters are strings, as in "
            "params.drop_rate = '0.5'"
        )
    if skipped:
        _logger.warning("skipped %d of %d runs: %s", skipped.total(), len(found), reasons)
    return results
