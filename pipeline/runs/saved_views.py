"""The views kept in MLflow's "Views" menu: questions, and the charts that answer."""

from collections.abc import Sequence

from pipeline.config.recipe import Recipe
from pipeline.tracking import (
    BarChart,
    ImageGrid,
    LineChart,
    ParallelCoordinates,
    Scatter,
    Section,
    View,
)
from why_zero.records import ZERO_CAUSES

DROP_RATES = "Drop rates"

_SCORES = ("val/accuracy", "val/loss", "train_eval/loss")
_SPEEDS = ("speed/epoch_seconds", "speed/samples_per_second", "speed/peak_memory_mb")
_MACHINE = (
    "system/cpu_utilization_percentage",
    "system/system_memory_usage_megabytes",
    "system/gpu_0_utilization_percentage",
    "system/gpu_0_memory_usage_megabytes",
)


def saved_views(recipes: Sequence[Recipe], *, search: str) -> tuple[View, ...]:
    """The views of these networks, in the order of the menu; `DROP_RATES` is the one to begin with.

    None shows the test set, by which nothing may be chosen. Without a ReLU no unit can be dead, so
    there is no view of dead units.

    Args:
        recipes: what the networks were made from, at least one; where they differ in depth, the
            views show the layers of the deepest, but for the chart that needs all of each network.
        search: which runs are theirs, as `any_of` says it.
    """
    layers = max((recipe.layers[:-1] for recipe in recipes), key=len)
    of_all = min((recipe.layers[:-1] for recipe in recipes), key=len)
    views = [_drop_rates(of_all, search), _why_zeros(layers, search)]
    if any(recipe.activation == "relu" for recipe in recipes):
        views.append(_dead_units(layers, search))
    return (*views, _devices(layers, search), _cost(search))


def _drop_rates(layers: Sequence[str], search: str) -> View:
    # A network without one of these is left out of the chart, and nothing says so.
    together = ParallelCoordinates(("drop_rate",), (*_each("zero", layers), "val/accuracy"))
    return _view(
        DROP_RATES,
        search,
        parameters=("drop_rate", "seed", "activation", "learning_rate"),
        metrics=("val/accuracy", "train_eval/accuracy", "val/loss", "train_eval/loss"),
        sections=(
            Section("Which drop rate validates best?", _scatters("drop_rate", _SCORES)),
            Section(
                "Does it learn and generalise?",
                (
                    LineChart("val/accuracy"),
                    LineChart("val/loss", is_log=True),
                    LineChart("train_eval/loss", is_log=True),
                ),
            ),
            Section("How does each network end?", _bars(_SCORES)),
            Section("Do more zeros cost accuracy?", (together,), columns=1),
        ),
    )


def _why_zeros(layers: Sequence[str], search: str) -> View:
    causes = [f"zero_{cause}/{layer}" for layer in layers for cause in ZERO_CAUSES]
    return _view(
        "Why zeros are zero",
        search,
        parameters=("drop_rate", "seed"),
        metrics=_each("zero", layers),
        sections=(
            _by_layer("How many activations are zero?", _lines(_each("zero", layers))),
            Section("Why are activations zero?", _bars(causes), columns=len(ZERO_CAUSES)),
            _by_layer("Because dropout took them?", _lines(_each("zero_dropped", layers))),
            _by_layer("Because ReLU closed?", _lines(_each("zero_inactive", layers))),
            _by_layer("Or for both reasons?", _lines(_each("zero_both", layers))),
        ),
    )


def _dead_units(layers: Sequence[str], search: str) -> View:
    return _view(
        "Dead units",
        search,
        parameters=("drop_rate", "seed"),
        metrics=(*_each("dead", layers), *_each("born_dead", layers)),
        sections=(
            _by_layer("How many units are dead?", _lines(_each("dead", layers))),
            _by_layer("How many were born dead?", _bars(_each("born_dead", layers))),
            _by_layer("How many are dead at the end?", _bars(_each("dead", layers))),
            _by_layer("And under every dropout mask?", _bars(_each("mask_dead", layers))),
            Section(
                "How often does each unit fire?",
                (ImageGrid("firing_rates"),),
                columns=1,
                height=1000,
            ),
            _by_layer("Do dead units come back?", _lines(_each("revived", layers))),
            _by_layer("How many are nearly dead?", _lines(_each("dormant", layers))),
        ),
    )


def _devices(layers: Sequence[str], search: str) -> View:
    return _view(
        "Devices",
        search,
        parameters=("device", "precision", "drop_rate", "seed"),
        metrics=(*_SPEEDS, "val/accuracy", "val/loss"),
        tags=("device_name",),
        sections=(
            Section("Which device is faster?", _scatters("device", _SPEEDS)),
            Section("Do devices reach the same?", _scatters("device", _SCORES)),
            _by_layer("Do they see the same zeros?", _scatters("device", _each("zero", layers))),
        ),
    )


def _cost(search: str) -> View:
    return _view(
        "Cost",
        search,
        parameters=("drop_rate", "seed", "widths", "batch_size", "device"),
        metrics=_SPEEDS,
        tags=("stack_size",),
        sections=(
            Section("What does a network cost?", _bars(_SPEEDS)),
            Section("Does the cost stay the same?", _lines(_SPEEDS)),
            Section(
                "How busy is the machine?",
                tuple(LineChart(name, by_time=True) for name in _MACHINE),
                columns=2,
            ),
        ),
    )


def _view(
    name: str,
    search: str,
    *,
    parameters: tuple[str, ...],
    metrics: tuple[str, ...],
    sections: tuple[Section, ...],
    tags: tuple[str, ...] = (),
) -> View:
    return View(
        name=name,
        search=search,
        order_by="drop_rate",
        parameters=parameters,
        metrics=metrics,
        sections=sections,
        tags=tags,
    )


def _each(measure: str, layers: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{measure}/{layer}" for layer in layers)


def _by_layer(title: str, charts: tuple[LineChart | BarChart | Scatter, ...]) -> Section:
    """The layers side by side."""
    return Section(title, charts, columns=min(len(charts), 4))


def _lines(metrics: Sequence[str]) -> tuple[LineChart, ...]:
    return tuple(LineChart(metric) for metric in metrics)


def _bars(metrics: Sequence[str]) -> tuple[BarChart, ...]:
    return tuple(BarChart(metric) for metric in metrics)


def _scatters(parameter: str, metrics: Sequence[str]) -> tuple[Scatter, ...]:
    return tuple(Scatter(parameter, metric) for metric in metrics)
