"""The step `open`, with a real server, and a script that notes the address for the browser."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.steps import open as step
from pipeline.tracking import connect, ui_of

ROOT = Path(__file__).parents[2]
Pipeline = Callable[..., int]
PATIENCE = 120


@pytest.fixture
def swept(experiment: str) -> str:
    """The id of a sweep that has compared its networks."""
    assert experiment
    with connect().start_step("sweep", "the sweep", parameters={}) as run:
        run.text("name,run_id\nn,none\n", "networks.csv")
    return run.id


@pytest.mark.server
def test_the_ui_is_served_and_opened_at_the_sweep_until_ctrl_c(
    swept: str, tmp_path: Path, experiment: str
) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "open"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "BROWSER": str(browser)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    shown = [process.stdout.readline() for _ in range(4)]
    assert shown[0] == "starting MLflow's UI …\n"
    assert shown[1] == f"showing 'the sweep' (run {swept}, experiment '{experiment}')\n"
    found = re.fullmatch(
        rf"open: +(http://127.0.0.1:(\d+)/#/experiments/\d+/runs/{swept}\S+)\n", shown[2]
    )
    assert found, shown
    with urllib.request.urlopen(found[1], timeout=PATIENCE) as page:  # noqa: S310
        assert page.status == 200
    assert (tmp_path / "opened").read_text().strip() == found[1]
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, rest) == (0, "stopped\n")
    with socket.socket() as free:  # the server has ended
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", int(found[2])))


@pytest.mark.server
def test_of_a_server_the_address_is_printed_and_nothing_is_started(
    swept: str,
    pipeline: Pipeline,
    serving: Callable[..., object],
    store: str,
    tmp_path: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(store, tmp_path) as address:  # type: ignore[attr-defined]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address.replace("//", "//ada:s3cr3t@"))
        monkeypatch.setattr("pipeline.tracking.serving.subprocess.Popen", None)
        assert pipeline("open", swept, "--no-browser") == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2
    assert re.fullmatch(rf"open: +{address}/#/experiments/\d+/runs/{swept}\?\S+", shown[1])


def test_an_address_with_a_password_is_in_no_command_that_others_see(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[list[str]] = []

    def start(command: list[str], *, env: dict[str, str], **_: object) -> None:
        started.append(command)
        assert env["MLFLOW_BACKEND_STORE_URI"] == "postgresql://ada:s3cr3t@there/db"
        raise OSError("not started")

    monkeypatch.setattr("pipeline.tracking.serving.subprocess.Popen", start)
    with pytest.raises(OSError, match="not started"), ui_of("postgresql://ada:s3cr3t@there/db"):
        pass
    assert "s3cr3t" not in str(started)


def test_where_there_is_no_store_none_is_made(
    pipeline: Pipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/none.db")
    assert pipeline("open") == 1
    assert f"got no store at {tmp_path}/none.db: run main first" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22"}, False),
        ({"SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22", "DISPLAY": "localhost:10.0"}, True),
        ({"BROWSER": "firefox"}, True),
    ],
)
def test_a_browser_is_opened_only_where_it_has_a_screen(
    variables: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert step._has_screen() is expected
