"""Files that are not finished, and disks that are full."""

import errno
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipeline import files
from pipeline.errors import PipelineError, UsageError
from pipeline.files import (
    beside,
    check_room,
    full_disk,
    given_path,
    prove_room,
    replace_folder,
    temporary_folder,
    write_whole,
)

ROOT = Path(__file__).parent.parent


def test_what_is_made_beside_a_place_can_be_moved_there_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out[1].zip"
    with beside(out) as work:
        assert work.parent == out.parent
        (work / "whole").write_text("a")
        (work / "whole").replace(out)
    assert [path.name for path in out.parent.iterdir()] == ["out[1].zip"]


@pytest.mark.parametrize("text", ["~nosuchuser/x", "a\0b", "\ud800"])
def test_a_text_that_is_no_path_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match="a path must") as caught:
        given_path(text)
    assert str(caught.value).isprintable()
    assert given_path("~/x") == Path.home() / "x"
    assert os.fsencode(given_path("a\udcff")) == b"a\xff"


def _die_within(out: Path) -> None:
    with beside(out) as work:
        (work / "half").write_text("a")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.kill
def test_what_a_killed_process_left_is_removed_by_the_next_and_what_a_living_one_fills_stays(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out[1]"
    died = multiprocessing.get_context("fork").Process(target=_die_within, args=(out,))
    died.start()
    died.join()
    [left] = tmp_path.iterdir()
    with beside(tmp_path / "another"):
        assert left.exists()
    with beside(out) as first:
        assert not left.exists()
        with beside(out) as second:
            assert {first, second} == set(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def _write_on_a_full_disk(out: Path) -> None:
    """No file may grow beyond 100 bytes: the write fails half way."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    with pytest.raises(OSError, match="too large"):
        write_whole(out, bytes(1000))


def _die_while_writing(out: Path) -> None:
    os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
    write_whole(out, bytes(1000))


@pytest.mark.kill
def test_a_page_stays_as_it_was_until_the_next_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    write_whole(out, b"old")
    fork = multiprocessing.get_context("fork")
    for work, code in ((_write_on_a_full_disk, 0), (_die_while_writing, -signal.SIGKILL)):
        process = fork.Process(target=work, args=(out,))
        process.start()
        process.join()
        assert process.exitcode == code
        assert out.read_bytes() == b"old"
    write_whole(out, b"new")
    assert out.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [out]


def test_what_a_page_is_written_to_stays_a_link_keeps_its_rights_or_is_a_pipe(
    tmp_path: Path,
) -> None:
    page, link = tmp_path / "page.html", tmp_path / "link.html"
    page.touch()
    page.chmod(0o640)
    link.symlink_to(page)
    write_whole(link, b"new")
    assert link.is_symlink()
    assert (page.read_bytes(), page.stat().st_mode & 0o777) == (b"new", 0o640)
    reading, writing = os.pipe()
    write_whole(Path(f"/dev/fd/{writing}"), b"piped")
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"piped"


def _work_beside(out: Path) -> None:
    for _ in range(100):
        with beside(out) as work:
            (work / "made").touch()
            assert (work / "made").exists()


def test_processes_that_begin_beside_one_place_at_once_leave_each_other_alone(
    tmp_path: Path,
) -> None:
    fork = multiprocessing.get_context("fork")
    several = [fork.Process(target=_work_beside, args=(tmp_path / "out",)) for _ in range(4)]
    for process in several:
        process.start()
    for process in several:
        process.join()
    assert [process.exitcode for process in several] == [0, 0, 0, 0]
    assert list(tmp_path.iterdir()) == []


def _die_while_replacing(out: Path) -> None:
    with beside(out) as work:
        (work / "new").mkdir()
        rename = Path.rename

        def rename_once(self: Path, target: Path) -> Path:
            if self.name == "new":
                os.kill(os.getpid(), signal.SIGKILL)
            return rename(self, target)

        Path.rename = rename_once  # type: ignore[method-assign]
        replace_folder(work / "new", out, work)


@pytest.mark.kill
def test_a_folder_that_a_killed_process_had_moved_away_is_brought_back(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("a")
    died = multiprocessing.get_context("fork").Process(target=_die_while_replacing, args=(out,))
    died.start()
    died.join()
    assert not out.exists()
    with beside(out) as work:
        assert [path.name for path in out.iterdir()] == ["old"]
        (work / "new").mkdir()
        replace_folder(work / "new", out, work)
    assert list(out.iterdir()) == []
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), RuntimeError("full, pos 64")])
def test_a_full_temporary_folder_is_named_whatever_was_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(type(error), match="full"), temporary_folder():
        raise error
    monkeypatch.setattr(files, "_has_room", lambda folder: folder != tmp_path)
    with pytest.raises(PipelineError, match=f"none left in {tmp_path}: make room"):  # noqa: SIM117
        with temporary_folder():
            raise error
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_removed_from_the_temporary_folder_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "no disk")

    with monkeypatch.context() as refusing, temporary_folder() as folder:
        (folder / "a").write_text("a")
        refusing.setattr(os, "unlink", refuse)
    assert (folder / "a").exists()


def test_an_error_that_explains_itself_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_has_room", lambda _: False)
    with pytest.raises(PipelineError, match="of its own"), temporary_folder():
        raise PipelineError("of its own")


def test_less_room_than_is_needed_is_refused_before_it_is_written(tmp_path: Path) -> None:
    check_room(tmp_path, 1)
    with pytest.raises(PipelineError, match=f"room for 1,000,000,.*in {tmp_path}: make room"):
        check_room(tmp_path, 10**18)


def _prove_within_a_quota(folder: Path) -> None:
    """With room on the disk, and a limit of the process."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    prove_room(folder, 1000)
    with pytest.raises(PipelineError, match=f"none left in {folder}: make room there"):
        prove_room(folder, 1001)


def test_a_quota_that_no_number_of_free_bytes_shows_is_met_before_it_is_written(
    tmp_path: Path,
) -> None:
    limited = multiprocessing.get_context("fork").Process(
        target=_prove_within_a_quota, args=(tmp_path,)
    )
    limited.start()
    limited.join()
    assert limited.exitcode == 0
    assert list(tmp_path.iterdir()) == []


def test_the_full_one_of_several_places_is_found_also_where_it_is_still_to_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    assert full_disk(tmp_path, tmp_path / "a" / "b" / "c") is None
    monkeypatch.setattr(files, "_has_room", lambda folder: folder.name != "a")
    assert full_disk(tmp_path, tmp_path / "a" / "b" / "c") == tmp_path / "a"


@pytest.mark.slow
@pytest.mark.kill
def test_a_network_that_cannot_be_written_for_a_full_disk_is_one_line_and_goes_on_later(
    tmp_path: Path,
) -> None:
    """On a real file system of 40 MB: torch's writer of graphs would end the process."""
    full = tmp_path / "full"
    full.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(full)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    command = [sys.executable, "-m", "pipeline", "mnist", "--epochs", "0", "--widths", "2000,2000"]

    def run(**environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, "--mask-passes", "0"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    try:
        failed = run(TMPDIR=str(full))
    finally:
        subprocess.run(["umount", str(full)], check=True)
    assert failed.returncode == 1
    [line] = failed.stderr.splitlines()
    assert line.startswith("error: 1 of 1 network failed: ")
    assert f"in {full}" in line
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert "resuming 1 interrupted network" in done.stdout
