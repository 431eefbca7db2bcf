"""Shapes and types of the whole package are checked at run time; a browser, and a server to see."""

import inspect
import logging
import os
import pkgutil
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from jaxtyping import install_import_hook

install_import_hook(["pipeline", "why_zero"], "beartype.beartype")

PATIENCE = 60
# Several workers share the cores: with more threads each, they spend their time waiting.
os.environ["OMP_NUM_THREADS"] = "1"  # for processes that tests start
torch.set_num_threads(1)
# No service of the browser's own calls anybody.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(autouse=True)
def warnings_are_heard(caplog: pytest.LogCaptureFixture) -> None:
    """Have warnings logged: importing `mlflow.pytorch` silences them where nobody has set up."""
    caplog.set_level(logging.WARNING)


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Plant a bug: `plant("pipeline.training.measure.Watch.add", right, wrong)`.

    The function is compiled anew from its source with the right piece, which must be there once,
    replaced by the wrong one, and takes the right one's place wherever that was imported.
    """

    def replace(path: str, right: str, wrong: str) -> None:
        found = pkgutil.resolve_name(path)
        function = inspect.unwrap(found)
        source = textwrap.dedent(inspect.getsource(function))
        assert source.count(right) == 1, f"{path} must hold {right!r} once"
        names: dict[str, Any] = {}
        code = compile(source.replace(right, wrong), inspect.getfile(function), "exec")
        exec(code, function.__globals__, names)  # noqa: S102
        monkeypatch.setattr(path, names[function.__name__])
        for module in [m for n, m in sys.modules.items() if n.startswith(("pipeline", "why_zero"))]:
            for name in [name for name, value in vars(module).items() if value is found]:
                monkeypatch.setattr(module, name, names[function.__name__])

    return replace


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by playwright; one for all tests, which it insists on."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install .[test]")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def serving() -> Callable[[str, Path], AbstractContextManager[str]]:
    """MLflow's server over a store, from a folder, for the length of a block: its address."""
    return _serving


@contextmanager
def _serving(store: str, folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    server = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A group of its own: the server's worker ends with it.
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/health", server)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(PATIENCE)


def _wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Return when the server answers."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    pytest.fail(f"the server did not answer within {PATIENCE} s")
