"""A small data set of real IDX files, and a store of its own for every test."""

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.cli import commands

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


def binaries() -> Path | None:
    """Where Debian keeps the programs of its PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A PostgreSQL of the test's own, on a socket in a folder of its own."""
    programs = binaries()
    if programs is None or (os.geteuid() == 0 and shutil.which("setpriv") is None):
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # which PostgreSQL refuses to be run by
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(programs / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=60)

    try:
        run("initdb", "--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        run("pg_ctl", "--wait", f"--log={folder}/log", f"--options={options}", "start")
        try:
            yield f"postgresql+psycopg2://postgres@/postgres?host={folder}"
        finally:
            run("pg_ctl", "--mode=immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
