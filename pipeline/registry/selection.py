"""Selects the network to register: a run by its id, or a sweep's best by validation."""

import math
from dataclasses import dataclass

from pipeline.errors import PipelineError
from pipeline.runs.sweeps import find_sweep, finished_networks, source_of
from pipeline.tracking import FoundRun, Tracker


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The network that a validation metric has chosen.

    Attributes:
        run: its run.
        metric: what chose it.
        value: of the metric, at the epoch whose weights were kept.
        compared: how many networks it was chosen from.
        tied: the others with the same value, in the order of the sweep.
        source: the sweep or run that it was chosen from, in words.
    """

    run: FoundRun
    metric: str
    value: float
    compared: int
    tied: tuple[FoundRun, ...]
    source: str


def select(source: str, metric: str, *, tracker: Tracker) -> Selection:
    """The best network of a source; if tied, the first in the order of the sweep.

    Args:
        source: `sweep:latest`, `sweep:RUN_ID` or `run:RUN_ID`.
        metric: of validation; see `is_higher_better`.
        tracker: of the store that it is in.

    Raises:
        PipelineError: there is no such sweep or run, it holds no finished network, or the network
            was validated on the test set.
    """
    origin, runs = networks_of(source, tracker)
    for run in runs:
        _refuse_the_test_set(run)
    values = {run.id: value_of(run, metric, tracker) for run in runs}
    numbers = [value for value in values.values() if not math.isnan(value)]
    if not numbers:
        raise PipelineError(
            f"a network must have {metric} at its chosen epoch, got none from {source}: "
            "choose networks that were trained and validated"
        )
    value = max(numbers) if is_higher_better(metric) else min(numbers)
    best, *tied = [run for run in runs if values[run.id] == value]
    return Selection(
        run=best,
        metric=metric,
        value=value,
        compared=len(runs),
        tied=tuple(tied),
        source=source_of(origin, tracker),
    )


def networks_of(source: str, tracker: Tracker) -> tuple[FoundRun, list[FoundRun]]:
    """The run that a source names, and its networks: itself, or all that the sweep has finished.

    Args:
        source: `sweep:latest`, `sweep:RUN_ID` or `run:RUN_ID`.
        tracker: of the store that it is in.

    Raises:
        PipelineError: there is no such sweep or run, or it holds no finished network.
    """
    kind, _, which = source.partition(":")
    if kind == "run":
        found = network(which, tracker)
        return found, [found]
    sweep = find_sweep(which, tracker)
    return sweep, finished_networks(sweep, tracker)


def is_higher_better(metric: str) -> bool:
    """Whether more of this metric is better: yes for accuracy, no for loss."""
    return metric.endswith("/accuracy")


def value_of(run: FoundRun, metric: str, tracker: Tracker) -> float:
    """The metric at the epoch whose weights were kept; NaN if the run has none there."""
    chosen = run.tags.get("chosen_epoch")
    points = tracker.history(run.id, metric)
    return next((value for epoch, value in points if str(epoch) == chosen), math.nan)


def network(run_id: str, tracker: Tracker) -> FoundRun:
    """The finished network with this id, trained or compacted.

    Raises:
        PipelineError: there is no such run, or it is none of a finished network.
    """
    run = tracker.run(run_id)
    if not _is_finished_network(run):
        raise PipelineError(
            "the run must be a finished network's and hold its weights, got "
            f"{run.name!r} ({run.id}): choose one with the tags kind=network and outcome=finished"
        )
    return run


def _is_finished_network(run: FoundRun) -> bool:
    is_network = run.tags.get("kind") in {"network", "compacted"}
    # One of the toy's has no weights, and chose no epoch.
    return is_network and run.tags.get("outcome") == "finished" and "chosen_epoch" in run.tags


def _refuse_the_test_set(run: FoundRun) -> None:
    """Refuse a network whose validation images were the test set.

    Raises:
        PipelineError: they were, or it is unknown.
    """
    if run.parameters.get("holdout", "0") == "0":
        raise PipelineError(
            f"a network must be chosen on held-out images, got holdout=0 in {run.name!r} "
            f"({run.id}): it was validated on the test set, which may choose nothing; "
            "train with a holdout of at least 1"
        )
