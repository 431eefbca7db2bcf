"""A store of its own for every test, and networks in it whose numbers are made up."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from pipeline.config.recipe import Recipe
from pipeline.records import EpochRecord, LayerRecord, Score
from pipeline.records.metrics import metrics
from pipeline.tracking import Tracker, connect
from why_zero.records import UnitStates, ZeroCauses

MakeNetworks = Callable[[Tracker, list[Recipe]], list[str]]
IMAGES = {0: 40, 1: 200}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("views")


@pytest.fixture(scope="session")
def uri(folder: Path) -> str:
    return f"sqlite:///{folder}/mlflow.db"


@pytest.fixture(autouse=True)
def _store(folder: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def client(uri: str) -> MlflowClient:
    return MlflowClient(uri)


@pytest.fixture
def tracker(request: pytest.FixtureRequest) -> Tracker:
    return connect(experiment=request.node.name)


@pytest.fixture(scope="session")
def make_networks() -> MakeNetworks:
    """Logs finished networks under the names that real ones have, and returns their runs' ids."""
    return lambda tracker, recipes: [_log(tracker, recipe) for recipe in recipes]


def _log(tracker: Tracker, recipe: Recipe) -> str:
    run = tracker.start_network(
        recipe.name,
        recipe.parameters | {"device": "cpu"},
        step="mnist",
        tags={"device_name": "cpu (one)", "stack_size": "2"},
    )
    with run:
        history = [_record(recipe, epoch) for epoch in (0, 1)]
        for before, record in zip((None, *history), history, strict=False):
            run.metrics(metrics(record, before, history[0]), step=record.epoch)
        run.metrics({"system/cpu_utilization_percentage": 50.0, "test/accuracy": 0.9}, step=0)
        run.images(
            {
                epoch: np.full((20, 40, 3), brightness, dtype=np.uint8)
                for epoch, brightness in IMAGES.items()
            },
            "firing_rates",
        )
    return run.id


def _record(recipe: Recipe, epoch: int) -> EpochRecord:
    dropped = round(10 * recipe.drop_rate)
    counts = [np.full(4, count) for count in (10 - dropped, dropped, 5 - epoch, 5 + epoch)]
    states = UnitStates(
        samples=10,
        fired=np.array([0, epoch, 5, 10]),
        reached=np.array([0, 0, 5, 10]),
        magnitude=np.array([0.0, 0.1, 1.0, 2.0]),
    )
    layers = tuple(
        LayerRecord(
            name=name,
            causes=ZeroCauses(*counts),
            states=states if recipe.has_relu(name) else None,
            gradient_norm=0.1 if epoch else None,
            mask_dead=states.dead if recipe.has_relu(name) else None,
        )
        for name in recipe.layers
    )
    score = Score(2.3 / (1 + epoch) + recipe.drop_rate, 0.1 + 0.8 * epoch - 0.1 * recipe.drop_rate)
    return EpochRecord(
        member=0,
        epoch=epoch,
        layers=layers,
        train=score if epoch else None,
        train_eval=score,
        validation=score,
        epoch_seconds=0.5 if epoch else None,
        samples_per_second=1e5 if epoch else None,
        peak_memory_mb=100.0 if epoch else None,
    )
