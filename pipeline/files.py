"""Places for files that are not finished, and what to say of a disk that is full."""

import errno
import glob
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import PipelineError, UsageError

# Told without the file that was written.
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_BEFORE = "before"
_PROBE_BYTES = 1 << 20


def given_path(text: str) -> Path:
    """The path that a user has typed, with `~` for a home.

    Raises:
        UsageError: it cannot be a path here.
    """
    try:
        path = Path(text).expanduser()
        os.fsencode(path)
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"a path must lead somewhere, got {text!a} ({error}): give one without ~, or with the "
            "name of a user after it"
        ) from error
    if "\0" in text:
        raise UsageError(f"a path must not hold a zero byte, got {text!a}: correct it")
    return path


def check_folder_of(out: Path) -> None:
    """Return if the folder that the file `out` goes to exists: asked before any work.

    Raises:
        PipelineError: it does not.
    """
    if not out.parent.is_dir():
        raise PipelineError(
            f"out must be in a folder that exists, got {out}: make {out.parent} first"
        )


def write_out(out: Path, text: str) -> None:
    """Write the file `out`.

    Raises:
        PipelineError: it cannot be written.
    """
    try:
        write_whole(out, text.encode())
    except OSError as error:
        raise PipelineError(
            f"out must be a file that can be written, got {out} ({error.strerror}): name another"
        ) from error


@contextmanager
def beside(out: Path) -> Iterator[Path]:
    """A hidden folder next to `out`, for what is renamed to it once it is whole; then it is gone.

    Next to it, because files can be renamed only within one file system. What killed processes
    left for the same `out` is removed.

    Args:
        out: a file or folder, in a folder that is made if it does not exist.

    Raises:
        OSError: the folder cannot be made.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_left(out)
    folder, lock = _locked_folder(out)
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def write_whole(out: Path, content: bytes) -> None:
    """Write a file where a user wants it: all of it, or what was there before stays as it is.

    Args:
        out: the file; a link stays one, and what is no file, such as /dev/stdout, is written to.
        content: all of it.

    Raises:
        OSError: it cannot be written.
    """
    if out.exists() and not (out.is_file() or out.is_dir()):
        out.write_bytes(content)
        return
    out = Path(os.path.realpath(out))
    is_there = out.exists()
    if is_there and not os.access(out, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(out))
    with beside(out) as work:
        part = work / "part"
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if is_there:
            shutil.copymode(out, part)
        part.replace(out)


def _locked_folder(out: Path) -> tuple[Path, FileLock]:
    """A new folder next to `out`, and the lock on it, which is held."""
    while True:
        folder = out.parent / f".{out.name}.{secrets.token_hex(4)}.part"
        folder.mkdir()
        lock = FileLock(_lock(folder))
        with suppress(FileNotFoundError, FileExistsError):
            lock.acquire()
            if _lock(folder).exists():
                return folder, lock
        # Before it was locked another process has taken it for abandoned.
        lock.release()


def remove_left(out: Path) -> None:
    """Remove what killed processes have left beside `out`; what they had replaced goes back."""
    for left in out.parent.glob(f".{glob.escape(out.name)}.*.part"):
        _remove_abandoned(left, out)


def remove_abandoned(folder: Path) -> None:
    """Remove what killed processes have left of `beside` and `remove_folder` in a folder."""
    for left in folder.glob(".*.part"):
        _remove_abandoned(left, folder / left.name[1:].rsplit(".", 2)[0])


def remove_folder(folder: Path) -> None:
    """Remove a folder; what is left of it is for `remove_abandoned`, and never half a folder."""
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    with suppress(OSError):
        folder.rename(part)
    for there in (part, folder):
        shutil.rmtree(there, ignore_errors=True)


def replace_folder(folder: Path, out: Path, work: Path) -> None:
    """Move a folder to `out`, in the place of the one that may be there.

    Args:
        folder: in `work`.
        out: where it belongs.
        work: as `beside` gives it; if the process is killed in between, the next brings back what
            was at `out`.
    """
    before = work / _BEFORE
    if out.exists():
        out.rename(before)
    try:
        folder.rename(out)
    except OSError:
        if before.exists():
            before.rename(out)
        raise


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder in the temporary folder, gone after the block.

    Raises:
        PipelineError: it cannot be made, or there is no room left.
    """
    try:
        # What cannot be removed is the system's to remove: the work is done.
        made = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    except OSError as error:
        raise PipelineError(
            f"the temporary folder must be writable, got {error.strerror or error}: make room in "
            "it, or set TMPDIR to another"
        ) from error
    with made as name:
        folder = Path(name)
        try:
            yield folder
        except PipelineError:
            raise
        except Exception as error:
            # What libraries raise for a full disk is not always an OSError.
            if (full := full_disk(folder.parent)) is None:
                raise
            raise PipelineError(f"{no_room(full)}, or set TMPDIR to another folder") from error


def prove_room(folder: Path, room: int) -> None:
    """Return if so many bytes can be written to a folder, for writers that a full disk kills.

    A file of that size is made and removed: a quota shows in no number of free bytes.

    Raises:
        PipelineError: there is less room.
    """
    check_room(folder, room)
    probe = folder / f".{secrets.token_hex(4)}.probe"
    try:
        with probe.open("xb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, room)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise PipelineError(no_room(folder)) from error
        # Whatever else is wrong, the writer will say.
    finally:
        probe.unlink(missing_ok=True)


def check_room(folder: Path, room: int) -> None:
    """Return if so many bytes are free where a folder is.

    Raises:
        PipelineError: there are fewer.
    """
    if (free := shutil.disk_usage(folder).free) < room:
        raise PipelineError(
            f"a disk must have room for {room:,} bytes, got {free:,} in {folder}: make room there, "
            "or set TMPDIR if that is the temporary folder"
        )


def check_place(folder: Path, room: int) -> None:
    """Return if so many bytes can be written to a folder, which may still have to be made.

    It only asks, and writes nothing, so it takes no time.

    Raises:
        PipelineError: the folder, or the nearest one above it that exists, is not writable, or has
            less room.
    """
    there = nearest(folder)
    if not is_writable(there):
        raise PipelineError(
            f"a folder must be writable, got {there}: make it so, or start in another folder"
        )
    check_room(there, room)


def nearest(path: Path) -> Path:
    """The path, if it exists, else the nearest one above it that does."""
    path = path.absolute()
    return next(there for there in (path, *path.parents) if there.exists())


def is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, as far as its rights tell."""
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def full_disk(*folders: Path) -> Path | None:
    """The first of these folders, or of those above it that exist, that has no room; else None."""
    there = (next(path for path in (one, *one.parents) if path.is_dir()) for one in folders)
    return next((folder for folder in there if not _has_room(folder)), None)


def no_room(folder: Path) -> str:
    """What to say of a folder without room; more advice may follow."""
    return f"a disk must have room, got none left in {folder}: make room there"


def _has_room(folder: Path) -> bool:
    """Whether a file of a megabyte can be written; True where that fails for another reason."""
    probe = folder / f".{secrets.token_hex(4)}.probe"
    try:
        with probe.open("xb") as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno not in NO_ROOM
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return True


def _remove_abandoned(folder: Path, out: Path) -> None:
    """Remove the folder, unless a living process still fills it; what it had replaced goes back."""
    try:
        with FileLock(_lock(folder), timeout=0):
            if (folder / _BEFORE).exists() and not out.exists():
                (folder / _BEFORE).rename(out)
            # Still locked: a process that has just made it finds that it is gone.
            shutil.rmtree(folder, ignore_errors=True)
    except (Timeout, OSError):
        return
    if sys.platform == "win32":  # where a lock cannot be removed while it is held
        shutil.rmtree(folder, ignore_errors=True)


def _lock(folder: Path) -> Path:
    return folder / "lock"
