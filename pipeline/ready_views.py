"""Which views this project keeps in MLflow's "Views" menu: questions, and the charts that answer.

It must not know how MLflow keeps a view, nor which step has trained the networks.
"""

from collections.abc import Sequence

from pipeline.recipe import Recipe
from pipeline.records import ZERO_CAUSES
from pipeline.tracking import (
    BarChart,
    ImageGrid,
    LineChart,
    ParallelCoordinates,
    Scatter,
    Section,
    View,
)

FIRING_RATES = "firing_rates"
_ORDER = "drop_rate"


def ready_views(recipes: Sequence[Recipe], *, search: str) -> tuple[View, ...]:
    """The views of these networks, in the order of the menu; the first one says which rate is best.

    None of them shows the test set, by which nothing may be chosen.

    Args:
        recipes: what the networks were made from; at least one.
        search: which runs are theirs, as `any_of` says it.
    """
    layers = max((recipe.layers for recipe in recipes), key=len)[:-1]
    has_relu = any(recipe.activation == "relu" for recipe in recipes)
    views = [
        _drop_rates(layers, search),
        _why_zeros(layers, search),
        _dead_units(layers, search),
        _devices(layers, search),
        _cost(search),
    ]
    return tuple(view for view in views if has_relu or view.name != "Dead units")


def _drop_rates(layers, search) -> View:
    return View(
        name="Drop rates",
        search=search,
        order_by=_ORDER,
        parameters=("drop_rate", "seed", "activation", "learning_rate"),
        metrics=("val/accuracy", "val/loss", "train_eval/accuracy", "train_eval/loss"),
        sections=(
            Section(
                "Which drop rate validates best?",
                (
                    Scatter("drop_rate", "val/accuracy"),
                    Scatter("drop_rate", "val/loss"),
                    Scatter("drop_rate", "train_eval/loss"),
                ),
            ),
            Section(
                "Does it learn and generalise?",
                (
                    LineChart(("val/accuracy",)),
                    LineChart(("val/loss",), is_log=True),
                    LineChart(("train_eval/loss",), is_log=True),
                ),
            ),
            Section(
                "How does each network end?",
                (BarChart(("val/accuracy",)), BarChart(("val/loss",)), BarChart(("train_eval/loss",))),
            ),
            Section(
                "How do rate, zeros and accuracy go together?",
                (
                    ParallelCoordinates(
                        ("drop_rate",),
                        (*_each("zero", layers), "val/accuracy"),
                    ),
                ),
                columns=1,
            ),
        ),
    )


def _why_zeros(layers, search) -> View:
    return View(
        name="Why zeros are zero",
        search=search,
        order_by=_ORDER,
        parameters=("drop_rate", "seed", "activation"),
        metrics=_each("zero", layers),
        sections=(
            Section("How many activations are zero?", _lines("zero", layers), columns=len(layers)),
            Section("Why are activations zero?", tuple(
                BarChart(tuple(f"zero_{cause}/{layer}" for cause in ZERO_CAUSES)) for layer in layers
            ), columns=len(layers)),
            Section("Zero because dropout took it?", _lines("zero_dropped", layers), columns=len(layers)),
            Section("Zero because ReLU closed it?", _lines("zero_inactive", layers), columns=len(layers)),
            Section("Zero for both reasons?", _lines("zero_both", layers), columns=len(layers)),
        ),
    )


def _dead_units(layers, search) -> View:
    return View(
        name="Dead units",
        search=search,
        order_by=_ORDER,
        parameters=("drop_rate", "seed"),
        metrics=(*_each("dead", layers), *_each("born_dead", layers), *_each("mask_dead", layers)),
        sections=(
            Section("Which units are dead?", _lines("dead", layers), columns=len(layers)),
            Section("Were they born dead?", tuple(BarChart((f"born_dead/{x}",f"dead/{x}",)) for x in layers), columns=len(layers)),
            Section("Does any mask wake them?", tuple(BarChart((f"dead/{x}",f"mask_dead/{x}",)) for x in layers), columns=len(layers)),
            Section("How often does each unit fire?", (ImageGrid(FIRING_RATES),), columns=1, height=640),
            Section("Which come back?", _lines("revived", layers), columns=len(layers)),
            Section("Which are nearly dead?", _lines("dormant", layers), columns=len(layers)),
        ),
    )


def _devices(layers, search) -> View:
    return View(
        name="Devices",
        search=search,
        order_by=_ORDER,
        parameters=("device", "precision", "drop_rate", "seed"),
        metrics=("speed/epoch_seconds", "speed/samples_per_second", "val/loss", "val/accuracy"),
        sections=(
            Section("Which device is fastest?", tuple(Scatter("device", f"speed/{x}") for x in ("epoch_seconds","samples_per_second","peak_memory_mb"))),
            Section("Do devices agree on the results?", tuple(Scatter("device", x) for x in ("val/accuracy", "val/loss","train_eval/loss"))),
            Section("Do devices agree on zeros?", tuple(Scatter("device", f"zero/{x}") for x in layers), columns=len(layers)),
        ),
    )


def _cost(search) -> View:
    return View(
        name="Cost",
        search=search,
        order_by=_ORDER,
        parameters=("drop_rate", "seed", "widths", "batch_size", "device"),
        metrics=("speed/epoch_seconds", "speed/samples_per_second", "speed/peak_memory_mb"),
        sections=(
            Section("What does an epoch cost?", tuple(BarChart((f"speed/{x}",)) for x in ("epoch_seconds","samples_per_second","peak_memory_mb"))),
            Section("Does the cost stay the same?", tuple(LineChart((f"speed/{x}",)) for x in ("epoch_seconds","samples_per_second","peak_memory_mb"))),
            Section("How busy is the machine?", tuple(LineChart((f"system/{x}",), by_time=True) for x in ("cpu_utilization_percentage","system_memory_usage_megabytes", "gpu_0_utilization_percentage", "gpu_0_memory_usage_megabytes"))),
        ),
    )


def _each(measure: str, layers: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{measure}/{layer}" for layer in layers)


def _lines(measure: str, layers: Sequence[str]) -> tuple[LineChart, ...]:
    return tuple(LineChart((f"{measure}/{layer}",)) for layer in layers)
