"""The views kept in MLflow's "Views" menu: questions, and the charts that answer."""

from collections.abc import Callable, Sequence
from functools import partial

from pipeline.config.recipe import Recipe
from pipeline.tracking import (
    Json,
    Section,
    View,
    bar_chart,
    image_grid,
    line_chart,
    parallel_coordinates,
    scatter,
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
    causes = [f"zero_{cause}/{layer}" for layer in layers for cause in ZERO_CAUSES]
    # The chart silently leaves out a network without one of these.
    together = parallel_coordinates(["drop_rate"], [*_each("zero", of_all), "val/accuracy"])
    view = partial(View, search=search, order_by="drop_rate")
    by_drop_rate, by_device = partial(scatter, "drop_rate"), partial(scatter, "device")
    by_time = partial(line_chart, by_time=True)
    drop_rates = view(
        name=DROP_RATES,
        parameters=("drop_rate", "seed", "activation", "learning_rate"),
        metrics=("val/accuracy", "train_eval/accuracy", "val/loss", "train_eval/loss"),
        sections=(
            _section("Which drop rate validates best?", by_drop_rate, _SCORES),
            Section(
                "Does it learn and generalise?",
                (
                    line_chart("val/accuracy"),
                    line_chart("val/loss", is_log=True),
                    line_chart("train_eval/loss", is_log=True),
                ),
            ),
            _section("How does each network end?", bar_chart, _SCORES),
            Section("Do more zeros cost accuracy?", [together], columns=1),
        ),
    )
    why_zeros = view(
        name="Why zeros are zero",
        parameters=("drop_rate", "seed"),
        metrics=_each("zero", layers),
        sections=(
            _by_layer("How many activations are zero?", line_chart, "zero", layers),
            _section("Why are activations zero?", bar_chart, causes, columns=len(ZERO_CAUSES)),
            _by_layer("Zero because of dropout?", line_chart, "zero_dropped", layers),
            _by_layer("Zero because of ReLU?", line_chart, "zero_inactive", layers),
            _by_layer("Zero for both reasons?", line_chart, "zero_both", layers),
        ),
    )
    dead_units = view(
        name="Dead units",
        parameters=("drop_rate", "seed"),
        metrics=_each("dead", layers) + _each("born_dead", layers),
        sections=(
            _by_layer("How many units are dead?", line_chart, "dead", layers),
            _by_layer("How many were born dead?", bar_chart, "born_dead", layers),
            _by_layer("How many are dead at the end?", bar_chart, "dead", layers),
            _by_layer(
                "How many are dead under every dropout mask?", bar_chart, "mask_dead", layers
            ),
            Section(
                "How often does each unit fire?",
                (image_grid("firing_rates"),),
                columns=1,
                height=1000,
            ),
            _by_layer("Do dead units come back?", line_chart, "revived", layers),
            _by_layer("How many are nearly dead?", line_chart, "dormant", layers),
        ),
    )
    devices = view(
        name="Devices",
        parameters=("device", "precision", "drop_rate", "seed"),
        metrics=(*_SPEEDS, "val/accuracy", "val/loss"),
        tags=("device_name",),
        sections=(
            _section("Which device is faster?", by_device, _SPEEDS),
            _section("Do devices reach the same scores?", by_device, _SCORES),
            _by_layer("Do they see the same zeros?", by_device, "zero", layers),
        ),
    )
    cost = view(
        name="Cost",
        parameters=("drop_rate", "seed", "widths", "batch_size", "device"),
        metrics=_SPEEDS,
        tags=("stack_size",),
        sections=(
            _section("What does a network cost?", bar_chart, _SPEEDS),
            _section("Does the cost stay the same?", line_chart, _SPEEDS),
            _section("How busy is the machine?", by_time, _MACHINE, columns=2),
        ),
    )
    has_relu = any(recipe.activation == "relu" for recipe in recipes)
    return (drop_rates, why_zeros, *([dead_units] if has_relu else []), devices, cost)


def _each(measure: str, layers: Sequence[str]) -> list[str]:
    return [f"{measure}/{layer}" for layer in layers]


def _section(
    title: str, chart: Callable[[str], Json], metrics: Sequence[str], *, columns: int = 3
) -> Section:
    return Section(title, [chart(metric) for metric in metrics], columns=columns)


def _by_layer(
    title: str, chart: Callable[[str], Json], measure: str, layers: Sequence[str]
) -> Section:
    """The layers side by side."""
    return _section(title, chart, _each(measure, layers), columns=min(len(layers), 4))
