"""A sweep in a cluster against a server on PostgreSQL, each of which is killed in the middle."""

import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.cli import commands
from pipeline.tracking import outbox as outboxes
from tests.steps.machines import PATIENCE, Machines, Postgres, Server, at_epoch
from tests.tracking.faults import Held, Proxy, differences, holds, proxy_before

pytest.importorskip("ray", reason='needs Ray: pip install "why-zero[ray]"')
pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.kill]

NETWORKS = 30
SWEEP = (
    *("--devices", "cpu", "--epochs", "3", "--widths", "16,8", "--batch-size", "5"),
    *("--holdout", "50", "--mask-passes", "1"),
    *("--drop-rates", "0,0.1,0.2,0.3,0.4,0.5", "--seeds", "0-4"),
)
# A stack's own name, and a text that holds seconds.
OWN = ("stack", "mlflow.note.content")
# Files that hold seconds, or addresses.
TIMED = {
    *("history.safetensors", "explorer.html", "comparison.csv", "networks.csv"),
    "report/comparison.html",
}
# The sweep's own settings that are not those of the local one.
WHERE = {"engine", "ray_address"}
AWAY_SECONDS = 3.0


@pytest.fixture
def server(postgres: Postgres) -> Iterator[Server]:
    """MLflow's server on PostgreSQL."""
    folder = Path(tempfile.mkdtemp(prefix="mlflow-"))
    made = Server(postgres.uri, folder)
    try:
        made.start()
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """What counts the requests to it."""
    with proxy_before(server.address, server.folder) as made:
        yield made


def untimed(held: Held) -> Held:
    """What a store holds, without what the clock, or the machines that train, decide."""
    runs = []
    for name, status, params, tags, points, files, *rest in held["runs"]:
        of_recipe = {key: value for key, value in params.items() if key not in WHERE}
        digests: dict[str, list[str]] = {}  # pictures of a film have one name
        for file, digest in files:
            digests.setdefault(file, []).append("" if file in TIMED else digest)
        runs.append((name, status, of_recipe, tags, points, digests, *rest))
    return held | {"runs": runs}


def sweep(small: Path, *options: str) -> int:
    return commands.run(["sweep", "--data", str(small), *SWEEP, *options])


@pytest.fixture
def local(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    """What an undisturbed sweep on this machine leaves in a SQLite store."""
    folder = tmp_path / "local"
    folder.mkdir()
    monkeypatch.setenv("WHY_ZERO_WORKERS", "2")  # as many as nodes, so the stacks are the same
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "local")
        assert sweep(small) == 0
        return holds(f"sqlite:///{folder}/mlflow.db", "local", ignored=OWN)


def test_a_sweep_on_servers_and_a_node_that_die_ends_as_an_undisturbed_local_one(  # noqa: PLR0917
    local: Held,
    machines: Machines,
    postgres: Postgres,
    server: Server,
    proxy: Proxy,
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.address)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "away")
    monkeypatch.setenv(outboxes.PATIENCE, str(PATIENCE))
    monkeypatch.setattr(outboxes, "_LONGEST_PAUSE_SECONDS", 2.0)
    happened: list[str] = []

    def kill_node() -> None:
        machines.kill_trainer()
        happened.append("node")

    told = at_epoch(1, kill_node, monkeypatch)
    disasters: list[tuple[Postgres | Server, Callable[[], bool]]] = [
        (postgres, lambda: 0 in told),
        (postgres, lambda: proxy.seen.count("POST logged-models") > 3),
        (server, lambda: proxy.seen.count("POST logged-models") > 12),
    ]

    def happen() -> None:
        for mortal, is_due in disasters:
            while not is_due():
                if is_over.wait(0.002):
                    return
            mortal.kill()
            time.sleep(AWAY_SECONDS)
            mortal.start()
            happened.append(type(mortal).__name__)

    is_over = threading.Event()
    with ThreadPoolExecutor(1) as beside:
        done = beside.submit(happen)
        try:
            code = sweep(small, "--engine", "ray", "--ray-address", machines.address)
        finally:
            is_over.set()
        done.result(PATIENCE)
    there = holds(postgres.uri, "away", artifacts=server.folder / "mlartifacts", ignored=OWN)
    assert code == 0
    assert Counter(happened) == {"node": 1, "Postgres": 2, "Server": 1}
    assert "another one goes on" in caplog.text
    assert told.count(0) == 2  # no stack has begun anew
    assert differences(untimed(there), untimed(local)) == []
    assert len(there["runs"]) == NETWORKS + 1
    assert {run[1] for run in there["runs"]} == {"FINISHED"}
    assert {model[2] for model in there["models"]} == {"READY"}
    assert not Path("journals").exists()
    assert machines.trainers() == 0
