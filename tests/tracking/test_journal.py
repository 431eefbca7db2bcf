"""A server that goes away: nothing is lost, nothing doubled, and nobody waits for it."""

import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from torch import nn

from pipeline.console import Console
from pipeline.errors import PipelineError
from pipeline.files import temporary_folder
from pipeline.tracking import (
    RefusedError,
    Run,
    SavedModels,
    Tracker,
    UnsentError,
    connect,
    connected,
    log_model,
    send_journals,
)
from pipeline.tracking import journal as journals
from pipeline.tracking import outbox as outboxes
from pipeline.tracking import store as stores
from pipeline.tracking.journal import DamagedError, Journal, Plan
from tests.tracking.faults import Fault, Held, Proxy, differences, holds, proxy_before


class Said(Console):
    """A console, and what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def line(self, text: str = "") -> None:
        self.lines.append(text)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


SAVED = SavedModels()  # tracing takes a second
pytestmark = pytest.mark.server

Told = tuple[Held, list[str]]
Serving = Callable[[str, Path], AbstractContextManager[str]]
PLAN = Plan("1", "experiment 1 of 0", "http://nowhere")


# ---- the files ----


def begun(folder: Path, count: int = 3) -> Journal:
    journal = Journal.begin(folder, PLAN)
    for number in range(count):
        journal.append("a" if number % 2 == 0 else "b", "log", {"at_ms": number})
    return journal


def numbers(journal: Journal) -> list[int]:
    return [place.number for place in journal.waiting()[0]]


def test_records_are_found_again_in_their_order_with_their_files(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    journal = begun(tmp_path / "journals", 2)
    journal.append("a", "log_files", {"folder": "plots"}, tmp_path / "x")
    (tmp_path / "x").unlink()
    journal.leave()
    [found] = journals.left(tmp_path / "journals")
    places, damages = found.waiting()
    records = [found.read(place) for place in places]
    assert [(record.number, record.run, record.operation) for record in records] == [
        (0, "a", "log"),
        (1, "b", "log"),
        (2, "a", "log_files"),
    ]
    assert records[2].arguments == {"folder": "plots"}
    assert (records[2].files / "x").read_bytes() == b"content"  # type: ignore[operator]
    assert found.plan == PLAN
    assert damages == []


def test_what_is_sent_is_not_found_again_and_its_files_are_gone(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    journal = begun(tmp_path / "journals", 2)
    place = journal.append("local", "create", {}, tmp_path / "x")
    last = journal.append("a", "log", {})
    for each in (journal.waiting()[0][0], place):
        journal.mark_sent(each, given="7" * 32 if each is place else None)
    journal.leave()
    [found] = journals.left(tmp_path / "journals")
    assert numbers(found) == [1, last.number]
    assert found.ids == {"local": "7" * 32}
    assert not (found.folder / "files" / "2").exists()


def test_a_run_whose_records_are_sent_takes_no_room(tmp_path: Path) -> None:
    journal = begun(tmp_path, 1)
    journal.mark_sent(journal.waiting()[0][0])
    assert not list(journal.folder.glob("*.jsonl"))
    journal.append("a", "log", {"at_ms": 5})
    assert numbers(journal) == [1]


def test_a_record_cut_short_by_a_kill_was_never_written(tmp_path: Path) -> None:
    journal = begun(tmp_path, 3)
    path = journal.folder / "a.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    assert numbers(journal) == [0, 1]
    assert journal.waiting()[1] == []


@pytest.mark.parametrize("place", [0, 40, 60, 130])
def test_from_a_damaged_record_on_nothing_of_that_run_is_sent(tmp_path: Path, place: int) -> None:
    journal = begun(tmp_path, 6)
    path = journal.folder / "a.jsonl"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    places, [damage] = journal.waiting()
    before = 0 if place < content.index(b"\n") else 1
    assert [each.number for each in places if each.run == "a"] == [0, 2, 4][:before]
    assert [each.number for each in places if each.run == "b"] == [1, 3, 5]
    assert damage.startswith("a record of a journal must be as it was written, got another from")
    assert "run 'a'" in damage


def test_a_record_that_is_missing_in_the_middle_is_damage(tmp_path: Path) -> None:
    journal = begun(tmp_path, 6)
    path = journal.folder / "a.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    places, damages = journal.waiting()
    assert [each.number for each in places if each.run == "a"] == [0]
    assert len(damages) == 1


def test_an_artifact_with_a_flipped_bit_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    journal = begun(tmp_path / "journals", 0)
    place = journal.append("a", "log_files", {}, tmp_path / "x")
    (journal.folder / "files" / "0" / "x").write_bytes(b"cantent")
    with pytest.raises(DamagedError, match="other artifacts"):
        journal.read(place)
    assert journal.waiting()[0] == []


def test_the_journal_of_a_living_process_is_left_to_it(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    assert list(journals.left(tmp_path)) == []
    journal.leave()
    assert len(list(journals.left(tmp_path))) == 1


def test_a_journal_of_another_version_is_told_and_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = begun(tmp_path)
    (journal.folder / "plan.json").write_bytes(journals._sealed(b'{"format":"9"}', ""))
    journal.leave()
    assert list(journals.left(tmp_path)) == []
    assert "use the version that wrote it" in caplog.text
    with FileLock(journal.folder / "lock", timeout=0):
        pass


def test_a_full_disk_leaves_no_part_of_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = begun(tmp_path, 1)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(PipelineError, match="a disk must have room"):
            journal.append("a", "log", {"at_ms": 9})
    journal.append("a", "log", {"at_ms": 10})
    places, damages = journal.waiting()
    assert [journal.read(place).arguments["at_ms"] for place in places] == [0, 10]
    assert damages == []


# ---- with a server ----


@pytest.fixture(scope="module")
def proxy(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("server")
    with (
        serving(f"sqlite:///{folder}/mlflow.db", folder) as address,
        proxy_before(address, folder) as made,
    ):
        yield made


@pytest.fixture(autouse=True)
def _place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv(outboxes.PATIENCE, "20")
    # As often as a test has time for.
    monkeypatch.setattr(outboxes, "_LONGEST_PAUSE_SECONDS", 0.1)


def story(tracker: Tracker, *, pause: Callable[[], object] = lambda: None) -> None:
    """Log everything that a step can: two networks, one of them with a model, and a report."""
    with tracker.start_step("sweep", "the sweep", parameters={"seed": "0"}) as step:
        pages = []
        for name in ("first", "second"):
            tags = {"fingerprint": name, "pipeline": step.id}
            with tracker.start_network(name, {"rate": "1"}, step="sweep", tags=tags) as run:
                run.dataset(
                    "data",
                    "0" * 36,
                    source="nowhere",
                    context="training",
                    arrays={"x": np.zeros((2, 3), np.float32)},
                    profile={},
                )
                for epoch in range(3):
                    run.metrics({"loss": 1 / (1 + epoch), "accuracy": epoch / 2}, step=epoch)
                pause()
                at_ms = run.metrics({"val/loss": 0.5}, step=2)
                run.metrics_once({"test/loss": 0.25}, 2, at_ms=at_ms)
                run.text(f"see {run.page}\n", "report/page.html")
                run.images({0: np.zeros((4, 4), np.uint8)}, "film")
                if name == "first":
                    a_model(run, at_ms)
                run.describe(f"A network of [the sweep]({step.page}).")
            pages.append(f"[{name}]({run.page})")
        step.metrics({"best": 1.0}, step=0)
        step.describe("Trained " + ", ".join(pages))


def a_model(run: Run, at_ms: int) -> None:
    network = nn.Sequential(nn.Linear(3, 2, bias=False))
    nn.init.ones_(network[0].weight)
    example = np.ones((2, 3), np.float32)
    log_model(
        run, network, example=example, metrics={"val/loss": 0.5}, step=2, at_ms=at_ms, saved=SAVED
    )


@pytest.fixture(scope="module")
def undisturbed(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What the server holds after the story, and the requests that it took."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("undisturbed"))
        patch.setenv("MLFLOW_TRACKING_URI", proxy.address)
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "undisturbed")
        proxy.reset()
        with connected(Said()) as tracker:
            story(tracker)
        return proxy.holds("undisturbed"), list(proxy.seen)


def tell(*, pause: Callable[[], object] = lambda: None) -> str:
    """Log the story through a journal; what the terminal shows."""
    said = Said()
    with connected(said) as tracker:
        story(tracker, pause=pause)
    return said.text


def left_over() -> list[Path]:
    return list(Path("journals").glob("*"))


@pytest.fixture
def uri(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    proxy.reset()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.address)
    return proxy


def test_through_a_journal_a_server_gets_what_a_database_gets(
    uri: Proxy, undisturbed: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    del uri
    database = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    with connected(Said()) as tracker:
        story(tracker)
    assert not Path("journals").exists()
    name = os.environ["MLFLOW_EXPERIMENT_NAME"]
    assert holds(database, name) == undisturbed[0]


CREATING = [
    "POST runs/create",
    "POST runs/log-batch",
    "POST runs/log-inputs",
    "POST runs/update",
    "POST runs/outputs",
    "POST logged-models",
    "PATCH logged-models/ID",
    "PUT artifacts",
]


def first_of_each(kinds: list[str], what: int | str) -> Fault:
    """A fault of the first request of each kind."""
    waiting = set(kinds)

    def fault(method: str, name: str, _: int) -> int | str | None:
        if (kind := f"{method} {name}") in waiting:
            waiting.remove(kind)
            return what
        return None

    return fault


@pytest.mark.parametrize("what", ["lost", "gone", 500, 429])
def test_an_answer_that_is_lost_and_a_request_that_fails_double_and_lose_nothing(
    uri: Proxy, undisturbed: Told, request: pytest.FixtureRequest, what: int | str
) -> None:
    assert set(CREATING) <= set(undisturbed[1])
    uri.reset(first_of_each(CREATING, what))
    tell()
    assert differences(uri.holds(request.node.name), undisturbed[0]) == []
    assert left_over() == []


@pytest.mark.parametrize("what", ["gone", "hang", 503])
def test_work_goes_on_while_a_server_is_away_and_the_rest_follows_once_it_is_back(
    uri: Proxy, undisturbed: Told, request: pytest.FixtureRequest, what: int | str
) -> None:
    is_away = threading.Event()
    uri.reset(lambda *_: what if is_away.is_set() else None)
    said = Said()
    with connected(said) as tracker:
        # It comes back when all work is done, and has not waited.
        story(tracker, pause=is_away.set)
        until(lambda: bool(said.lines))
        is_away.clear()
    away, back = said.lines
    assert away.startswith("the tracking server is away (")
    assert away.endswith("the work goes on, and what it logs is kept in journals/ until it is back")
    assert back.startswith("the tracking server is back: ")
    assert differences(uri.holds(request.node.name), undisturbed[0]) == []
    assert left_over() == []


def until(is_so: Callable[[], bool]) -> None:
    """Return when something is so."""
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_slow_server_gets_everything_however_long_it_takes(
    uri: Proxy,
    undisturbed: Told,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end of a step waits as long as anything is taken."""
    monkeypatch.setenv(outboxes.PATIENCE, "1")
    uri.reset(lambda *_: "slow")
    assert tell() == ""
    assert differences(uri.holds(request.node.name), undisturbed[0]) == []


def unsent(uri: Proxy, monkeypatch: pytest.MonkeyPatch, what: int | str = "gone") -> str:
    """Log the story while the server goes away for good; the error at its end."""
    monkeypatch.setenv(outboxes.PATIENCE, "0.2")
    is_away = threading.Event()
    uri.reset(lambda *_: what if is_away.is_set() else None)
    with pytest.raises(UnsentError) as caught:
        tell(pause=is_away.set)
    is_away.clear()
    assert caught.value.exit_code == 75
    return str(caught.value)


def test_what_is_left_at_the_end_is_sent_by_sync(
    uri: Proxy,
    undisturbed: Told,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = unsent(uri, monkeypatch)
    assert message.endswith("once it is back, send them with `why-zero sync`")
    assert " records left, kept in journals/" in message
    sent = send_journals(Path("journals"))
    assert (sent.journals, sent.problems, sent.elsewhere) == (1, [], [])
    assert f" {sent.records} records left" in message
    assert len(sent.runs) == 3
    assert differences(uri.holds(request.node.name), undisturbed[0]) == []
    assert left_over() == []
    assert send_journals(Path("journals")).journals == 0


def test_the_next_step_sends_what_an_earlier_one_has_left(
    uri: Proxy,
    undisturbed: Told,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unsent(uri, monkeypatch, 403)
    connect()
    assert differences(uri.holds(request.node.name), undisturbed[0]) == []
    assert left_over() == []


def test_a_run_that_another_step_has_marked_as_killed_meanwhile_ends_as_it_was(
    uri: Proxy,
    undisturbed: Told,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unsent(uri, monkeypatch)
    client = MlflowClient(uri.address)
    experiment = client.get_experiment_by_name(request.node.name)
    for run in client.search_runs([experiment.experiment_id]):
        client.set_tag(run.info.run_id, "reason", "its process has died")
        client.set_terminated(run.info.run_id, "KILLED")
    send_journals(Path("journals"))
    assert differences(uri.holds(request.node.name), undisturbed[0]) == []


def test_everything_sent_once_more_changes_nothing(
    uri: Proxy,
    undisturbed: Told,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after a loss of power, which takes the newest notes of what was sent."""
    unsent(uri, monkeypatch)
    [folder] = left_over()
    shutil.copytree(folder, "copy")
    send_journals(Path("journals"))
    shutil.copytree("copy", folder)
    assert send_journals(Path("journals")).records > 10
    assert differences(uri.holds(request.node.name), undisturbed[0]) == []


def test_a_journal_is_sent_to_its_own_server_alone(
    uri: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    unsent(uri, monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    sent = send_journals(Path("journals"))
    assert (sent.journals, sent.elsewhere) == (0, [uri.address])
    assert len(left_over()) == 1


def test_a_damaged_journal_is_told_and_kept_and_the_other_runs_are_sent(
    uri: Proxy,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unsent(uri, monkeypatch)
    [folder] = left_over()
    [path] = [
        path for path in folder.glob("local-*.jsonl") if b"log_model" not in path.read_bytes()
    ]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"x" + lines[3], *lines[4:]]))
    damage, kept = send_journals(Path("journals")).problems
    assert damage.startswith("a record of a journal must be as it was written, got another")
    assert f"{folder}.damaged" in kept
    states = {run[0]: run[1] for run in uri.holds(request.node.name)["runs"]}
    assert states == {"the sweep": "FINISHED", "first": "FINISHED", "second": "RUNNING"}
    assert send_journals(Path("journals")).journals == 0


def test_a_run_that_is_deleted_meanwhile_takes_nothing_from_others(
    uri: Proxy, request: pytest.FixtureRequest
) -> None:
    client = MlflowClient(uri.address)

    def delete() -> None:
        experiment = client.get_experiment_by_name(request.node.name)
        found = client.search_runs([experiment.experiment_id], "attributes.run_name = 'first'")
        for run in found:
            client.delete_run(run.info.run_id)

    with connected(Said()) as tracker:
        step = tracker.start_step("sweep", "the sweep", parameters={})
        first = tracker.start_network("first", {}, step="sweep", tags={})
        first.metrics({"loss": 1.0}, step=0)
        assert tracker.is_settled()
        delete()
        first.metrics({"loss": 0.5}, step=1)
        assert tracker.is_settled()
        with pytest.raises(RefusedError, match="the tracking server refused run"):
            first.metrics({"loss": 0.2}, step=2)
        assert first.is_gone()
        with tracker.start_network("second", {}, step="sweep", tags={}) as second:
            second.metrics({"loss": 1.0}, step=0)
        step.end("finished")
    states = {run[0]: run[1] for run in uri.holds(request.node.name)["runs"]}
    assert states == {"the sweep": "FINISHED", "second": "FINISHED"}


@pytest.mark.parametrize("status", [401, 403, 500, 429])
def test_a_server_that_does_not_let_write_is_refused_at_the_start(uri: Proxy, status: int) -> None:
    """It lets read: 200 for each GET and each search."""
    reads = {"runs/search", "experiments/search", "experiments/create"}
    uri.reset(lambda method, name, _: None if method == "GET" or name in reads else status)
    with pytest.raises(PipelineError, match="the tracking store must work"), connected(Said()):
        pytest.fail("it began")
    assert left_over() == []


def test_no_password_is_in_a_journal(uri: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.address.replace("//", "//ada:hunter22@"))
    unsent(uri, monkeypatch)
    for path in Path("journals").rglob("*"):
        assert not path.is_file() or b"hunter22" not in path.read_bytes()


def test_a_locked_database_is_waited_for_and_told_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    run = connect().start_network("a", {}, step="t", tags={})
    left_to_fail = [5]
    log_batch = MlflowClient.log_batch

    def locked(*given: object, **named: object) -> None:
        if left_to_fail[0]:
            left_to_fail[0] -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorname = "SQLITE_BUSY"
            raise MlflowException("locked") from error
        log_batch(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", locked)
        run.metrics({"loss": 1.0}, step=0)
        told = [record.getMessage() for record in caplog.records]
        assert [text for text in told if "locked by another process: waiting" in text] == told
        assert len(told) == 1
        left_to_fail[0] = 10**9
        patch.setattr(stores, "LOCKED_SECONDS", 0.2)
        with pytest.raises(PipelineError, match="locked by another process"):
            run.metrics({"loss": 1.0}, step=1)
    assert run.logged("loss").keys() == {0}


def test_a_server_that_is_away_all_night_is_asked_again_every_half_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outboxes, "_LONGEST_PAUSE_SECONDS", 30.0)
    assert [outboxes._pause(tries) for tries in (1, 2, 6, 7, 20_000)] == [0.5, 1, 16, 30, 30]


def test_a_record_that_a_server_never_takes_keeps_back_its_own_run_alone(
    uri: Proxy,
    undisturbed: Told,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(outboxes.PATIENCE, "1")
    uri.reset(lambda _, name, __: 500 if name == "logged-models" else None)
    said = Said()
    with pytest.raises(UnsentError), connected(said) as tracker:
        story(tracker)

    states = {run[0]: run[1] for run in uri.holds(request.node.name)["runs"]}
    assert states == {"the sweep": "FINISHED", "first": "RUNNING", "second": "FINISHED"}
    [first] = MlflowClient(uri.address).search_runs(
        [MlflowClient(uri.address).get_experiment_by_name(request.node.name).experiment_id],
        "attributes.run_name = 'first'",
    )
    stuck = [line for line in said.lines if "but not record" in line]
    assert len(stuck) == 1
    assert f" of run {first.info.run_id} (" in stuck[0]

    with pytest.raises(PipelineError, match=f"for run {first.info.run_id}, while it takes other"):
        send_journals(Path("journals"))
    uri.reset()
    sent = send_journals(Path("journals"))
    assert sent.runs == {first.info.run_id}
    assert differences(uri.holds(request.node.name), undisturbed[0]) == []
    assert left_over() == []


def test_a_record_that_a_server_refuses_again_and_again_fails_its_own_run_alone(
    uri: Proxy, request: pytest.FixtureRequest
) -> None:
    """Between those of other runs, 5 times."""
    uri.reset(lambda _, name, __: 409 if name == "logged-models" else None)
    with pytest.raises(RefusedError, match="the tracking server refused run"):
        tell()
    states = {run[0]: run[1] for run in uri.holds(request.node.name)["runs"]}
    assert states == {"the sweep": "FINISHED", "first": "RUNNING", "second": "FINISHED"}
    assert uri.seen.count("POST logged-models") == 5
    assert left_over() == []


def test_what_is_read_from_a_server_leaves_nothing_in_the_temporary_folder(
    uri: Proxy, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tell()
    client = MlflowClient(uri.address)
    experiment = client.get_experiment_by_name(request.node.name)
    run = client.search_runs([experiment.experiment_id], "attributes.run_name = 'first'")[0]
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    tracker = connect()
    assert tracker.has_artifact(run.info.run_id, "report/page.html")
    with temporary_folder() as folder:
        page = tracker.artifact(run.info.run_id, "report/page.html", folder)
        assert page.read_text("utf-8").startswith("see ")
    assert list((tmp_path / "temporary").iterdir()) == []
