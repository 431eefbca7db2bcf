"""MLflow's UI on a store: a server's own, or one that is started for as long as it is wanted."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import requests

from pipeline.errors import PipelineError
from pipeline.tracking.address import LOCAL_UI, is_server, ui_base

START_SECONDS = 90.0
_STOP_SECONDS = 10.0
_LOCAL_PORT = int(LOCAL_UI.rpartition(":")[2])
# MLflow would start processes of its own for jobs that nothing here makes.
_WITHOUT_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@dataclass(frozen=True)
class Ui:
    """A UI that answers.

    Attributes:
        address: where it is, without a slash at its end.
        process: that serves it; None where a server did so before.
    """

    address: str
    process: "subprocess.Popen[bytes] | None" = None

    def wait(self) -> None:
        """Return when the process ends, which it only does by itself if something is wrong.

        Raises:
            PipelineError: it has ended.
        """
        if self.process:
            code = self.process.wait()
            raise PipelineError(f"MLflow's UI must keep running, got exit code {code}: start again")


@contextmanager
def ui_of(uri: str, *, port: int = 0) -> Iterator[Ui]:
    """The UI of a store, which answers while the block runs.

    Args:
        uri: the tracking URI.
        port: on this machine; 0 for the one that printed links name, or another if that is taken.

    Raises:
        PipelineError: it does not start.
    """
    if is_server(uri):
        yield Ui(ui_base(uri))
        return
    port = port or _free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    # Everybody on this machine sees a command, and the address of a database holds its password.
    environment = os.environ | _WITHOUT_JOBS | {"MLFLOW_BACKEND_STORE_URI": uri}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            # Ctrl-C is for this process, which ends the server and its workers.
            start_new_session=True,
        )
        try:
            _wait_for(address, process, said)
            yield Ui(address, process)
        finally:
            _stop(process)


def _free_port() -> int:
    for port in (_LOCAL_PORT, 0):
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(free.getsockname()[1])
    raise PipelineError("a port of 127.0.0.1 must be free for MLflow's UI, got none: give port")


def _wait_for(address: str, process: "subprocess.Popen[bytes]", said: IO[bytes]) -> None:
    """Return when the UI answers.

    Raises:
        PipelineError: it has ended, or does not answer.
    """
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            if requests.get(f"{address}/health", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    raise PipelineError(
        f"MLflow's UI must answer at {address} within {START_SECONDS:.0f} s, got "
        f"{lines[-1][:300] if lines else 'nothing'!r}: give another port, or start `mlflow ui`"
    )


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the server and its workers."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
