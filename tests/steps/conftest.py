"""A small data set of real IDX files, and a store of its own for every test."""

import os
import secrets
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.cli import commands
from tests.steps.machines import ROOT, Machines, Postgres

Pipeline = Callable[..., int]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One SQLite store for all tests: making one costs a second."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture
def experiment(
    store: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """An experiment of the test's own, in a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
    return str(request.node.name)


@pytest.fixture
def runs(store: str, experiment: str) -> Callable[..., list[Run]]:
    """The experiment's runs with these tags, oldest first."""

    def find(**tags: str) -> list[Run]:
        client = MlflowClient(store)
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return []
        search = " and ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
        return list(
            client.search_runs(
                [found.experiment_id], search, order_by=["attributes.start_time ASC"]
            )
        )

    return find


@pytest.fixture
def pipeline(experiment: str) -> Pipeline:  # noqa: ARG001 - wanted for what it sets
    """Runs one command in this process and returns its exit code."""
    return lambda *arguments: commands.run([str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 + 60 images of 6 x 5 pixels in three classes, told apart by their brightest third."""
    folder = tmp_path_factory.mktemp("small")
    source = np.random.default_rng(0)
    for half, count in (("train", 300), ("t10k", 60)):
        labels = source.integers(0, 3, count).astype(np.uint8)
        images = source.integers(0, 120, (count, 6, 5)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label : 2 * label + 2] += 120
        header = struct.pack(">IIII", 0x0803, count, 6, 5)
        (folder / f"{half}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (folder / f"{half}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 0x0801, count) + labels.tobytes()
        )
    return folder


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of the tests' own, which runs."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # sockets have short names
    try:
        made = Postgres(folder)
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    """The address of a PostgreSQL of the tests' own."""
    return postgres.uri


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    """A head and two nodes."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # sockets have short names
    (folder / "token").write_text(secrets.token_hex(32))
    (folder / "token").chmod(0o600)
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_health_check_initial_delay_ms": "1000",
        "RAY_health_check_period_ms": "1000",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = Machines(folder / "s", os.environ | environment)
    # Of the step's own process: it is on loopback, and takes less time to miss the head.
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "5")
    try:
        made.start_head()
        made.start_node()
        made.start_node()
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)
