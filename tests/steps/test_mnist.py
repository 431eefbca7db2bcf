"""The step `mnist`, on real files and a real store."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from safetensors.numpy import load_file

from pipeline.config.recipe import Recipe
from pipeline.errors import PipelineError
from pipeline.fit import members
from pipeline.records import EpochRecord
from pipeline.training import loop
from pipeline.workers import job

pytestmark = pytest.mark.slow

Runs = Callable[..., list[Run]]
Pipeline = Callable[..., int]
ROOT = Path(__file__).parent.parent.parent
QUICK = (
    "--device",
    "cpu",
    "--epochs",
    2,
    "--widths",
    "12,8",
    "--batch-size",
    20,
    "--holdout",
    50,
    "--probe-every",
    1,
)


def artifacts(store: str, run: Run, folder: str = "") -> set[str]:
    return {item.path for item in MlflowClient(store).list_artifacts(run.info.run_id, folder)}


@pytest.fixture
def quick(pipeline: Pipeline, small: Path) -> Pipeline:
    return lambda *arguments: pipeline("mnist", "--data", small, *QUICK, *arguments)


@pytest.mark.parametrize("cuda_graphs", ["true", "false"])
def test_cuda_graphs_are_a_matter_of_how_and_never_of_what_is_trained(
    quick: Pipeline, runs: Runs, monkeypatch: pytest.MonkeyPatch, cuda_graphs: str
) -> None:
    asked = []

    def epochs(*stack: object, **how: object) -> Iterator[tuple[EpochRecord, ...]]:
        asked.append(how["cuda_graphs"])
        return loop.epochs(*stack, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(job, "epochs", epochs)
    assert quick("--cuda-graphs", cuda_graphs) == 0
    assert asked == [cuda_graphs == "true"]
    [network] = runs(kind="network")
    assert "cuda_graphs" not in network.data.params
    # The same network however its updates are started, so it is not trained again.
    assert quick("--cuda-graphs", "true") == quick("--cuda-graphs", "false") == 0
    assert len(asked) == 1


def test_a_network_s_run_holds_all_that_it_should(
    quick: Pipeline, runs: Runs, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quick("--drop-rate", "0.50") == 0
    [network] = runs(kind="network")
    [step] = runs(kind="step")
    assert network.info.status == step.info.status == "FINISHED"
    name = "p=0.5 s0 w=12-8 batch=20 epochs=2 holdout=50 probe=1 small0"
    assert network.info.run_name == name
    assert "mlflow.parentRunId" not in network.data.tags
    assert step.data.metrics["networks"] == 1
    assert step.data.metrics["chosen/drop_rate"] == 0.5
    assert step.data.metrics["chosen/val_accuracy"] == network.data.metrics["val/accuracy"]
    # Of 12 and 8 units.
    dead = 12 * network.data.metrics["dead/h1"] + 8 * network.data.metrics["dead/h2"]
    assert step.data.metrics["chosen/dead_share"] == pytest.approx(dead / 20)
    assert network.data.tags["pipeline"] == step.info.run_id
    assert {key: network.data.tags[key] for key in ("step", "arm", "outcome", "stack_size")} == {
        "step": "mnist",
        "arm": "relu+dropout",
        "outcome": "finished",
        "stack_size": "1",
    }
    for key, value in {
        "activation": "relu",
        "drop_rate": "0.5",
        "output_dropout": "true",
        "widths": "12,8",
        "optimizer": "adam",
        "learning_rate": "0.001",
        "batch_size": "20",
        "epochs": "2",
        "seed": "0",
        "device": "cpu",
        "precision": "float32",
        "dataset": "small0",
        "holdout": "50",
    }.items():
        assert network.data.params[key] == value
    assert len(network.data.params["dataset_digest"]) == 32
    client = MlflowClient(store)
    for key, epochs in (
        ("train/loss", [1, 2]),
        ("train_eval/accuracy", [0, 1, 2]),
        ("val/loss", [0, 1, 2]),
        ("zero_dropped/h1", [0, 1, 2]),
        ("zero_inactive/h2", [0, 1, 2]),
        ("zero/logits", [0, 1, 2]),
        ("dead/h2", [0, 1, 2]),
        ("born_dead/h1", [0, 1, 2]),
        ("gradient_norm/h1", [1, 2]),
        ("speed/epoch_seconds", [1, 2]),
        ("test/accuracy", [2]),
    ):
        points = client.get_metric_history(network.info.run_id, key)
        assert [point.step for point in points] == epochs, key
    assert "system/cpu_utilization_percentage" in network.data.metrics
    assert artifacts(store, network) >= {
        "confusion.csv",
        "history.safetensors",
        "plots",
        "state_dict.safetensors",
        "summary.txt",
        "validation_right.safetensors",
    }
    summary = client.download_artifacts(network.info.run_id, "summary.txt")
    assert "mult-adds (M)" in Path(summary).read_text(encoding="utf-8")
    assert artifacts(store, network, "plots") == {
        f"plots/{name}.png"
        for name in (
            "confusion",
            "firing_rates",
            "first_weights",
            "gradients",
            "learning_curves",
            "lives",
            "sample_map",
            "units",
            "zero_causes",
        )
    }
    [dataset] = network.inputs.dataset_inputs
    assert dataset.dataset.digest == network.data.params["dataset_digest"]
    shown = capsys.readouterr().out
    for epoch in range(3):
        assert f"epoch  {epoch}/2" in shown
    assert "done in " in shown


def test_the_logged_model_and_state_dict_are_the_network_that_was_tested(
    quick: Pipeline, runs: Runs, store: str, small: Path
) -> None:
    assert quick() == 0
    [network] = runs(kind="network")
    [logged] = network.outputs.model_outputs
    model = mlflow.pytorch.load_model(f"models:/{logged.model_id}")
    images = np.frombuffer((small / "t10k-images-idx3-ubyte").read_bytes()[16:], np.uint8)
    labels = np.frombuffer((small / "t10k-labels-idx1-ubyte").read_bytes()[8:], np.uint8)
    x = images.reshape(60, 1, 6, 5).astype(np.float32) / 255
    logits = model(torch.from_numpy(x))
    right = (logits.argmax(1).numpy() == labels).mean()
    assert network.data.metrics["test/accuracy"] == pytest.approx(right)
    for batch in (1, 7):
        torch.testing.assert_close(model(torch.from_numpy(x[:batch])), logits[:batch])
    folder = MlflowClient(store).download_artifacts(network.info.run_id, "state_dict.safetensors")
    y = x.reshape(60, 30)
    state = load_file(folder)
    for number in (1, 2, 3):
        y = y @ state[f"linear{number}.weight"].T + state[f"linear{number}.bias"]
        y = np.maximum(y, 0) if number < 3 else y
    np.testing.assert_allclose(logits.detach().numpy(), y, rtol=1e-4, atol=1e-5)


def test_what_has_finished_is_not_trained_again_unless_forced(
    quick: Pipeline, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quick("--drop-rate", "0.5") == 0
    assert quick("--drop-rate", "0.50") == 0
    [first] = runs(kind="network")
    assert f"already trained (run {first.info.run_id})" in capsys.readouterr().out
    assert len(runs(kind="step", outcome="finished")) == 2
    assert quick("--drop-rate", "0.5", "--force", "true") == 0
    assert quick("--drop-rate", "0.6") == 0
    assert len(runs(kind="network", outcome="finished")) == 3


def test_a_batch_of_everything_is_allowed(quick: Pipeline, runs: Runs) -> None:
    assert quick("--batch-size", 10**9) == 0
    [network] = runs(kind="network")
    assert network.data.tags["outcome"] == "finished"


def test_one_network_that_cannot_be_published_does_not_fail_the_others(
    pipeline: Pipeline,
    runs: Runs,
    small: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    publish = members.publish

    def refuse(run: object, recipe: Recipe, **rest: object) -> object:
        if recipe.drop_rate == 0.25:
            raise PipelineError("the disk must have room, got none: make room")
        return publish(run, recipe, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(members, "publish", refuse)
    arguments = ("--data", small, "--epochs", 0, "--holdout", 50, "--drop-rates", "0,0.25,0.5")
    assert pipeline("main", *arguments) == 1
    assert "1 of 3 networks failed: p=0.25 s0" in capsys.readouterr().err
    outcomes = [run.data.tags["outcome"] for run in runs(kind="network", step="main")]
    assert outcomes == ["finished", "failed", "finished"]


def test_no_epochs_make_a_census_of_the_network_as_born(quick: Pipeline, runs: Runs) -> None:
    assert quick("--epochs", 0) == 0
    [network] = runs(kind="network")
    assert "train/loss" not in network.data.metrics
    assert "dead/h1" in network.data.metrics
    assert "test/accuracy" in network.data.metrics


def test_without_hold_out_the_run_says_that_the_test_set_validates(
    quick: Pipeline, runs: Runs
) -> None:
    assert quick("--holdout", 0) == 0
    [network] = runs(kind="network")
    assert network.data.tags["validated_on"] == "test set"
    assert "Nothing was held out" in network.data.tags["mlflow.note.content"]
    assert network.data.metrics["val/accuracy"] == network.data.metrics["test/accuracy"]


def test_a_loss_that_is_no_longer_finite_fails_the_run_and_names_the_epoch(
    quick: Pipeline, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quick("--optimizer", "sgd", "--learning-rate", "1e30") == 1
    [network], [step] = runs(kind="network"), runs(kind="step")
    for run in (network, step):
        assert run.info.status == "FAILED"
        assert run.data.tags["outcome"] == "failed"
        assert "got NaN or infinity in epoch 1" in run.data.tags["reason"]
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "in epoch 1: give a smaller learning_rate" in shown


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_asked_for_and_not_there_is_an_error_and_trains_nothing(
    quick: Pipeline, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quick("--device", "cuda") == 1
    assert "device must be on this machine, got cuda" in capsys.readouterr().err
    assert runs() == []


def test_more_held_out_than_there_is_fails_with_the_rule(
    quick: Pipeline, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quick("--holdout", 300) == 2
    assert "holdout must be in [0, 300)" in capsys.readouterr().err
    assert runs() == []


def test_an_unknown_data_set_is_refused_with_the_known_ones(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pipeline("mnist", "--data", "mnits") == 2
    assert "fashion-mnist" in capsys.readouterr().err


@pytest.mark.kill
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_all_runs_as_killed_within_two_seconds(
    number: signal.Signals, runs: Runs, small: Path, experiment: str
) -> None:
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "mnist",
        "--data",
        str(small),
        "--epochs",
        "100000",
    ]
    process = subprocess.Popen(
        [*command, "--holdout", "50"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert experiment
    while "epoch  5/" not in process.stdout.readline():
        assert process.poll() is None
    started = time.monotonic()
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert time.monotonic() - started < 5  # two seconds on a machine that is not busy
    assert process.returncode == 128 + number
    said, again = error.strip().splitlines()
    assert said == "stopped; unfinished runs are marked as killed"
    assert again.startswith("to go on where it stopped:  python -m pipeline mnist --data ")
    assert len(runs()) == 2
    for run in runs():
        assert run.info.status == "KILLED"
        assert run.data.tags["outcome"] == "killed"
