"""The step `sweep`, on real files and a real store, killed and gone on with."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.config.options import SweepSettings
from pipeline.config.recipe import Recipe
from pipeline.config.settings import canonical, parsed
from pipeline.console import Console
from pipeline.errors import PipelineError, UsageError
from pipeline.fit import Fitted, fitting, members
from pipeline.records import EpochRecord
from pipeline.steps.sweep import _show_failures, recipes_of
from pipeline.training import device as devices
from pipeline.training.stack import Stack
from pipeline.workers import job

pytestmark = pytest.mark.slow

Runs = Callable[..., list[Run]]
Pipeline = Callable[..., int]
Points = dict[str, list[tuple[int, float]]]
ROOT = Path(__file__).parent.parent.parent
QUICK = (
    *("--devices", "cpu", "--epochs", "2", "--widths", "6,4", "--batch-size", "50"),
    *("--holdout", "50", "--probe-every", "1", "--mask-passes", "1"),
)
# Kills the process at the given write to the store, as SIGKILL from outside would.
DYING = """
import os, signal, sys
from pipeline.cli import commands
from pipeline.tracking.store import Store

writing, left = Store.writing, [int(sys.argv[1])]

def dying(self):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return writing(self)

Store.writing = dying
sys.exit(commands.run(sys.argv[2:]))
"""


@pytest.fixture
def quick(pipeline: Pipeline, small: Path) -> Pipeline:
    return lambda *arguments: pipeline("sweep", "--data", small, *QUICK, *arguments)


def points(store: str, run: Run) -> Points:
    """Every metric that does not depend on the clock, with all its points."""
    client = MlflowClient(store)
    return {
        key: sorted((p.step, p.value) for p in client.get_metric_history(run.info.run_id, key))
        for key in run.data.metrics
        if not key.startswith(("speed/", "system/"))
    }


def model_points(store: str, run: Run) -> set[tuple[str, int, float]]:
    """The metrics of the run's model that do not depend on the clock."""
    [output] = run.outputs.model_outputs
    metrics = MlflowClient(store).get_logged_model(output.model_id).metrics
    assert "test/accuracy" in {metric.key for metric in metrics}
    return {(m.key, m.step, m.value) for m in metrics if not m.key.startswith("speed/")}


def artifact_count(store: str, run: Run, folder: str | None = None) -> int:
    items = MlflowClient(store).list_artifacts(run.info.run_id, folder)
    return sum(artifact_count(store, run, i.path) if i.is_dir else 1 for i in items)


def test_a_sweep_trains_one_network_for_each_combination_in_stacks(
    quick: Pipeline, runs: Runs
) -> None:
    axes = ("--drop-rates", "0:0.4:0.2", "--seeds", "0-1", "--learning-rates", "0.001,0.01")
    assert quick(*axes, "--epochs", 0) == 0
    networks = runs(kind="network", outcome="finished")
    assert len(networks) == 12
    assert {run.data.tags["stack_size"] for run in networks} == {"6"}
    assert {run.data.params["drop_rate"] for run in networks} == {"0", "0.2", "0.4"}
    [step] = runs(kind="step", outcome="finished")
    assert {run.data.tags["sweep"] for run in networks} == {step.info.run_id}
    assert any(run.info.run_name.startswith("p=0.2 s1 w=6-4 lr=0.01 ") for run in networks)


@pytest.mark.kill
def test_a_killed_sweep_goes_on_where_it_was_without_duplicates(
    small: Path, runs: Runs, store: str, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [
        *(sys.executable, "-c", DYING),
        *("{}", "sweep", "--data", str(small), *QUICK, "--drop-rates", "0,0.5", "--seeds", "0-1"),
    ]

    def start(dies_at: int) -> int:
        done = subprocess.run(
            [part.format(dies_at) for part in command],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            check=False,
        )
        return done.returncode

    # While runs are opened, in the first epoch, in a later one, and while networks are published.
    assert [start(n) for n in (12, 45, 40, 70)] == [-signal.SIGKILL] * 4
    assert start(10**6) == 0
    killed = runs(kind="network")
    steps = runs(kind="step")
    assert [run.info.status for run in steps] == ["KILLED"] * 4 + ["FINISHED"]
    assert list(Path("checkpoints").iterdir()) == []
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", f"{experiment} undisturbed")
    assert start(10**6) == 0
    client = MlflowClient(store)
    other = client.get_experiment_by_name(f"{experiment} undisturbed")
    assert other is not None
    undisturbed = client.search_runs(
        [other.experiment_id], "tags.kind = 'network'", order_by=["attributes.start_time ASC"]
    )
    assert len(killed) == len(undisturbed) == 4
    for run, expected in zip(killed, undisturbed, strict=True):
        assert run.info.run_name == expected.info.run_name
        assert run.info.status == "FINISHED"
        assert points(store, run) == points(store, expected)
        assert artifact_count(store, run) == artifact_count(store, expected)
        assert len(run.outputs.model_outputs) == len(expected.outputs.model_outputs) == 1
        assert model_points(store, run) == model_points(store, expected)
        system = client.get_metric_history(run.info.run_id, "system/cpu_utilization_percentage")
        assert len({point.step for point in system}) == len(system)


def test_a_network_that_fails_does_not_stop_the_others_and_is_told_with_its_reason(
    quick: Pipeline, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    axes = ("--optimizers", "sgd", "--learning-rates", "0.01,1e30", "--drop-rates", "0,0.5")
    assert quick(*axes, "--seeds", 0) == 1
    shown = capsys.readouterr()
    assert "2 networks failed, 2 finished" in shown.out
    assert "give a smaller learning_rate" in shown.out
    assert "2 of 4 networks failed" in shown.err
    assert len(runs(kind="network", outcome="finished")) == 2
    assert len(runs(kind="network", outcome="failed")) == 2
    [step] = runs(kind="step")
    assert step.data.tags["outcome"] == "failed"


def test_a_reason_with_brackets_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    failures = {"p=0.5 [a]": "no file [/x] here [bold]"}
    _show_failures(Fitted(results=[], failures=failures), Console())
    shown = capsys.readouterr().out
    assert "p=0.5 [a]" in shown
    assert "no file [/x] here [bold]" in shown


def test_a_stack_that_does_not_fit_is_halved_and_its_runs_are_tagged(
    quick: Pipeline, runs: Runs, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = job.epochs

    def scarce(stack: Stack, *rest: object, **named: object) -> Iterator[tuple[EpochRecord, ...]]:
        for records in epochs(stack, *rest, **named):  # type: ignore[arg-type]
            yield records
            if len(stack.recipes) > 2 and records[0].epoch == 1:
                raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(job, "epochs", scarce)
    assert quick("--drop-rates", "0,0.5", "--seeds", "0-1") == 0
    networks = runs(kind="network")
    assert [run.data.tags["outcome"] for run in networks] == ["finished"] * 4
    assert {run.data.tags["stack_halved"] for run in networks} == {"true"}
    assert {run.data.tags["stack_size"] for run in networks} == {"2"}
    for run in networks:
        assert [step for step, _ in points(store, run)["val/loss"]] == [0, 1, 2]


def test_a_network_that_does_not_fit_alone_fails_with_the_rule(
    quick: Pipeline,
    runs: Runs,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def none_left(*_: object, **__: object) -> Iterator[tuple[EpochRecord, ...]]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(job, "epochs", none_left)
    assert quick("--drop-rates", "0,0.5", "--seeds", 0) == 1
    assert "must fit into the memory of cpu" in capsys.readouterr().out
    assert [run.data.tags["outcome"] for run in runs(kind="network")] == ["failed"] * 2


def test_stacks_on_two_devices_train_side_by_side(
    quick: Pipeline, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = torch.device("cpu", 0)  # another name of the same processor
    monkeypatch.setattr(
        devices, "resolve", lambda name: second if name == "mps" else torch.device(name)
    )
    assert quick("--drop-rates", "0.5", "--seeds", "0-1", "--devices", "cpu,mps") == 0
    networks = runs(kind="network", outcome="finished")
    assert sorted(run.data.params["device"] for run in networks) == ["cpu"] * 2 + ["cpu:0"] * 2
    by_name = {run.info.run_name: run.data.metrics["val/loss"] for run in networks}
    for seed in (0, 1):
        name = f"p=0.5 s{seed} w=6-4 batch=50 epochs=2 holdout=50 probe=1 masks=1 small0"
        # To rounding: two threads of Python may share the processor's threads unevenly.
        assert by_name[f"{name} cpu"] == pytest.approx(by_name[f"{name} cpu:0"], rel=1e-4)


def test_what_could_not_be_published_is_published_once_more_without_training(
    quick: Pipeline, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, refused = members.publish, []

    def refuse_once(run: object, recipe: Recipe, **rest: object) -> object:
        if not refused:
            refused.append(recipe)
            raise PipelineError("the disk must have room, got none: make room")
        return publish(run, recipe, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(members, "publish", refuse_once)
    assert quick("--drop-rates", "0,0.5", "--seeds", 0) == 1
    [failed] = runs(kind="network", outcome="failed")
    assert quick("--drop-rates", "0,0.5", "--seeds", 0) == 0
    assert [run.data.tags["outcome"] for run in runs(kind="network")] == ["finished"] * 2
    assert failed.info.run_id in {run.info.run_id for run in runs(outcome="finished")}


def test_momentum_goes_to_sgd_alone() -> None:
    settings = parsed(SweepSettings, {"optimizers": "adam,sgd", "momentum": "0.9", "seeds": "0"})
    found = {(recipe.optimizer, recipe.momentum) for recipe in recipes_of(settings)}
    assert found == {("adam", 0.0), ("sgd", 0.9)}
    with pytest.raises(UsageError, match="momentum must be 0 without sgd"):
        recipes_of(parsed(SweepSettings, {"momentum": "0.9"}))


def test_recycling_goes_to_relus_alone() -> None:
    given = {"activations": "relu,sigmoid", "recycle_every": "2", "seeds": "0"}
    found = {(r.activation, r.recycle_every) for r in recipes_of(parsed(SweepSettings, given))}
    assert found == {("relu", 2), ("sigmoid", 0)}
    with pytest.raises(UsageError, match="recycle_every must be 0 without relu"):
        recipes_of(parsed(SweepSettings, {**given, "activations": "none,sigmoid"}))


def test_every_option_of_a_network_is_an_axis() -> None:
    axes = {
        "activations": ("relu", "none", "sigmoid", "leaky_relu"),
        "inits": ("default", "he", "normal:0.01"),
        "zero_biases": (False, True),
        "scalings": ("unit", "symmetric", "standard"),
        "max_norms": (0.0, 2.0),
        "learning_rate_decays": (1.0, 0.998),
    }
    texts = {name: canonical(values) for name, values in axes.items()}
    found = recipes_of(parsed(SweepSettings, {**texts, "seeds": "0", "drop_rates": "0.5"}))
    assert [
        (r.activation, r.init, r.zero_biases, r.scaling, r.max_norm, r.learning_rate_decay)
        for r in found
    ] == list(itertools.product(*axes.values()))
    assert len({recipe.name for recipe in found}) == len(found) == 288


def test_what_another_process_has_finished_meanwhile_is_not_trained_again(
    quick: Pipeline, runs: Runs, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same line comes a second time while the first trains the first of its two stacks."""
    axes = ("--learning-rates", "0.001,0.01", "--drop-rates", "0", "--seeds", "0")
    conduct, second = fitting.conduct, list[int]()

    def overtaken(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever `conduct` takes
        if not second:
            second.append(-1)
            second[0] = quick(*axes)
        return conduct(*given, **named)

    monkeypatch.setattr(fitting, "conduct", overtaken)
    assert quick(*axes) == 0
    assert second == [1]  # the first stack is not its to train
    networks = runs(kind="network")
    assert [run.data.tags["outcome"] for run in networks] == ["finished"] * 2
    for run in networks:
        assert [step for step, _ in points(store, run)["val/loss"]] == [0, 1, 2]
    assert list(Path("checkpoints").iterdir()) == []


def test_failures_of_one_name_are_both_counted_and_one_reason_is_said_once() -> None:
    reasons = {"a": "too large", "b": "too large", "c": "NaN"}
    with pytest.raises(PipelineError, match=r"^3 of 3 networks failed: a, b: too large; c: NaN$"):
        Fitted(results=[], failures=reasons).complete()


def test_a_slip_of_the_pen_does_not_fill_the_memory() -> None:
    axes = {"drop_rates": "0:0.999:0.001", "seeds": "0-999"}
    with pytest.raises(UsageError, match=r"at most 10,000 networks, got 1,000,000"):
        recipes_of(parsed(SweepSettings, axes))


def test_recycling_is_an_axis_of_the_networks_that_can_recycle() -> None:
    axes = {
        "activations": "relu,none",
        "recycle_every": "0,2",
        "recycle_below": "0,0.1",
        "drop_rates": "0.5,0.5-0.5-0.2-0.2-0,0.5-0.5-0.5-0.5-0.5",
        "input_drop_rates": "0,0.2",
        "seeds": "0",
    }
    recipes = recipes_of(parsed(SweepSettings, axes))
    found = {(r.activation, r.recycle_every, r.recycle_below) for r in recipes}
    # A linear network has nothing to recycle, and without recycling there is no threshold.
    assert found == {("relu", 0, 0.0), ("relu", 2, 0.0), ("relu", 2, 0.1), ("none", 0, 0.0)}
    assert {r.drop_rate for r in recipes} == {0.5, (0.5, 0.5, 0.2, 0.2, 0.0)}
    assert len(recipes) == len(set(recipes)) == 4 * 2 * 2
    with pytest.raises(
        UsageError, match=r"recycle_below must be 0 with recycle_every=0, got 0,0\.1"
    ):
        recipes_of(parsed(SweepSettings, {"recycle_below": "0,0.1"}))


def test_rates_by_layer_input_dropout_and_recycling_train_in_one_stack(
    quick: Pipeline, runs: Runs, store: str
) -> None:
    axes = ("--drop-rates", "0,0.5-0.2-0", "--input-drop-rates", "0,0.2", "--seeds", "0")
    assert quick(*axes, "--recycle-every", "0,1", "--recycle-below", "0.1") == 0
    networks = runs(kind="network", outcome="finished")
    assert len(networks) == 8
    assert {run.data.tags["stack_size"] for run in networks} == {"8"}
    assert {run.data.params["drop_rate"] for run in networks} == {"0", "0.5-0.2-0"}
    for run in networks:
        drops_inputs = run.data.params["input_drop_rate"] == "0.2"
        assert ("zero_dropped/input" in run.data.metrics) == drops_inputs
        recycles = run.data.params["recycle_every"] == "1"
        history = MlflowClient(store).get_metric_history(run.info.run_id, "recycled/h1")
        assert [point.step for point in history] == [2] * recycles
    # The same again trains nothing.
    assert quick(*axes, "--recycle-every", "0,1", "--recycle-below", "0.1") == 0
    assert len(runs(kind="network")) == 8
