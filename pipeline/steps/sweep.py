"""The step `sweep`: one network for every combination of the axes, and their comparison."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import torch

from pipeline import comparison
from pipeline.comparison import Comparison
from pipeline.config.options import SweepSettings
from pipeline.config.recipe import Recipe, Schedule
from pipeline.config.settings import canonical, texts
from pipeline.console import Console, literal
from pipeline.data import ImageData, prepared, split
from pipeline.errors import UsageError
from pipeline.explorer import log_explorers, pair
from pipeline.fit import FitContext, Fitted, Task, fit
from pipeline.health import check_before_training
from pipeline.records.result import Result
from pipeline.records.words import counted
from pipeline.runs.complete import Completed, complete
from pipeline.runs.links import print_links
from pipeline.tracking import Tracker, connected
from pipeline.training import device as devices
from pipeline.workers import engine

MOST_NETWORKS = 10_000  # more is a typo, and would fill the memory


def run(settings: SweepSettings, console: Console) -> None:
    """Train every network of the sweep that has no finished run yet, and compare all.

    Raises:
        PipelineError: a device or a data set is missing, or a network failed; the others are
            still finished and compared.
    """
    recipes = recipes_of(settings)
    with connected(console) as tracker:
        _run(settings, recipes, tracker, console)


def _run(
    settings: SweepSettings, recipes: Sequence[Recipe], tracker: Tracker, console: Console
) -> None:
    check_before_training(tracker)
    many = len(recipes) * len(settings.data) * len(settings.devices)
    name = f"sweep of {counted(many, 'network')}"
    places = list(dict.fromkeys(devices.resolve(device) for device in settings.devices))
    sets = [prepared(source) for source in settings.data]
    for data in sets:
        split(len(data.train_labels), settings.holdout)  # refused before there is a run
    console.line(name)
    with (
        engine(settings.engine, settings.ray_address) as trains,
        tracker.start_step("sweep", name, parameters=texts(settings)) as step,
    ):
        context = FitContext(
            tracker=tracker,
            console=console,
            step="sweep",
            tags={"pipeline": step.id, "sweep": step.id},
            is_forced=settings.force,
            keeps_all=settings.keep == "all",
            cuda_graphs=settings.cuda_graphs,
            memory_bytes=settings.stack_memory_gb * 1e9 or None,
            engine=trains,
        )
        completed = Completed(0)
        fitted = fit(_tasks(recipes, sets=sets, places=places), context)
        _show_failures(fitted, console)
        if fitted.results:
            comparisons = comparison.compare(fitted.results, fitted.failed)
            by_digest = {data.digest: data for data in sets}

            def data_of(result: Result) -> ImageData:
                return by_digest[result.dataset_digest]

            if settings.keep == "chosen":
                completed = _publish_named(
                    comparisons, data_of, step_id=step.id, tracker=tracker, console=console
                )
            links = log_explorers(step, comparisons, data_of, tracker=tracker, console=console)
            comparison.publish(
                step,
                fitted.results,
                comparisons,
                console=console,
                origin="this sweep",
                failures=fitted.failures,
                links=links,
            )
            console.elapsed("done")
            print_links(fitted.results, tracker, console, report=step.id, explorers=links.values())
        fitted.complete()
        completed.check()


def _publish_named(
    comparisons: Sequence[Comparison],
    data_of: Callable[[Result], ImageData],
    *,
    step_id: str,
    tracker: Tracker,
    console: Console,
) -> Completed:
    """Make pictures and models of those networks alone that the report names."""
    named = named_in_report(comparisons)
    total = sum(len(compared.results) for compared in comparisons)
    console.line(
        f"keep=chosen: {len(named)} of {counted(total, 'network')} with pictures and model; "
        f"for the others: why-zero publish sweep:{step_id}"
    )
    if not tracker.is_settled():
        console.line(
            "pictures and models: not made, as MLflow's server is away; once it is back, the same "
            "command makes them"
        )
        return Completed(0)
    named = {tracker.known(run_id): result for run_id, result in named.items()}
    return complete(
        list(named),
        tracker,
        result_of=lambda run: named[run.id],
        data_of=data_of,
        console=console,
    )


def named_in_report(comparisons: Sequence[Comparison]) -> dict[str, Result]:
    """The networks of each chosen group and in each explorer, by their run ids."""
    named = [
        result
        for compared in comparisons
        for result in [*(compared.chosen.results if compared.chosen else ()), *pair(compared)]
    ]
    return {result.run_id: result for result in named}


def recipes_of(settings: SweepSettings) -> list[Recipe]:
    """One recipe for each combination of the axes other than data sets and devices.

    Raises:
        UsageError: momentum or recycling is given and no network would use it, a network has
            not as many drop rates as layers, or there are too many networks.
    """
    if settings.momentum and "sgd" not in settings.optimizers:
        raise UsageError(
            f"momentum must be 0 without sgd among the optimizers, got {settings.momentum:g}; "
            "give optimizers=sgd"
        )
    if any(settings.recycle_every) and "relu" not in settings.activations:
        raise UsageError(
            "recycle_every must be 0 without relu among the activations, got "
            f"{canonical(settings.recycle_every)}; units without a ReLU do not die: leave it at 0, "
            "or give activations=relu"
        )
    if any(settings.recycle_below) and not any(settings.recycle_every):
        raise UsageError(
            "recycle_below must be 0 with recycle_every=0, got "
            f"{canonical(settings.recycle_below)}; give recycle_every=1 to recycle every epoch"
        )
    shared = {item.name: getattr(settings, item.name) for item in fields(Schedule)}
    axes: dict[str, tuple[Any, ...]] = {
        "activation": settings.activations,
        "output_dropout": settings.output_dropout,
        "widths": settings.widths,
        "optimizer": settings.optimizers,
        "learning_rate": settings.learning_rates,
        "init": settings.inits,
        "zero_biases": settings.zero_biases,
        "scaling": settings.scalings,
        "max_norm": settings.max_norms,
        "learning_rate_decay": settings.learning_rate_decays,
        "drop_rate": settings.drop_rates,
        "seed": settings.seeds,
        "input_drop_rate": settings.input_drop_rates,
        "recycle_every": settings.recycle_every,
        "recycle_below": settings.recycle_below,
    }
    many = math.prod(map(len, (*axes.values(), settings.data, settings.devices)))
    if many > MOST_NETWORKS:
        raise UsageError(
            f"a sweep must have at most {MOST_NETWORKS:,} networks, got {many:,}; give fewer values"
        )
    found = []
    for values in itertools.product(*axes.values()):
        chosen = shared | dict(zip(axes, values, strict=True))
        if chosen["optimizer"] != "sgd":
            chosen["momentum"] = 0.0
        if chosen["activation"] != "relu":
            chosen["recycle_every"] = 0
        if not chosen["recycle_every"]:
            chosen["recycle_below"] = 0.0
        found.append(Recipe(**chosen))
    # Combinations that differ in nothing that applies to them are one network.
    return list(dict.fromkeys(found))


def _tasks(
    recipes: Sequence[Recipe],
    *,
    sets: Sequence[ImageData],
    places: Sequence[torch.device],
) -> list[Task]:
    """Every recipe on every data set and device, marked by the device where there are several."""
    return [
        Task(recipe=recipe, data=data, device=device, mark=str(device) if len(places) > 1 else "")
        for data in sets
        for device in places
        for recipe in recipes
    ]


def _show_failures(fitted: Fitted, console: Console) -> None:
    if fitted.failures:
        rows = [(literal(name), literal(reason)) for name, reason in fitted.failures.items()]
        title = f"{counted(len(rows), 'network')} failed, {len(fitted.results)} finished"
        console.table(title, ("network", "why"), rows)
