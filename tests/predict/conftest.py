"""Two small networks of MNIST, trained and registered once: with dropout, and without."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline import cli
from pipeline.console import Console
from pipeline.data import ImageData, load
from pipeline.data.images import Part, assemble
from pipeline.fit import Workplace, fit
from pipeline.recipe import Recipe
from pipeline.tracking import FoundRun, Tracker, connect

MODEL = "models:/digits@champion"
UNMASKED = "models:/digits@unmasked"
# The narrow end is where units die: some are dead in what is tested.
RECIPES = [
    Recipe(widths=(32, 16, 12), epochs=3, batch_size=50, holdout=200, mask_passes=0, drop_rate=rate)
    for rate in (0.25, 0.0)
]


@pytest.fixture(scope="session")
def mnist() -> ImageData:
    return load("mnist")


@pytest.fixture(scope="session")
def tracker(mnist: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    """A store of its own with the models `MODEL` and `UNMASKED`."""
    folder = tmp_path_factory.mktemp("predict")
    few = assemble(
        "mnist",
        Part(mnist.train_images[:3000], mnist.train_labels[:3000]),
        test=Part(mnist.test_images[:300], mnist.test_labels[:300]),
        classes=mnist.classes,
        source="the first of MNIST",
        licence=mnist.licence,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        tracker = connect()
        place = Workplace(
            data=few,
            device=torch.device("cpu"),
            tracker=tracker,
            console=Console(),
            step="mnist",
            tags={},
        )
        for result, alias in zip(fit(RECIPES, place), ("champion", "unmasked"), strict=True):
            run = tracker.run(result.run_id)
            assert run.model is not None
            version = tracker.registry.create(
                "digits", run.model, run_id=run.id, tags={}, description=""
            )
            tracker.registry.point(alias, version)
    return tracker


@pytest.fixture
def run(tracker: Tracker) -> FoundRun:
    """The run that trained `MODEL`."""
    return tracker.run(tracker.registry.find(MODEL).run_id)


@pytest.fixture
def predict(
    tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Runs `predict` in this process, in a folder of the test's own, and returns its exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.uri)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: object, model: str = MODEL) -> int:
        return cli.run(["predict", "--model", model, *(str(argument) for argument in arguments)])

    return call


@pytest.fixture
def answers(
    predict: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[dict[str, Any]]]:
    """Runs `predict --format json` and returns what it wrote, line by line."""

    def call(*arguments: object, code: int = 0, model: str = MODEL) -> list[dict[str, Any]]:
        assert predict(*arguments, "--format", "json", model=model) == code
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return call
