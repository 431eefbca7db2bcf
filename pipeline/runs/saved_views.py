"""The views kept in MLflow's "Views" menu: questions, and the charts that answer."""

from collections.abc import Callable, Sequence
from functools import partial

from pipeline.config.recipe import Recipe
from pipeline.records import INPUT
from pipeline.tracking import (
    Json,
    Section,
    View,
    any_of,
    bar_chart,
    image_grid,
    line_chart,
    parallel_coordinates,
    scatter,
)
from why_zero.records import ZERO_CAUSES

DROP_RATES = "Drop rates"

_SCORES = ("val/accuracy", "val/loss", "train_eval/loss")
# Columns only where they tell networks apart.
_OPTIONS = (
    *("input_drop_rate", "recycle_every", "recycle_below"),
    *("init", "zero_biases", "scaling", "max_norm", "learning_rate_decay"),
)
_SPEEDS = ("speed/epoch_seconds", "speed/samples_per_second", "speed/peak_memory_mb")
_MACHINE = (
    "system/cpu_utilization_percentage",
    "system/system_memory_usage_megabytes",
    "system/gpu_0_utilization_percentage",
    "system/gpu_0_memory_usage_megabytes",
)


def saved_views(
    recipes: Sequence[Recipe], *, search: str, devices: Sequence[str], stacks: Sequence[str]
) -> tuple[View, ...]:
    """The views of these networks, in the order of the menu; `DROP_RATES` is the one to begin with.

    None shows the test set, by which nothing may be chosen. There is a view of dead units only
    where units can die, and a view of devices only where there are two to compare.

    Args:
        recipes: what the networks were made from, at least one; where they differ in depth, the
            views show the layers of the deepest, but for the chart that needs all of each network.
        search: which runs are theirs, as `any_of` says it.
        devices: the names of those that trained them, each once.
        stacks: a run's id for each stack that was trained at once: its networks cost the same.
    """
    layers = max((recipe.layers[:-1] for recipe in recipes), key=len)
    of_all = min((recipe.layers[:-1] for recipe in recipes), key=len)
    drops_inputs = any(recipe.input_drop_rate for recipe in recipes)
    zeros = (INPUT, *layers) if drops_inputs else layers
    causes = [f"zero_{cause}/{layer}" for cause in ZERO_CAUSES for layer in zeros]
    # The chart silently leaves out a network without one of these.
    together = parallel_coordinates(["drop_rate"], [*_each("zero", of_all), "val/accuracy"])
    view = partial(View, search=search)
    by_drop_rate, by_device = partial(scatter, "drop_rate"), partial(scatter, "device")
    by_time = partial(line_chart, by_time=True)
    differing = [name for name in _OPTIONS if len({getattr(r, name) for r in recipes}) > 1]
    drop_rates = view(
        name=DROP_RATES,
        parameters=("drop_rate", "seed", "activation", "learning_rate", *differing),
        metrics=("val/accuracy", "train_eval/accuracy", "val/loss", "train_eval/loss"),
        sections=(
            _section("Which is best?", by_drop_rate, _SCORES),
            Section(
                "Does it learn?",
                (
                    line_chart("val/accuracy"),
                    line_chart("val/loss", is_log=True),
                    line_chart("train_eval/loss", is_log=True),
                ),
            ),
            _section("Final scores?", bar_chart, _SCORES),
            Section("Do zeros hurt?", [together], columns=1),
        ),
    )
    why_zeros = view(
        name="Why zeros are zero",
        parameters=("drop_rate", "seed"),
        metrics=_each("zero", zeros),
        sections=(
            _by_layer("How many?", line_chart, "zero", zeros),
            _section("Why?", bar_chart, causes),
            _by_layer("By dropout?", line_chart, "zero_dropped", zeros),
            _by_layer("By ReLU?", line_chart, "zero_inactive", layers),
            _by_layer("By both?", line_chart, "zero_both", zeros),
        ),
    )
    recycles = any(recipe.recycle_every for recipe in recipes)
    dead_units = view(
        name="Dead units",
        parameters=("drop_rate", "seed"),
        metrics=_each("dead", layers) + _each("born_dead", layers),
        sections=(
            _by_layer("How many?", line_chart, "dead", layers),
            _by_layer("Born dead?", bar_chart, "born_dead", layers),
            _by_layer("Dead at end?", bar_chart, "dead", layers),
            _by_layer("Under masks?", bar_chart, "mask_dead", layers),
            Section("Which fire?", (image_grid("firing_rates"),), columns=1, height=1000),
            _by_layer("Back to life?", line_chart, "revived", layers),
            *([_by_layer("Recycled?", line_chart, "recycled", layers)] if recycles else []),
            _by_layer("Nearly dead?", line_chart, "dormant", layers),
        ),
    )
    across_devices = view(
        name="Devices",
        parameters=("device", "precision", "drop_rate", "seed"),
        metrics=(*_SPEEDS, "val/accuracy", "val/loss"),
        tags=("device_name",),
        sections=(
            _section("Which is fast?", by_device, _SPEEDS),
            _section("Same scores?", by_device, _SCORES),
            _by_layer("Same zeros?", by_device, "zero", layers),
        ),
    )
    cost = View(
        name="Cost",
        search=any_of(stacks),
        parameters=("drop_rate", "seed", "widths", "batch_size", "device"),
        metrics=_SPEEDS,
        tags=("stack_size",),
        sections=(
            *([_section("Cheapest?", bar_chart, _SPEEDS)] if len(stacks) > 1 else []),
            _section("Is it steady?", line_chart, _SPEEDS),
            _section("How busy?", by_time, _MACHINE),
        ),
    )
    has_relu = any(recipe.activation == "relu" for recipe in recipes)
    return (
        drop_rates,
        why_zeros,
        *([dead_units] if has_relu else []),
        *([across_devices] if len(devices) > 1 else []),
        cost,
    )


def _each(measure: str, layers: Sequence[str]) -> list[str]:
    return [f"{measure}/{layer}" for layer in layers]


def _section(title: str, chart: Callable[[str], Json], metrics: Sequence[str]) -> Section:
    return Section(title, [chart(metric) for metric in metrics], columns=min(len(metrics), 2))


def _by_layer(
    title: str, chart: Callable[[str], Json], measure: str, layers: Sequence[str]
) -> Section:
    return _section(title, chart, _each(measure, layers))
