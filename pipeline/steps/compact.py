"""The step `compact`: a trained network without its dead units, in a run beside the original's."""

from dataclasses import replace
from functools import partial

import torch

from pipeline.config.options import CompactSettings
from pipeline.config.settings import texts
from pipeline.console import Console
from pipeline.markdown import description
from pipeline.plots import render_pool
from pipeline.records.result import Result
from pipeline.records.words import counted
from pipeline.registry.gates import Candidate, load_candidate
from pipeline.registry.selection import network, select
from pipeline.runs.color import run_color
from pipeline.runs.compacting import (
    SmallerNetwork,
    compaction,
    history_without,
    metrics_of,
    without_dead_units,
)
from pipeline.runs.complete import complete
from pipeline.runs.fingerprint import fingerprint
from pipeline.runs.load import load_data, load_result
from pipeline.runs.publish import draw, judge, log_dataset, publish, publish_rest, test_metrics
from pipeline.runs.sweeps import source_of
from pipeline.tracking import FoundRun, SavedModels, Tracker, connect

# What the smaller network's run says as the original's does: how it was trained is the same.
_INHERITED = ("arm", "chosen_epoch", "device_name", "stack_size", "validated_on")


def run(settings: CompactSettings, console: Console) -> None:
    """Remove the network's dead units, and log what is left.

    Raises:
        PipelineError: there is no such network, or its data are not here.
        WhyZeroError: the smaller network is not the same.
    """
    tracker = connect()
    origin = _origin(settings, tracker)
    console.line(f"compact: {source_of(origin, tracker)}")
    start = partial(
        tracker.start_step, "compact", f"compact {settings.from_}", parameters=texts(settings)
    )
    mark = fingerprint("compacted", origin.id, rooms=("pipeline/runs", "why_zero"))
    if found := None if settings.force else tracker.finished(mark, kind="compacted"):
        with start() as step:
            console.line(
                f"{origin.name}: already compacted (run {found.id}); force=true does it again"
            )
            loaded = partial(load_result, tracker=tracker)
            made = complete(
                [found.id], tracker, result_of=loaded, data_of=load_data, console=console
            )
            made.check()
            step.describe(f"[{found.name}]({found.page}) was compacted before.")
        return
    candidate = load_candidate(origin, tracker)
    with start() as step:
        smaller = without_dead_units(candidate.result.recipe, candidate.rebuilt, candidate.data)
        for kept in smaller.found.kept:
            console.line(
                f"kept: {counted(len(kept.units), 'dead unit')} of {kept.layer}: {kept.reason}"
            )
        if not smaller.found.removed:
            ending = f"{origin.name} has no dead units to remove, so there is no smaller network."
            step.describe(f"{ending} See [its run]({origin.page}).")
        else:
            result, text = _log(
                candidate,
                smaller,
                mark=mark,
                step_id=step.id,
                tracker=tracker,
                goes_on=not settings.force,
            )
            ending = f"{result.recipe.name}: {_removed(smaller)}; run {result.run_id}"
            step.describe(
                f"[{origin.name}]({origin.page}) became [smaller]({result.page}).\n\n{text}"
            )
        console.line(ending)
    console.elapsed("done")


def _origin(settings: CompactSettings, tracker: Tracker) -> FoundRun:
    """The network to compact; only a choice among several needs a metric."""
    kind, _, which = settings.from_.partition(":")
    if kind == "run":
        return network(which, tracker)
    return select(settings.from_, settings.metric, tracker=tracker).run


def _log(
    candidate: Candidate,
    smaller: SmallerNetwork,
    *,
    mark: str,
    step_id: str,
    tracker: Tracker,
    goes_on: bool,
) -> tuple[Result, str]:
    """Log the smaller network as any other is, and return it with what it says of itself."""
    original, recipe = candidate.result, smaller.recipe
    chosen = replace(original.chosen, validation=smaller.validation)
    records = [chosen if r.epoch == chosen.epoch else r for r in original.history]
    history = history_without(records, smaller.found.removed)
    [chosen] = [record for record in history if record.epoch == chosen.epoch]
    parameters = {**candidate.run.parameters, **recipe.parameters}
    run = tracker.start_network(
        f"{candidate.run.name} compact",
        parameters,
        step="compact",
        kind="compacted",
        tags={
            **{tag: candidate.run.tags[tag] for tag in _INHERITED},
            "compacted_from": original.run_id,
            "pipeline": step_id,
            "fingerprint": mark,
        },
        color=run_color(recipe),
        goes_on=goes_on,
    )
    with run, render_pool(1) as pool:
        log_dataset(run, candidate.data, context="training")
        metrics = metrics_of(smaller, original.test)
        began_ms = run.began_ms(next(iter(metrics)))
        at_ms = run.metrics(metrics, step=chosen.epoch, at_ms=began_ms)
        smaller_one = replace(chosen, weights=smaller.weights)
        judged = judge(recipe, smaller_one, candidate.data)
        drawn = draw(
            recipe,
            judged=judged,
            history=history,
            chosen=smaller_one,
            data=candidate.data,
            render_pool=pool,
        )
        result = publish(
            run,
            recipe,
            judged=judged,
            history=history,
            chosen=smaller_one,
            at_ms=at_ms,
            data=candidate.data,
            device=torch.device("cpu"),
            stack_size=original.stack_size,
        )
        publish_rest(
            run,
            result,
            judged=judged,
            drawn=drawn,
            metrics=metrics | test_metrics(result.test),
            at_ms=at_ms,
            data=candidate.data,
            saved=SavedModels(),
        )
        text = compaction(metrics, result.test, validated_on=recipe.validated_on)
        origin = (
            f"[{candidate.run.name}]({original.page}) without its dead units: {_removed(smaller)}."
        )
        said = description(result, validation_name=recipe.validated_on)
        run.describe(f"{origin}\n\n{text}\n\n{said}")
    return result, text


def _removed(smaller: SmallerNetwork) -> str:
    """How many units are gone, by layer, in words."""
    parts = [
        f"{counted(len(units), 'unit')} of {layer.replace('linear', 'h')}"
        for layer, units in smaller.found.removed.items()
    ]
    return f"removed {', '.join(parts)}"
