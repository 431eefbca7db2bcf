"""A bundle that the step `export` writes: a network on 6 x 5 pixels, registered in a real store."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Metric

from pipeline.bundle.digests import sums_text
from pipeline.config.options import ExportSettings
from pipeline.config.recipe import Recipe
from pipeline.console import Console
from pipeline.data import ImageData, write_prepared
from pipeline.data.images import Part, assemble
from pipeline.runs.publish import log_dataset
from pipeline.steps import export
from pipeline.tracking import connect, log_model, save_weights
from pipeline.training.stack import Stack, plain

RECIPE = Recipe(widths=(8,), epochs=2, drop_rate=0.5)


def some_data() -> ImageData:
    """60 + 37 random images of 6 x 5 pixels in three classes."""
    source = np.random.default_rng(0)
    train, test = (
        Part(
            torch.from_numpy(source.integers(0, 256, (count, 6, 5)).astype(np.uint8)),
            torch.from_numpy(np.arange(count) % 3),
        )
        for count in (60, 37)
    )
    return assemble("mine", train, test=test, classes=("a", "b", "c"), source="here", licence="?")


@pytest.fixture(scope="session")
def test_images() -> torch.Tensor:
    """Of the data set that the network was trained on: shape (37, 6, 5)."""
    return some_data().test_images


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle, which no test may change; beside it the store and what the step has said."""
    return make_bundle(tmp_path_factory.mktemp("source"))


def make_bundle(work: Path) -> Path:
    """Train nothing, register it and export it, all in this folder: the bundle's folder."""
    uri = f"sqlite:///{work}/mlflow.db"
    data = some_data()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        write_prepared(data, work / "prepared")
        tracker = connect(experiment="of the bundle")
        MlflowClient(uri).set_experiment_tag(tracker.experiment_id, "team", "zero")
        parameters = RECIPE.parameters | {"dataset": data.name, "dataset_digest": data.digest}
        tags = {"arm": "relu+dropout", "fingerprint": "f" * 32}
        network = plain(RECIPE, Stack([RECIPE], inputs=30, classes=3).state(0))
        with tracker.start_network("a network", parameters, step="mnist", tags=tags) as run:
            log_dataset(run, data, context="training")
            at_ms = run.series([(step, {"val/loss": 1 / (step + 1)}) for step in range(3)])
            # A key whose points share a step, as after a resumed run, and a value that is none.
            odd = [Metric("odd", 3.0, 1000 + i, 7) for i in range(2)]
            odd.append(Metric("odd", math.nan, 1002, 8))
            MlflowClient(uri).log_batch(run.id, metrics=odd)
            run.text("8 units", "summary.txt")
            run.images({1: np.zeros((4, 4, 3), np.uint8)}, "firing_rates")
            (work / "weights.pkl").write_bytes(b"not for a bundle")
            run.file(work / "weights.pkl", "notes")
            example = (data.test_images[:4, None] / 255).numpy()
            metrics = {"val/loss": 1 / 3}
            save_weights(network, work)
            run.file(work / "state_dict.safetensors")
            address = log_model(run, network, example=example, metrics=metrics, step=2, at_ms=at_ms)
            run.describe("# A network")
        registry = tracker.registry
        version = registry.create(
            "mine",
            address,
            run_id=run.id,
            tags={"seed": "0"},
            description="# Card\n\n[A card](#/1).",
        )
        registry.point("champion", version)
        MlflowClient(uri).update_registered_model("mine", "Of three classes")
        settings = ExportSettings(model="models:/mine@champion", out=str(work / "bundle"))
        with (work / "said.txt").open("w") as said:
            export.run(settings, Console(said))
    return work / "bundle"


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


@pytest.fixture(scope="session")
def sign() -> Callable[[Path], None]:
    """Writes SHA256SUMS anew: whoever spoils a bundle can do that too."""

    def write(folder: Path) -> None:
        names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
        names.remove("SHA256SUMS")
        (folder / "SHA256SUMS").write_text(sums_text(folder, names), "utf-8")

    return write
