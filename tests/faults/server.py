"""A tracking server on loopback, whose store is put back to the empty one before every trial."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, suppress
from pathlib import Path

from tests.faults.facts import ARTIFACTS, STORE

_SECONDS = 90.0


class Server:
    """MLflow's server over a SQLite store of its own.

    Attributes:
        folder: with the store and the artifacts.
    """

    def __init__(self, folder: Path) -> None:
        """Start nothing yet."""
        self.folder = folder
        self._empty = folder / "empty.db"
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]

    @property
    def uri(self) -> str:
        """Its tracking URI."""
        return f"http://127.0.0.1:{self._port}"

    def reset(self) -> None:
        """Have it run, with nothing in its store."""
        if self._process is None:
            self._start()
            return
        # SQLite copies page by page under its own locks: the server need not be started anew.
        with (
            closing(sqlite3.connect(self._empty)) as empty,
            closing(sqlite3.connect(self.folder / STORE)) as store,
        ):
            empty.backup(store)
        shutil.rmtree(self.folder / ARTIFACTS, ignore_errors=True)

    def _start(self) -> None:
        self.folder.mkdir()
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder / STORE}"]
        command += ["--artifacts-destination", str(self.folder / ARTIFACTS)]
        command += ["--host", "127.0.0.1", "--port", str(self._port)]
        self._process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.monotonic() + _SECONDS
        while True:
            assert time.monotonic() < until, "the server does not answer"
            with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5):  # noqa: S310
                break
            time.sleep(0.1)
        with (
            closing(sqlite3.connect(self.folder / STORE)) as store,
            closing(sqlite3.connect(self._empty)) as empty,
        ):
            store.backup(empty)

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(_SECONDS)
