"""The steps `prepare`, `toy` and `main`, on real files and a real store."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from safetensors import safe_open
from safetensors.numpy import load_file

from pipeline.errors import Interrupted

pytestmark = pytest.mark.slow

Runs = Callable[..., list[Run]]
Pipeline = Callable[..., int]
ROOT = Path(__file__).parent.parent.parent


def test_prepare_writes_the_data_and_logs_what_they_look_like(
    pipeline: Pipeline, runs: Runs, store: str, small: Path
) -> None:
    assert pipeline("prepare", "--dataset", "mine", "--source", small) == 0
    assert load_file("prepared/mine.safetensors")["train_images"].shape == (300, 6, 5)
    [run] = runs(step="prepare")
    assert run.info.run_name == "prepare mine"
    found = {i.path for i in MlflowClient(store).list_artifacts(run.info.run_id, "plots")}
    assert found == {"plots/samples.png", "plots/class_means.png"}
    assert run.data.metrics == {"training_images": 300, "test_images": 60, "classes": 3}
    [dataset] = run.inputs.dataset_inputs
    assert dataset.dataset.name == "mine"
    assert pipeline("mnist", "--data", "mine", "--epochs", 0, "--holdout", 20) == 0


def test_preparing_twice_logs_the_pictures_once(
    pipeline: Pipeline, runs: Runs, small: Path
) -> None:
    for _ in range(2):
        assert pipeline("prepare", "--dataset", "mine", "--source", small) == 0
    first, second = runs(step="prepare")
    assert first.info.run_id in second.data.tags["mlflow.note.content"]
    assert second.data.tags["outcome"] == "finished"


def test_a_damaged_file_is_one_line_and_neither_a_run_nor_a_file(
    pipeline: Pipeline, runs: Runs, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cut short"
    folder.mkdir()
    for path in small.iterdir():
        (folder / path.name).write_bytes(path.read_bytes()[:-1])
    assert pipeline("prepare", "--dataset", "mine", "--source", folder) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "cut short" in line
    assert runs() == []
    assert not list(tmp_path.glob("prepared/**/*.safetensors"))


def test_the_toy_logs_three_networks_by_update_and_one_trace(
    pipeline: Pipeline, runs: Runs, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pipeline("toy", "--epochs", 2) == 0
    shown = capsys.readouterr().out
    assert "dead, born dead" in shown
    assert "mean of the logits over all 64 masks differs from evaluation mode" in shown
    networks = runs(kind="network", step="toy")
    assert [run.data.tags["arm"] for run in networks] == ["relu", "relu+dropout", "dropout"]
    client = MlflowClient(store)
    for run in networks:
        points = client.get_metric_history(run.info.run_id, "train/loss")
        assert [point.step for point in points] == list(range(1, 21))
    [step] = runs(kind="step", step="toy")
    logged = {item.path for item in client.list_artifacts(step.info.run_id)}
    assert logged == {"toy.html", "trace.safetensors", "units.md"}
    path = client.download_artifacts(step.info.run_id, "trace.safetensors")
    with safe_open(path, framework="numpy") as trace:
        assert trace.metadata()["arms"] == "relu,relu+dropout,dropout"
        assert trace.get_tensor("relu+dropout/h1/mask").shape == (20, 3)


def test_a_toy_that_diverges_fails_with_arm_and_update(
    pipeline: Pipeline, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pipeline("toy", "--learning-rate", "1e30") == 1
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "got NaN or infinity in the" in shown
    [step] = runs()
    assert step.data.tags["outcome"] == "failed"
    assert "at update" in step.data.tags["reason"]


def test_a_toy_with_huge_weights_is_no_broken_identity(pipeline: Pipeline, runs: Runs) -> None:
    assert pipeline("toy", "--learning-rate", "0.05", "--epochs", 3, "--init", "random") == 0
    assert runs(step="toy", kind="step")[0].data.tags["outcome"] == "finished"


def test_the_same_toy_is_not_run_again(
    pipeline: Pipeline, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert pipeline("toy") == 0
    assert len(runs(kind="network")) == 3
    assert "force=true runs it again" in capsys.readouterr().out


@pytest.mark.parametrize("dies_in", [0, 1, 2])
def test_a_toy_that_was_killed_while_it_logged_leaves_no_second_networks(
    pipeline: Pipeline, runs: Runs, store: str, monkeypatch: pytest.MonkeyPatch, dies_in: int
) -> None:
    left, log_batch = [dies_in], MlflowClient.log_batch

    def log_a_part(self: MlflowClient, run_id: str, **given: Any) -> None:  # noqa: ANN401
        metrics = given.get("metrics", ())
        if len(metrics) > 1:
            left[0] -= 1
        if left[0] < 0 and len(metrics) > 1:
            log_batch(self, run_id, metrics=metrics[: len(metrics) // 3])
            raise Interrupted(15)
        log_batch(self, run_id, **given)

    with monkeypatch.context() as killed:
        killed.setattr(MlflowClient, "log_batch", log_a_part)
        assert pipeline("toy", "--epochs", 1) == 143
    assert [run.info.status for run in runs(kind="network")] == ["FINISHED"] * dies_in + ["KILLED"]
    assert pipeline("toy", "--epochs", 1) == 0
    networks = runs(kind="network")
    assert [run.info.status for run in networks] == ["FINISHED"] * 3
    client = MlflowClient(store)
    for run in networks:
        for key in run.data.metrics:
            steps = [point.step for point in client.get_metric_history(run.info.run_id, key)]
            assert steps
            assert len(steps) == len(set(steps)), key
        losses = client.get_metric_history(run.info.run_id, "train_eval/loss")
        assert len(losses) == 11  # before the first update, and after each of ten
    assert pipeline("toy", "--epochs", 1, "--force", "true") == 0
    assert len(runs(kind="network")) == 6


def test_main_compares_its_drop_rates_and_says_where_to_look(
    pipeline: Pipeline, runs: Runs, small: Path, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--data", small, "--epochs", 1, "--holdout", 50, "--drop-rates", "0,0.25,0.5")
    assert pipeline("main", *arguments) == 0
    shown = capsys.readouterr().out
    networks = runs(kind="network", step="main")
    assert [run.data.params["drop_rate"] for run in networks] == ["0", "0.25", "0.5"]
    assert {run.data.tags["stack_size"] for run in networks} == {"3"}
    [step] = runs(step="main", kind="step")
    described = step.data.tags["mlflow.note.content"]
    assert "on the held-out images" in described
    assert all(run.info.run_id in described for run in networks)
    assert "mlflow ui" in shown
    assert "viewStateShareKey=why-zero-drop-rates" in shown.splitlines()[-1]
    client = MlflowClient(store)
    kept = client.get_experiment(step.info.experiment_id).tags
    assert "mlflow.sharedViewState.why-zero-drop-rates" in kept
    assert pipeline("main", *arguments) == 0
    assert len(runs(kind="network", step="main")) == 3
    assert "already trained" in capsys.readouterr().out


def test_a_rate_given_twice_is_one_network(pipeline: Pipeline, runs: Runs, small: Path) -> None:
    arguments = ("--epochs", 0, "--holdout", 50, "--drop-rates", "0.5,0.50")
    assert pipeline("main", "--data", small, *arguments) == 0
    assert len(runs(kind="network", step="main")) == 1


def test_more_held_out_than_there_is_stops_main_before_the_toy(
    pipeline: Pipeline, runs: Runs, small: Path
) -> None:
    assert pipeline("main", "--data", small, "--holdout", 300) == 2
    assert runs() == []


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("--drop-rate", "1.5"), 2, "drop_rate must be a number in [0, 1), or one for each"),
        (("--data", "mnits"), 2, "data must be one of "),
        (("--rate", "0.5"), 2, "No such option '--rate'"),
        (("--device", "cuda:7"), 1, "device must be on this machine"),
    ],
)
def test_a_mistake_under_mlflow_run_leaves_its_reason_in_the_run(
    pipeline: Pipeline,
    runs: Runs,
    store: str,
    experiment: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    arguments: tuple[str, ...],
    code: int,
    reason: str,
) -> None:
    client = MlflowClient(store)
    opened = client.create_run(client.create_experiment(experiment))
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.info.run_id)
    assert pipeline("mnist", *arguments) == code
    [run] = runs()
    assert run.info.status == "FAILED"
    assert run.data.tags["outcome"] == "mistake"
    assert run.data.tags["reason"].startswith(reason)


@pytest.mark.parametrize(
    "mistake",
    [
        ("mnist", "--drop-rate", "1.5"),
        ("mnist", "--data", "mnits"),
        ("sweep", "--data", "mnits"),
        ("sweep", "--holdout", "60000"),
        ("main", "--holdout", "60000"),
        ("prepare", "--dataset", "mine", "--source", "nowhere"),
        ("compare", "--sweep", "abc"),
        ("register", "--from", "run:abc"),
        ("compact", "--from", "sweep:abc"),
        ("export", "--model", "models:/none/1"),
        ("import", "--bundle", "nowhere"),
        ("open", "abc"),
    ],
    ids=" ".join,
)
def test_a_mistake_makes_no_run(
    pipeline: Pipeline, runs: Runs, mistake: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert pipeline(*mistake) in {1, 2}
    assert capsys.readouterr().err.count("\n") == 1
    assert runs() == []


def test_a_server_that_does_not_answer_fails_at_once_and_writes_nothing(
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert pipeline("main") == 1
    assert "http://127.0.0.1:9" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_mlflow_run_runs_a_step_in_the_run_that_it_opened(runs: Runs, experiment: str) -> None:
    command = ["run", str(ROOT), "--env-manager", "local", "-e", "toy", "-P", "drop_rate=0.50"]
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", *command, "-P", "epochs=2"],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert experiment
    [step] = runs(kind="step")
    assert step.info.status == "FINISHED"
    assert step.data.params["drop_rate"] == "0.50"
    assert [run.data.params["drop_rate"] for run in runs(kind="network")] == ["0", "0.5", "0.5"]
    assert step.data.tags["outcome"] == "finished"
