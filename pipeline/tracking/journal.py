"""What is to be logged, on disk before it is sent: a folder, with one file for each run.

`plan.json` says which experiment it is for. `RUN.jsonl` holds the records of a run, a line each,
with a digest of the line and of all lines before it; `files/7` the artifacts of record 7; `sent`
the numbers of the records that the store has, and the ids that it gave to runs. A record is on the
disk when `append` returns. It knows nothing of MLflow.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from pipeline.errors import PipelineError
from pipeline.files import NO_ROOM, no_room
from pipeline.interrupts import held

_logger = logging.getLogger(__name__)
JOURNALS = Path("journals")
FORMAT = "why-zero journal 1"
# The id of a run until the store has given it one; it is replaced wherever it is written.
LOCAL = re.compile(r"local-([0-9a-f]{32})")
_RUN = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")
_PLAN, _SENT, _FILES, _LOCK, _DAMAGED = "plan.json", "sent", "files", "lock", ".damaged"
# What taking apart a line that is not ours can raise.
_BROKEN = (ValueError, TypeError, KeyError, RecursionError, OverflowError)


class DamagedError(PipelineError):
    """A record that is not as it was written."""


@dataclass(frozen=True)
class Plan:
    """Where the records of a journal belong.

    Attributes:
        experiment: the id of the experiment.
        identity: what tells that experiment from others, wherever the server is moved to.
        address: of the server when it was written, without secrets, for people.
    """

    experiment: str
    identity: str
    address: str


@dataclass(frozen=True)
class Record:
    """One thing to log.

    Attributes:
        number: its place in the journal.
        run: the id of its run.
        operation: what to do.
        arguments: of the operation, of what JSON knows.
        files: the folder of its artifacts; None without any.
    """

    number: int
    run: str
    operation: str
    arguments: Mapping[str, Any]
    files: Path | None


@dataclass(frozen=True)
class Place:
    """Where a record is: in memory there is no room for all of them.

    Attributes:
        number: of the record.
        run: the id of its run.
        offset: of its line in the file of the run.
        length: of the line.
        before: the digest of the line before it.
    """

    number: int
    run: str
    offset: int
    length: int
    before: str


def local_id() -> str:
    """A new id for a run that the store does not know yet."""
    return f"local-{uuid.uuid4().hex}"


class Journal:
    """A folder of records; `begin` makes one and `left` finds those of dead processes.

    Attributes:
        folder: where it is.
        plan: where its records belong.
        ids: the ids that the store gave to runs, by those that they had before.
    """

    def __init__(self, folder: Path, plan: Plan, lock: FileLock) -> None:
        """Use a folder that is locked."""
        self.folder = folder
        self.plan = plan
        self.ids: dict[str, str] = {}
        self._lock = lock
        self._next = 0
        # Of each file that is written: the digest of its last line, and its length.
        self._ends: dict[str, tuple[str, int]] = {}
        self._last: dict[str, int] = {}
        self._writing = threading.RLock()

    @classmethod
    def begin(cls, folder: Path, plan: Plan) -> "Journal":
        """A new one in this folder of journals.

        Raises:
            PipelineError: it cannot be written.
        """
        place = folder / uuid.uuid4().hex
        with _told(folder):
            place.mkdir(parents=True)
            lock = FileLock(place / _LOCK)
            lock.acquire()
            written = json.dumps({"format": FORMAT, **vars(plan)})
            _write(place / _PLAN, _sealed(written.encode(), ""))
        return cls(place, plan, lock)

    def append(
        self, run: str, operation: str, arguments: Mapping[str, Any], files: Path | None = None
    ) -> Place:
        """Write a record to the disk, with a copy of its file or folder of artifacts.

        Raises:
            PipelineError: it cannot be written; then nothing of it is there.
        """
        with self._writing, held(), _told(self.folder):
            number = self._next
            digests = None if files is None else self._keep(files, number)
            record = {"number": number, "operation": operation, "arguments": arguments}
            before, offset = self._ends.get(run, ("", 0))
            content = json.dumps({**record, "files": digests}, separators=(",", ":"))
            line = _sealed(content.encode(), before or run)
            self._write_line(self._file(run), line, offset)
            self._next += 1
            self._ends[run] = line[:32].decode(), offset + len(line)
            self._last[run] = number
        return Place(number, run, offset, len(line), before or run)

    def read(self, place: Place) -> Record:
        """The record at this place.

        Raises:
            DamagedError: it, or one of its artifacts, is not as it was written.
        """
        try:
            with self._file(place.run).open("rb") as file:
                file.seek(place.offset)
                return self._record(_opened(file.read(place.length), place.before), place.run)
        except (OSError, *_BROKEN) as error:
            raise self._damage(place.run, place.number, error) from error

    def mark_sent(self, place: Place, *, given: str | None = None) -> None:
        """Note that the store has a record, and the id that it gave to the run.

        The artifacts are removed, and the file of a run when there is nothing more in it.
        """
        with self._writing, held(), _told(self.folder):
            if given:
                self.ids[place.run] = given
            noted = {"number": place.number} | ({"run": place.run, "id": given} if given else {})
            with (self.folder / _SENT).open("ab") as file:
                file.write(_sealed(json.dumps(noted).encode(), _SENT))
                files = self.folder / _FILES / str(place.number)
                if given or files.exists():
                    _sync(file)
            shutil.rmtree(files, ignore_errors=True)
            if self._last.get(place.run) == place.number:
                self._ends.pop(place.run, None)
                self._last.pop(place.run)
                self._file(place.run).unlink(missing_ok=True)

    def waiting(self) -> tuple[list[Place], list[str]]:
        """The records that are not sent, in their order, and what to say of damaged ones.

        Of a run nothing is taken from the first damaged record on. A line that a kill has cut short
        was never written.
        """
        sent, places, damages = self._sent(), list[Place](), list[str]()
        for path in sorted(self.folder.glob("*.jsonl")):
            run = path.name.removesuffix(".jsonl")
            before, offset, number = run, 0, -1
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                try:
                    if not _RUN.fullmatch(run):
                        raise ValueError(f"a run named {run!r}")
                    content = _opened(line, before)
                    taken = content["number"]
                    if taken in sent:
                        number = taken
                    else:
                        number = self._record(content, run).number
                        places.append(Place(number, run, offset, len(line), before))
                except (OSError, *_BROKEN) as error:
                    damages.append(str(self._damage(run, number + 1, error)))
                    break
                before, offset = line[:32].decode(), offset + len(line)
        return sorted(places, key=lambda place: place.number), damages

    def remove(self) -> None:
        """Remove it: the store has everything."""
        self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()  # unless there are others

    def put_aside(self) -> Path:
        """Keep what is damaged under another name, under which it is not found again."""
        aside = self.folder.with_name(self.folder.name + _DAMAGED)
        self.folder.rename(aside)
        self._lock.release()
        return aside

    def leave(self) -> None:
        """Leave it to another process."""
        self._lock.release()

    def _file(self, run: str) -> Path:
        return self.folder / f"{run}.jsonl"

    def _record(self, content: dict[str, Any], run: str) -> Record:
        """The record in a line that is as it was written; so are then its artifacts.

        Raises:
            ValueError: it is none.
        """
        number, digests = content["number"], content["files"]
        if type(number) is not int or number < 0 or not isinstance(content["operation"], str):
            raise ValueError("no record")
        if not isinstance(content["arguments"], dict):
            raise ValueError("no arguments")  # noqa: TRY004 - one kind of error for all damages
        folder = None if digests is None else self.folder / _FILES / str(number)
        if folder is not None and _digests(folder) != digests:
            raise ValueError("other artifacts")
        return Record(number, run, content["operation"], content["arguments"], folder)

    def _keep(self, files: Path, number: int) -> dict[str, str]:
        """Copy artifacts into the journal; the digest of each."""
        folder = self.folder / _FILES / str(number)
        shutil.rmtree(folder, ignore_errors=True)  # of a record that could not be written
        try:
            if files.is_dir():
                shutil.copytree(files, folder)
            else:
                folder.mkdir(parents=True)
                shutil.copy2(files, folder)
            for path in folder.rglob("*"):
                if path.is_file():
                    with path.open("rb") as file:
                        os.fsync(file.fileno())
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return _digests(folder)

    @staticmethod
    def _write_line(path: Path, line: bytes, offset: int) -> None:
        """Write a line at the end of a file, whole or not at all."""
        with path.open("ab") as file:
            try:
                file.write(line)
                _sync(file)
            except OSError:
                os.truncate(path, offset)
                raise

    def _sent(self) -> set[int]:
        """The numbers of the records that the store has; takes the ids that it gave to runs."""
        sent: set[int] = set()
        try:
            lines = (self.folder / _SENT).read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return sent
        for line in lines:
            try:
                noted = _opened(line, _SENT)
                sent.add(int(noted["number"]))
                if "id" in noted and _RUN.fullmatch(noted["id"]):
                    self.ids[str(noted["run"])] = noted["id"]
            except _BROKEN:
                continue  # it is sent again, which changes nothing
        return sent

    def _damage(self, run: str, number: int, error: Exception) -> DamagedError:
        return DamagedError(
            f"a record of a journal must be as it was written, got another from number {number} of "
            f"run {run[:70]!a} on in {self.folder} ({str(error)[:100]!a}): what follows of that "
            "run is not sent; the same command again trains it from its checkpoint"
        )


def left(folder: Path) -> Iterator[Journal]:
    """The journals in this folder whose processes are dead, oldest first, each locked.

    One that is damaged, or from a newer version, is told in a warning.
    """
    found = [path for path in folder.glob("*") if path.is_dir() and path.suffix != _DAMAGED]
    for place in sorted(found, key=lambda path: (path.stat().st_mtime, path.name)):
        lock = FileLock(place / _LOCK)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            continue  # its process lives, or has just removed it
        plan = place / _PLAN
        if not plan.exists():  # its process was killed before it wrote anything
            lock.release()
            shutil.rmtree(place, ignore_errors=True)
            continue
        try:
            found_plan = _plan(plan)
        except DamagedError as damage:
            _logger.warning("%s", damage)
            lock.release()
            continue
        yield Journal(place, found_plan, lock)


def _plan(path: Path) -> Plan:
    try:
        written = _opened(path.read_bytes(), "")
        if written["format"] != FORMAT:
            raise ValueError(f"the format {str(written['format'])[:40]}")
        return Plan(*(str(written[name]) for name in ("experiment", "identity", "address")))
    except (OSError, *_BROKEN) as error:
        raise DamagedError(
            f"a journal must be as this version writes it, got another in {path.parent} "
            f"({str(error)[:100]!a}): use the version that wrote it, or remove the folder"
        ) from error


def _sealed(content: bytes, before: str) -> bytes:
    """A line: the digest of what stands before it and of itself, and its content."""
    return f"{_digest(before.encode() + content)} ".encode() + content + b"\n"


def _opened(line: bytes, before: str) -> dict[str, Any]:
    """The content of a line.

    Raises:
        ValueError: it is not as it was written.
    """
    digest, content = line[:32], line[33:-1]
    if line[32:33] != b" " or _digest(before.encode() + content).encode() != digest:
        raise ValueError("another digest")
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("no record")  # noqa: TRY004 - one kind of error for all damages
    return found


def _digests(folder: Path) -> dict[str, str]:
    """The digest of every file below a folder, by its path."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): _digest(path.read_bytes()) for path in found}


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        _sync(file)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn what goes wrong with a folder of journals into one line."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise PipelineError(no_room(folder)) from error
        raise PipelineError(
            f"the folder of journals must be writable, got {folder} ({error.strerror or error}): "
            "make it so, or start in another folder"
        ) from error
