"""Shapes and types are checked at run time; a browser, a server to see, and eyes of four kinds."""

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

import numpy as np
import pytest
import torch
from jaxtyping import install_import_hook
from matplotlib.colors import to_rgb
from matplotlib.typing import ColorType
from numpy.typing import NDArray

install_import_hook(["pipeline", "why_zero"], "beartype.beartype")

PATIENCE = 60
# Several workers share the cores: with more threads each, they spend their time waiting.
os.environ["OMP_NUM_THREADS"] = "1"  # for processes that tests start
torch.set_num_threads(1)
# Steps train in the process of the test, but where a test is about the others.
os.environ["WHY_ZERO_WORKERS"] = "0"
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


@pytest.fixture(scope="session")
def lab() -> Callable[..., NDArray[np.float64]]:
    """CIE L*a*b* of a colour, as seen with a kind of sight: distances are differences seen."""
    return _lab


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


# Machado, Oliveira and Fernandes 2009, "A Physiologically-based Model for Simulation of Color
# Vision Deficiency", severity 1.0, for linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def _lab(colour: ColorType, vision: str = "normal") -> NDArray[np.float64]:
    """CIE L*a*b* (D65) of an sRGB colour as somebody sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(VISIONS[vision]) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ seen / (0.9505, 1.0, 1.089)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
