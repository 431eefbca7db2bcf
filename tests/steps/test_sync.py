"""Sweeps whose server goes away: they train on, and end with what an undisturbed one has."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pipeline.cli import commands
from pipeline.tracking import outbox as outboxes
from pipeline.tracking.journal import Journal, Plan
from tests.tracking.faults import Held, Proxy, differences, holds, proxy_before
from tests.tracking.test_journal import tell

pytestmark = [pytest.mark.server, pytest.mark.slow]

Serving = Callable[[str, Path], AbstractContextManager[str]]
ROOT = Path(__file__).parents[2]
QUICK = (
    *("--devices", "cpu", "--epochs", "2", "--widths", "6,4", "--batch-size", "50"),
    *("--holdout", "50", "--probe-every", "1", "--mask-passes", "1"),
    *("--drop-rates", "0,0.5", "--seeds", "0"),
)
# A stack's own name; and a text that holds seconds.
OWN = ("stack", "mlflow.note.content")
# Kills the process when it has written so many records to its journal.
DYING = """
import os, signal, sys
from pipeline.cli import commands
from pipeline.tracking.journal import Journal

append, left = Journal.append, [int(sys.argv[1])]

def dying(*given, **named):
    place = append(*given, **named)
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return place

Journal.append = dying
sys.exit(commands.run(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def proxy(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("server")
    with (
        serving(f"sqlite:///{folder}/mlflow.db", folder) as address,
        proxy_before(address, folder) as made,
    ):
        yield made


@pytest.fixture
def uri(
    request: pytest.FixtureRequest, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Proxy:
    """The server, used from a folder and in an experiment of the test's own."""
    monkeypatch.chdir(tmp_path)
    settle(monkeypatch, proxy, request.node.name)
    monkeypatch.setattr(outboxes, "_LONGEST_PAUSE_SECONDS", 0.1)
    proxy.reset()
    return proxy


def settle(monkeypatch: pytest.MonkeyPatch, proxy: Proxy, experiment: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.address)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", experiment)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv(outboxes.PATIENCE, "30")


def sweep(small: Path) -> int:
    return commands.run(["sweep", "--data", str(small), *QUICK])


@pytest.fixture(scope="module")
def undisturbed(proxy: Proxy, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Held:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("undisturbed"))
        settle(patch, proxy, "undisturbed")
        proxy.reset()
        assert sweep(small) == 0
        return proxy.holds("undisturbed", ignored=OWN, has_content=False)


def held(proxy: Proxy, request: pytest.FixtureRequest) -> Held:
    """What the server has of the test's experiment; the seconds in files differ each time."""
    return proxy.holds(request.node.name, ignored=OWN, has_content=False)


def networks(held: Held) -> Held:
    """What a server holds of networks: a sweep that was killed has a second run of its own."""
    runs = [run for run in held["runs"] if run[3]["kind"] == "network"]
    return {"runs": runs, "models": held["models"]}


def test_a_sweep_whose_server_stops_in_the_middle_ends_as_if_it_had_not(
    uri: Proxy, undisturbed: Held, small: Path, request: pytest.FixtureRequest
) -> None:
    stops, lasts = 60, 2.0
    timers: list[threading.Timer] = []
    is_away = threading.Event()

    def fault(_method: str, _name: str, number: int) -> str | None:
        if number == stops:
            is_away.set()
            timers.append(threading.Timer(lasts, is_away.clear))
            timers[0].start()
        return "gone" if is_away.is_set() else None

    uri.reset(fault)
    assert sweep(small) == 0
    assert timers
    assert differences(held(uri, request), undisturbed) == []
    assert list(Path("journals").glob("*")) == []


def test_a_sweep_whose_server_stays_away_exits_with_75_and_sync_finishes_it(  # noqa: PLR0917
    uri: Proxy,
    undisturbed: Held,
    small: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(outboxes.PATIENCE, "1")
    uri.reset(lambda _method, _name, number: "gone" if number >= 60 else None)
    assert sweep(small) == 75
    said = capsys.readouterr()
    assert said.out.count("the tracking server is away") == 1
    assert said.err.endswith("once it is back, send them with `why-zero sync`\n")
    assert said.err.count("\n") == 1
    uri.reset()
    assert commands.run(["sync"]) == 0
    assert " of 3 runs sent, from 1 journal\n" in capsys.readouterr().out
    assert differences(held(uri, request), undisturbed) == []
    assert commands.run(["sync"]) == 0
    assert capsys.readouterr().out == "nothing to do: no journal was left here\n"
    # What was trained is found, and nothing trained again.
    assert sweep(small) == 0
    assert "2 of 2 networks: already trained" in capsys.readouterr().out


@pytest.mark.kill
@pytest.mark.parametrize("records", [8, 30])
def test_a_sweep_that_is_killed_while_its_server_is_away_is_gone_on_with(
    uri: Proxy, undisturbed: Held, small: Path, request: pytest.FixtureRequest, records: int
) -> None:
    made: list[str] = []

    def fault(_method: str, name: str, _number: int) -> str | None:
        made.extend([name] if name == "runs/create" else [])
        return "gone" if len(made) > 1 else None  # it has the run of the sweep alone

    uri.reset(fault)
    killed = subprocess.run(
        [sys.executable, "-c", DYING, str(records), "sweep", "--data", str(small), *QUICK],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    uri.reset()
    assert sweep(small) == 0
    assert differences(networks(held(uri, request)), networks(undisturbed)) == []
    assert list(Path("journals").glob("*")) == []


def test_a_database_server_gets_it_through_a_journal_too(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "story")
    begin, begun = Journal.begin, list[Path]()

    def noted(folder: Path, plan: Plan) -> Journal:
        begun.append(folder)
        return begin(folder, plan)

    monkeypatch.setattr(Journal, "begin", noted)
    held = []
    for place in (database, f"sqlite:///{tmp_path}/mlflow.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", place)
        tell()
        held.append(holds(place, "story"))
    assert differences(*held) == []
    assert begun == [Path("journals")]
    assert not Path("journals").exists()
