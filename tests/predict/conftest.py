"""Two small networks of MNIST, made and registered once: with dropout, and without."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.cli import commands
from pipeline.config.recipe import Recipe
from pipeline.console import Console
from pipeline.data import ImageData, as_input, load
from pipeline.data.images import Part, assemble
from pipeline.files import temporary_folder
from pipeline.fit import FitContext, Task, fit
from pipeline.tracking import FoundRun, Tracker, connect, log_model, save_weights
from pipeline.training.stack import Stack, plain

MODEL = "models:/digits@champion"
UNMASKED = "models:/digits@unmasked"
# The narrow end is where units die: one is dead in what is tested.
RECIPE = Recipe(
    widths=(48, 24, 12),
    epochs=3,
    batch_size=25,
    holdout=200,
    drop_rate=0.2,
    output_dropout=False,
    learning_rate=0.003,
    mask_passes=0,
)


@pytest.fixture(scope="session")
def mnist() -> ImageData:
    return load("mnist")


@pytest.fixture(scope="session")
def tracker(mnist: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    """A store of its own with the models `MODEL`, `UNMASKED`, and of own data `light`, `dark`."""
    folder = tmp_path_factory.mktemp("predict")
    few = assemble(
        "mnist",
        Part(mnist.train_images[:4000], mnist.train_labels[:4000]),
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
        place = FitContext(
            tracker=tracker,
            console=Console(),
            step="mnist",
            tags={},
        )
        task = Task(recipe=RECIPE, data=few, device=torch.device("cpu"))
        [result] = fit([task], place).complete()
        register(tracker, tracker.run(result.run_id), "champion")
        register(tracker, without_dropout(tracker), "unmasked")
        for ink, images in (("light", few.test_images), ("dark", 255 - few.test_images)):
            register(tracker, of_own_data(tracker, as_input(images[:4]).numpy()), ink)
    return tracker


def register(tracker: Tracker, run: FoundRun, alias: str) -> None:
    """Make the run's model a version that this alias points to."""
    assert run.model is not None
    version = tracker.registry.create("digits", run.model, run_id=run.id, tags={}, description="")
    tracker.registry.point(alias, version)


def without_dropout(tracker: Tracker) -> FoundRun:
    """A network as born, of another recipe and without a history."""
    recipe = replace(RECIPE, drop_rate=0.0, seed=1)
    return as_born(tracker, recipe, "mnist", np.zeros((2, 1, 28, 28), np.float32))


def of_own_data(tracker: Tracker, images: NDArray[np.float32]) -> FoundRun:
    """A network as born, for images of one's own such as these."""
    return as_born(tracker, replace(RECIPE, seed=2), "mine", images)


def as_born(
    tracker: Tracker, recipe: Recipe, dataset: str, example: NDArray[np.float32]
) -> FoundRun:
    """A run with an untrained network of this recipe."""
    network = plain(recipe, Stack([recipe], inputs=784, classes=10).state(0))
    parameters = recipe.parameters | {"dataset": dataset}
    start = tracker.start_network(recipe.name, parameters, step="mnist", tags={})
    with start as run, temporary_folder() as folder:
        save_weights(network, folder)
        run.folder(folder)
        log_model(run, network, example=example, metrics={}, step=0, at_ms=0)
    return tracker.run(run.id)


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
        return commands.run(
            ["predict", "--model", model, *(str(argument) for argument in arguments)]
        )

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
