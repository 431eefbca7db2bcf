"""Which views there are, and that they show what networks log."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from pipeline.config.recipe import Recipe
from pipeline.runs.saved_views import DROP_RATES, saved_views
from pipeline.tracking import Tracker, View, any_of

RELU = Recipe(widths=(8, 6))


def views_of(
    recipes: list[Recipe],
    *,
    search: str = "",
    devices: tuple[str, ...] = ("cpu",),
    stacks: tuple[str, ...] = ("a",),
) -> tuple[View, ...]:
    return saved_views(recipes, search=search, devices=devices, stacks=stacks)


def metrics_of(view: View) -> Iterator[str]:
    """Every metric in the view's charts and columns."""
    yield from view.metrics
    for chart in view.charts:
        if chart["type"] == "SCATTER":
            yield chart["yaxis"]["key"]
        elif chart["type"] == "PARALLEL":
            yield from chart["selectedMetrics"]
        elif chart["type"] != "IMAGE":
            yield chart["metricKey"]


def test_there_are_four_views_and_the_first_is_about_drop_rates() -> None:
    names = ["Drop rates", "Why zeros are zero", "Dead units", "Cost"]
    assert [view.name for view in views_of([RELU])] == names
    assert names[0] == DROP_RATES


def test_devices_are_compared_only_where_there_are_two() -> None:
    names = [view.name for view in views_of([RELU], devices=("cpu", "cuda"))]
    assert names == ["Drop rates", "Why zeros are zero", "Dead units", "Devices", "Cost"]


def test_costs_are_those_of_a_network_a_stack_and_compared_only_where_there_are_two() -> None:
    def cost(*stacks: str) -> View:
        return views_of([RELU], search="all", stacks=stacks)[-1]

    assert cost("a", "b").search == any_of(["a", "b"])
    kinds = [{chart["type"] for chart in cost(*stacks).charts} for stacks in ("a", "ab")]
    assert kinds == [{"LINE"}, {"LINE", "BAR"}]


def test_networks_without_relu_have_no_view_of_dead_units() -> None:
    others = [Recipe(activation=kind) for kind in ("none", "sigmoid", "leaky_relu")]
    assert "Dead units" not in {view.name for view in views_of(others)}
    assert "Dead units" in {view.name for view in views_of([*others, RELU])}


def test_options_are_columns_only_where_networks_differ_in_them() -> None:
    others = [Recipe(init="he", max_norm=2.0), Recipe(init="default", max_norm=2.0)]
    always = ("drop_rate", "seed", "activation", "learning_rate")
    assert views_of([RELU])[0].parameters == always
    assert views_of(others)[0].parameters == (*always, "init")


def test_every_section_asks_a_question_that_a_laptop_shows_whole() -> None:
    for view in views_of([RELU], devices=("cpu", "cuda"), stacks=("a", "b")):
        for section in view.sections:
            assert section.title.endswith("?")
            assert len(section.title) <= 14
            assert section.columns <= 2


def test_the_layers_are_those_of_the_deepest_network() -> None:
    deep = Recipe(widths=(8, 8, 8))
    [dead] = [v for v in views_of([RELU, deep]) if v.name == "Dead units"]
    assert {"dead/h1", "dead/h2", "dead/h3"} < set(metrics_of(dead))
    assert "dead/h4" not in set(metrics_of(dead))


def test_no_view_shows_the_test_set() -> None:
    shown = {name for view in views_of([RELU]) for name in metrics_of(view)}
    assert not [name for name in shown if name.startswith("test/")]


def test_every_metric_of_every_view_is_one_that_a_network_logs(
    client: MlflowClient,
    tracker: Tracker,
    make_networks: Callable[[Tracker, list[Recipe]], list[str]],
) -> None:
    runs = make_networks(tracker, [RELU])
    logged = client.get_run(runs[0]).data
    for view in views_of(
        [RELU], search=any_of(runs), devices=("cpu", "cuda"), stacks=(runs[0], "other")
    ):
        assert {n for n in metrics_of(view) if n[:6] != "system"} <= logged.metrics.keys()
        assert set(view.parameters) <= logged.params.keys()
        assert set(view.tags) <= logged.tags.keys()


@pytest.mark.parametrize("name", ["cpu_utilization_percentage", "system_memory_usage_megabytes"])
def test_the_machine_is_watched_under_the_names_that_mlflow_gives(name: str) -> None:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor  # noqa: PLC0415

    monitor = CPUMonitor()
    monitor.collect_metrics()
    assert name in monitor.aggregate_metrics()
    cost = views_of([RELU])[-1]
    assert f"system/{name}" in set(metrics_of(cost))


def test_inputs_and_recycling_are_shown_where_networks_have_them() -> None:
    ours = replace(RELU, input_drop_rate=0.2, recycle_every=1)
    views = {view.name: view for view in views_of([RELU, ours])}
    assert {"input_drop_rate", "recycle_every"} <= set(views[DROP_RATES].parameters)
    assert {"zero/input", "zero_dropped/input", "zero_inactive/input"} <= set(
        metrics_of(views["Why zeros are zero"])
    )
    assert {"recycled/h1", "recycled/h2"} <= set(metrics_of(views["Dead units"]))
    for view in views_of([RELU]):
        assert not [name for name in metrics_of(view) if "input" in name or "recycled" in name]
        assert "input_drop_rate" not in view.parameters
