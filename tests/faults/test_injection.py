"""The n-th commit or change of a file fails, or the process dies there."""

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from tests.faults.injection import Fault, Injection, kinds_at


def in_a_copy(work: Callable[[], None]) -> int:
    """Do something in a copy of this process, which an audit hook never leaves: its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def disturbed(tmp_path: Path) -> Callable[..., int]:
    def run(fault: Fault | None, work: Callable[[Injection], object]) -> int:
        def here() -> None:
            injection = Injection(tmp_path, fault)
            injection.install()
            work(injection)

        return in_a_copy(here)

    return run


def test_places_are_counted_in_their_order_and_only_those_that_write(
    disturbed: Callable[..., int], tmp_path: Path
) -> None:
    (tmp_path / "old").write_text("a")

    def work(injection: Injection) -> None:
        (tmp_path / "old").read_text()
        Path(os.devnull).write_text("a")
        (tmp_path / "new").write_text("a")
        (tmp_path / "new").replace(tmp_path / "place")
        (tmp_path / "place").unlink()
        assert injection.places == ["file open new", "file rename new", "removal remove place"]

    assert disturbed(None, work) == 0


@pytest.mark.parametrize(("is_lasting", "fails"), [(False, "010"), (True, "011")])
def test_a_fault_happens_once_or_from_its_place_on(
    disturbed: Callable[..., int], tmp_path: Path, is_lasting: bool, fails: str
) -> None:
    def work(_: Injection) -> None:
        found = []
        for name in "abc":
            try:
                (tmp_path / name).write_text("a")
                found.append(None)
            except OSError as error:
                found.append(error.strerror)
        full = "No space left on device"
        assert found == [full if fail == "1" else None for fail in fails]

    assert disturbed(Fault(2, "no room", is_lasting), work) == 0


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A database with an empty table."""
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (x)")
        database.commit()
    return path


def rows(table: Path) -> int:
    with closing(sqlite3.connect(table)) as database:
        return len(database.execute("SELECT * FROM t").fetchall())


def commit(table: Path) -> str | None:
    """Write a row and commit: what was raised."""
    try:
        with create_engine(f"sqlite:///{table}").connect() as connection:
            connection.execute(text("INSERT INTO t VALUES (1)"))
            connection.commit()
    except OperationalError as error:
        return str(error.orig)
    return None


@pytest.mark.parametrize(
    ("kind", "raised", "many"),
    [
        ("locked", "database is locked", 0),
        ("no room", "database or disk is full", 0),
        ("answer lost", "disk I/O error", 1),
        ("full", "disk I/O error", 0),
    ],
)
def test_a_commit_fails_before_or_after_it_is_done(
    disturbed: Callable[..., int], table: Path, kind: str, raised: str, many: int
) -> None:
    def work(injection: Injection) -> None:
        assert rows(table) == 0  # to read is no place
        assert commit(table) == raised
        assert rows(table) == many
        assert injection.places == ["commit"]

    assert disturbed(Fault(1, kind), work) == 0


def test_a_full_disk_stops_native_writers_too(
    disturbed: Callable[..., int], tmp_path: Path
) -> None:
    def work(_: Injection) -> None:
        (tmp_path / "a").mkdir()
        with pytest.raises(SafetensorError, match="File too large"):
            save_file({"a": torch.zeros(9)}, tmp_path / "b")

    assert disturbed(Fault(1, "full"), work) == 0


@pytest.mark.kill
@pytest.mark.parametrize(("kind", "many"), [("kill", 0), ("kill after", 1)])
def test_a_process_dies_before_or_after_a_commit(
    disturbed: Callable[..., int], table: Path, kind: str, many: int
) -> None:
    assert disturbed(Fault(1, kind), lambda _: commit(table)) == -signal.SIGKILL
    assert rows(table) == many


def test_each_place_has_the_faults_that_can_happen_there() -> None:
    assert "locked" in kinds_at("commit")
    assert "no room" in kinds_at("file open a")
    assert "no room" not in kinds_at("removal remove a")
    assert "500" in kinds_at("request POST /api")
