"""What can be killed and started again: Ray nodes, a PostgreSQL and MLflow's server."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError

import psutil
import pytest

from pipeline.workers import Epoch, Event, Worker

ROOT = Path(__file__).parents[2]
PATIENCE = 120
# `ray start` as it is, but for the address, which it does not let be loopback.
START = """
from ray._private import services
services.node_ip_address_from_perspective = lambda *_: "127.0.0.1"
from ray.scripts.scripts import main
main()
"""


class Machines:
    """A head that trains nothing, and nodes with a CPU each; every one can be killed."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._folder = folder
        self._log = (folder.parent / "log").open("wb")
        self._environment = environment
        self._head: subprocess.Popen[bytes] | None = None
        self.nodes: list[subprocess.Popen[bytes]] = []

    def start_head(self) -> None:
        self._head = self._start(
            *("--head", f"--port={self.port}", "--num-cpus=0", "--include-dashboard=false"),
            f"--temp-dir={self._folder}",
        )
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            assert self._head.poll() is None, (self._folder.parent / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        pytest.fail("the head did not start")

    def start_node(self, **environment: str) -> None:
        """Start one more node, and return when it belongs to the cluster."""
        node = self._start(f"--address={self.address}", "--num-cpus=1", **environment)
        self.nodes.append(node)
        until = time.monotonic() + PATIENCE
        while not any("raylet" in name for name in names(node)):
            assert node.poll() is None, (self._folder.parent / "log").read_text()
            assert time.monotonic() < until, "the node did not start"
            time.sleep(0.1)

    def kill_node(self) -> None:
        kill(self.nodes.pop())

    def kill_trainer(self) -> None:
        """Kill a node that trains."""
        trains = next(node for node in self.nodes if any("ray::Trainer" in n for n in names(node)))
        self.nodes.remove(trains)
        kill(trains)

    def kill_head(self) -> None:
        assert self._head is not None
        kill(self._head)

    def trainers(self) -> int:
        """The processes of nodes that train."""
        return sum("ray::Trainer" in name for node in self.nodes for name in names(node))

    def close(self) -> None:
        for process in (*self.nodes, self._head):
            if process is not None:
                kill(process)
        self._log.close()

    def _start(self, *words: str, **environment: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", START, "start", "--block", "--disable-usage-stats"]
        return subprocess.Popen(
            [*command, f"--object-store-memory={80 << 20}", *words],
            env=self._environment | environment,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )


def processes(machine: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Those that a machine has started; Ray gives its workers groups of their own."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(machine.pid).children(recursive=True)
    return []


def names(machine: "subprocess.Popen[bytes]") -> list[str]:
    """Their command lines."""
    found = []
    for process in processes(machine):
        with suppress(psutil.NoSuchProcess):
            found.append(" ".join(process.cmdline()))
    return found


def kill(machine: "subprocess.Popen[bytes]") -> None:
    everything = processes(machine)
    machine.kill()
    for process in everything:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    machine.wait(PATIENCE)


class Postgres:
    """A PostgreSQL on a socket in a folder of its own.

    Attributes:
        uri: its address for SQLAlchemy.
    """

    def __init__(self, folder: Path) -> None:
        """Make it, without starting it; skips the test where PostgreSQL is not installed."""
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))  # as on Debian
        is_root = os.geteuid() == 0
        if not programs or (is_root and shutil.which("setpriv") is None):
            pytest.skip("PostgreSQL is not installed")
        self._programs = programs[-1].parent
        self._folder = folder
        self._as_user: list[str] = []
        if is_root:  # which PostgreSQL refuses to be run by
            shutil.chown(folder, "postgres", "postgres")
            self._as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.uri = f"postgresql+psycopg2://postgres@/postgres?host={folder}"
        self._run("initdb", "--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8")

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses='' -c fsync=off"
        self._run("pg_ctl", "--wait", f"--log={self._folder}/log", f"--options={options}", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "--mode=immediate", "stop")

    def kill(self) -> None:
        """End all of its processes by SIGKILL, the first one first."""
        number = int((self._folder / "data/postmaster.pid").read_text().split()[0])
        postmaster = psutil.Process(number)
        everything = [postmaster, *postmaster.children(recursive=True)]
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(everything, PATIENCE)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*self._as_user, self._programs / program, "-D", self._folder / "data", *arguments],
            check=True, cwd=self._folder, stdout=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip


class Server:
    """MLflow's server over a store, always at the same port; its artifacts are in its folder."""

    def __init__(self, store: str, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port = listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"
        self._store = store
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self._store]
        command += ["--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=5):  # noqa: S310
                    return
            except (URLError, OSError):
                time.sleep(0.1)
        pytest.fail((self.folder / "log").read_text())

    def kill(self) -> None:
        """End all of its processes by SIGKILL."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)


def at_epoch(number: int, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Do something once a stack has ended this epoch; the numbers of all epochs told since."""
    hear, told = Worker.next, list[int]()

    def heard(worker: Worker) -> Event | None:
        event = hear(worker)
        if isinstance(event, Epoch):
            told.append(event.records[0].epoch)
            if told.count(number) == 1 and told[-1] == number:
                act()
        return event

    monkeypatch.setattr(Worker, "next", heard)
    return told
