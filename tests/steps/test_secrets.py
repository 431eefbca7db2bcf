"""No step shows or leaves behind what is secret in the address of the store."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from pipeline.cli import commands

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
SECRET = "s3cr3t-w0rd"  # noqa: S105 - that is what is looked for
HALF = "s3cr3t/w0rd@x"
MODEL = "models:/mine@champion"
TRAIN = ("--epochs", "0", "--holdout", "50", "--widths", "4", "--mask-passes", "0")


def steps(small: Path, model: Path) -> list[list[str]]:
    """A command for each step, in an order in which each finds what it needs."""
    data = ["--data", "mine"]
    return [
        ["prepare", "--dataset", "mine", "--source", str(small)],
        ["toy", "--epochs", "1"],
        ["mnist", *data, *TRAIN],
        ["sweep", *data, *TRAIN, "--drop-rates", "0,0.5", "--seeds", "0"],
        ["main", *data, *TRAIN, "--drop-rates", "0,0.5"],
        ["compare"],
        ["register", "--name", "mine"],
        ["compact", "--from", "sweep:latest"],
        ["predict", "--model", MODEL, str(small / "t10k-images-idx3-ubyte")],
        ["export", "--model", MODEL, "--out", "bundle", *data],
        ["import", "--bundle", "bundle"],
        ["publish", "sweep:latest"],
        ["explore", "sweep:latest"],
        ["open", "--no-browser"],
        ["sync"],
        ["doctor"],
        ["reproduce", "--study", "lu-born-dead"],
        ["explain", str(model), str(small / "t10k-images-idx3-ubyte")],
    ]


def start(command: list[str], folder: Path, uri: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *command],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "MLFLOW_TRACKING_URI": uri,
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.server
def test_a_server_behind_a_password_is_used_by_every_step_and_told_to_nobody(
    tmp_path: Path,
    small: Path,
    serving: Callable[[str, Path], AbstractContextManager[str]],
) -> None:
    server, work = tmp_path / "server", tmp_path / "work"
    server.mkdir()
    work.mkdir()
    database = server / "mlflow.db"
    with serving(f"sqlite:///{database}", server) as address:
        uri = address.replace("//", f"//user:{SECRET}@")
        # What a study trains is a sweep, and takes minutes.
        for command in steps(small, tmp_path / "no-model.py")[:-1]:
            done = start(command, work, uri)
            # Only explain, which needs no store, is given what is not there; what doctor finds is
            # a matter of the machine.
            if command[0] != "doctor":
                assert (done.returncode != 0) == (command[0] == "explain"), done.stderr
            assert SECRET not in done.stdout + done.stderr, command
            if command[0] in {"sweep", "main"}:
                assert f"report:       {address}/#/experiments/" in done.stdout
    assert (work / "bundle" / "run.json").is_file()
    for path in [*work.rglob("*"), *server.rglob("*")]:
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    with closing(sqlite3.connect(database)) as connection:
        assert SECRET not in "".join(connection.iterdump())


@pytest.mark.parametrize(
    "uri",
    [
        f"http://user:{SECRET}@127.0.0.1:1",
        "https://user:s3cr3t%2Fw0rd@127.0.0.1:1/mlflow",
        f"http://{SECRET}@127.0.0.1:1",
        f"http://user:{HALF}@127.0.0.1:1",
        f"http://user:{SECRET}@[::1",
        f"http://127.0.0.1:1/?password={SECRET}",
        f"postgresql://user:{SECRET}@127.0.0.1:1/db",
        f"postgresql://user:{SECRET}@127.0.0.1:abc/db",
        f"postgresql://user:{HALF}@127.0.0.1:1/db",
        f"mysql+pymysql://user:{SECRET}@127.0.0.1:1/db?ssl_key={SECRET}",
        f"nonsense://user:{SECRET}@there",
    ],
)
def test_a_store_that_cannot_be_reached_is_one_line_without_what_is_secret_in_every_step(
    uri: str,
    tmp_path: Path,
    small: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    for command in steps(small, tmp_path / "no-model.py"):
        to = ["--to", uri] if command[0] == "import" else []
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "" if to else uri)
        assert commands.run([*command, *to]) in {1, 2}
        shown = capsys.readouterr()
        assert "s3cr3t" not in shown.out + shown.err
        assert "w0rd" not in shown.out + shown.err
        assert "Traceback" not in shown.err
    assert all(b"s3cr3t" not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
