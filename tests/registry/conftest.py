"""Two trained networks in a store, as a sweep leaves them, and ways to spoil a copy of one."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from pipeline.config.recipe import Recipe
from pipeline.console import Console
from pipeline.data import ImageData, write_prepared
from pipeline.data.images import Part, assemble
from pipeline.fit import FitContext, Task, fit
from pipeline.records.result import Result
from pipeline.registry.gates import Candidate, load_candidate
from pipeline.registry.gates.isolation import Answers, read_answers, write_batches
from pipeline.tracking import Tracker, connect, isolated_load

EXPERIMENT = "register"
RECIPE = Recipe(
    widths=(8,),
    epochs=2,
    batch_size=10,
    learning_rate=0.02,
    holdout=50,
    drop_rate=0.2,
    output_dropout=False,
    probe_every=1,
    mask_passes=0,
)


@dataclass(frozen=True)
class Trained:
    """What the tests start from; they must not change it but under names of their own.

    Attributes:
        folder: the working folder, which holds the store and the prepared data.
        uri: of the store.
        sweep: the run id of the sweep.
        good: the better network by validation.
        bad: the other one.
        data: what both saw.
    """

    folder: Path
    uri: str
    sweep: str
    good: Result
    bad: Result
    data: ImageData


def some_data(seed: int) -> ImageData:
    """300 + 60 images of 6 x 5 pixels in three classes, told apart by their brightest third."""
    source = np.random.default_rng(seed)
    parts = []
    for count in (300, 60):
        labels = source.integers(0, 3, count)
        images = source.integers(0, 120, (count, 6, 5)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label : 2 * label + 2] += 120
        parts.append(Part(torch.from_numpy(images), torch.from_numpy(labels)))
    return assemble(
        "mine",
        parts[0],
        test=parts[1],
        classes=("a", "b", "c"),
        source="here",
        licence="not stated",
    )


def entering(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Work in this folder, on its store, in one experiment."""
    patch.chdir(folder)
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    patch.setenv("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"):
        patch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """A sweep of two networks; the first in its table is the worse one."""
    folder, data = tmp_path_factory.mktemp("register"), some_data(0)
    with pytest.MonkeyPatch.context() as patch:
        entering(folder, patch)
        write_prepared(data, Path("prepared"))
        tracker = connect()
        with tracker.start_step("sweep", "sweep", parameters={}) as step:
            place = FitContext(
                tracker=tracker,
                console=Console(),
                step="sweep",
                tags={"sweep": step.id},
            )
            tasks = [
                Task(recipe=recipe, data=data, device=torch.device("cpu"))
                for recipe in (replace(RECIPE, drop_rate=0.95), RECIPE)
            ]
            bad, good = fit(tasks, place).complete()
            step.text(f"run_id\n{bad.run_id}\n{good.run_id}\n", "networks.csv")
        assert bad.chosen.validation is not None
        assert good.chosen.validation is not None
        assert bad.chosen.validation.accuracy < good.chosen.validation.accuracy
        yield Trained(folder, tracker.uri, step.id, good, bad, data)


@pytest.fixture(autouse=True)
def _place(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    entering(trained.folder, monkeypatch)


@pytest.fixture
def good_id(trained: Trained) -> str:
    """The run id of the sweep's better network."""
    return trained.good.run_id


@pytest.fixture
def bad_id(trained: Trained) -> str:
    """The run id of the other."""
    return trained.bad.run_id


@pytest.fixture
def other_data(tmp_path: Path) -> str:
    """The digest of another data set by the same name, prepared below the test's own folder."""
    data = some_data(1)
    write_prepared(data, tmp_path / "prepared")
    return data.digest


@pytest.fixture
def tracker() -> Tracker:
    return connect()


@pytest.fixture
def client() -> MlflowClient:
    return MlflowClient()


@pytest.fixture
def good(trained: Trained, tracker: Tracker) -> Candidate:
    return load_candidate(tracker.run(trained.good.run_id), tracker)


@pytest.fixture
def spoiled(good: Candidate, tmp_path: Path) -> Callable[[Callable[[Path], None]], Candidate]:
    """The good network with a copy of its logged model that a function has changed."""

    def spoil(change: Callable[[Path], None]) -> Candidate:
        folder = tmp_path / "spoiled"
        shutil.copytree(download_artifacts(good.address), folder)
        change(folder)
        return replace(good, address=str(folder))

    return spoil


@pytest.fixture
def asked(tmp_path: Path) -> Callable[[Candidate], Answers]:
    """What a model answers by the code of the isolated process, but in this one: quick."""

    def ask(one: Candidate) -> Answers:
        batches, answers = tmp_path / "batches.npz", tmp_path / "answers.npz"
        write_batches(one, batches)
        isolated_load.answer(one.address, str(batches), str(answers))
        return read_answers(answers)

    return ask
