"""The explorer where it is left and made: in the runs of steps, and by a command."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

pytestmark = pytest.mark.slow
Pipeline = Callable[..., int]
Runs = Callable[..., list[Run]]
SETTINGS = ("--epochs", "1", "--widths", "8", "--holdout", "100", "--batch-size", "50")


def test_a_sweep_leaves_its_page_and_the_command_makes_one_of_any_of_its_networks(
    pipeline: Pipeline,
    runs: Runs,
    store: str,
    small: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shared = (*SETTINGS, "--data", small)
    assert pipeline("sweep", "--drop-rates", "0,0.5", "--seeds", "0", *shared) == 0
    [step] = runs(step="sweep", kind="step")
    client = MlflowClient(store)
    left = Path(client.download_artifacts(step.info.run_id, "explorer.html")).read_text("utf-8")
    assert left.count('"drop_rate":') == 2
    link = f"runs/{step.info.run_id}/artifacts/explorer.html"
    assert link in step.data.tags["mlflow.note.content"]
    first, second = (run.info.run_id for run in runs(kind="network"))
    assert pipeline("explore", first, second, "--data", small, "--out", "pair.html") == 0
    made = Path("pair.html").read_text("utf-8")
    assert made.count('"drop_rate":') == 2
    assert pipeline("explore", "sweep:latest", "--data", small) == 0
    assert Path("explorer.html").read_text("utf-8").count('"drop_rate":') == 2
    capsys.readouterr()
    # The set of a folder is not known by its name.
    assert pipeline("explore", first) == 1
    assert "data set that the network was trained on" in capsys.readouterr().err
    assert pipeline("explore", first, first, first) == 2
    assert "one network, or two to compare, got 3" in capsys.readouterr().err
    assert pipeline("explore", first, "--data", small, "--out", "nowhere/page.html") == 1
    assert "make nowhere first" in capsys.readouterr().err
    assert pipeline("explore", first, "--data", small, "--out", "~nosuchuser/page.html") != 0
    assert capsys.readouterr().err.count("\n") == 1

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        assert pipeline("explore", first, "--data", small, "--out", "pair.html") == 1
    assert "got pair.html (No space left on device)" in capsys.readouterr().err
    assert Path("pair.html").read_text("utf-8") == made


def test_mnist_leaves_the_page_of_its_network(
    pipeline: Pipeline, runs: Runs, store: str, small: Path
) -> None:
    assert pipeline("mnist", *SETTINGS, "--data", small) == 0
    [step] = runs(step="mnist", kind="step")
    names = {item.path for item in MlflowClient(store).list_artifacts(step.info.run_id)}
    assert "explorer.html" in names
    assert "artifacts/explorer.html" in step.data.tags["mlflow.note.content"]
