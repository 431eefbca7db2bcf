"""Makes the n-th commit, change of a file or request of a process fail, or kills it there.

The places are counted as they come: commits that write, files opened for writing, renamed, removed
or synchronised, folders made or removed, and requests. Native code that writes files (SQLite,
safetensors, torch) has no such place of its own: the fault `full` stops its writes as well.
"""

import errno
import os
import resource
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine.default import DefaultDialect
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.response import HTTPResponse

COMMIT, FILE, REMOVAL, REQUEST = "commit", "file", "removal", "request"
# What may happen at a place of each kind.
KINDS = {
    COMMIT: ("kill", "kill after", "locked", "no room", "I/O error", "answer lost", "full"),
    FILE: ("kill", "no room", "I/O error", "full"),
    REMOVAL: ("kill", "I/O error"),  # needs no room
    REQUEST: ("kill", "kill after", "reset", "answer lost", "500"),
}
_OF_SQLITE = {
    "locked": "database is locked",
    "no room": "database or disk is full",
    "I/O error": "disk I/O error",
    "answer lost": "disk I/O error",
}
_OF_FILES = {"no room": errno.ENOSPC, "I/O error": errno.EIO}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Fault:
    """What happens where.

    Attributes:
        place: the number of the place, from 1 on.
        kind: one of `KINDS`.
        is_lasting: it happens at all later places as well, until the process ends.
    """

    place: int
    kind: str
    is_lasting: bool = False

    def __str__(self) -> str:
        """As it is printed."""
        return f"{self.kind} {'from' if self.is_lasting else 'at'} place {self.place}"


class Injection:
    """The places that this process reaches, and the fault at some of them.

    Attributes:
        places: what each was, such as `commit` or `file rename checkpoints/…`.
    """

    def __init__(self, root: Path, fault: Fault | None = None) -> None:
        """Watch nothing yet.

        Args:
            root: changes of files elsewhere are not counted.
            fault: what to do; None to count only.
        """
        self.places: list[str] = []
        self._root = str(root)
        self._fault = fault
        self._lock = threading.Lock()
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def install(self) -> None:
        """Watch from now on, until the process ends."""
        sys.addaudithook(self._audit)
        self._wrap(DefaultDialect, "do_commit", self._commit)
        self._wrap(os, "fsync", self._fsync)
        self._wrap(HTTPConnectionPool, "_make_request", self._request)

    @staticmethod
    def _wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:  # noqa: ANN401
        original = getattr(owner, name)
        setattr(owner, name, lambda *args, **kwargs: around(original, *args, **kwargs))

    def _reach(self, what: str) -> str | None:
        """Count a place; the kind of fault that happens there, None for none."""
        with self._lock:
            self.places.append(what)
            place, fault = len(self.places), self._fault
        if fault is None:
            return None
        is_due = place == fault.place or (fault.is_lasting and place > fault.place)
        if fault.kind == "full":
            # What the system then says of writes by anybody, SQLite and safetensors as well.
            limit = 0 if is_due else self._limits[0]
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, self._limits[1]))
            return None
        if is_due and fault.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return fault.kind if is_due else None

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not flags & _WRITES:
                return
        elif event in {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}:
            path = arguments[0]
        else:
            return
        if isinstance(path, str | bytes | os.PathLike):
            self._file(event.removeprefix("os."), os.fsdecode(path))

    def _file(self, what: str, path: str) -> None:
        if path.startswith("/") and not path.startswith(self._root):
            return
        path = path.removeprefix(self._root).lstrip("/")
        of = REMOVAL if what in {"remove", "rmdir"} else FILE
        kind = self._reach(f"{of} {what} {path}")
        if of == REMOVAL and kind == "no room":
            return
        if number := _OF_FILES.get(kind or ""):
            raise OSError(number, os.strerror(number), path)

    def _fsync(self, fsync: Callable[..., None], file: Any) -> None:  # noqa: ANN401
        self._file("fsync", "")
        fsync(file)

    def _commit(self, commit: Callable[..., None], dialect: object, connection: Any) -> None:  # noqa: ANN401
        if not connection.in_transaction:  # it has only read
            commit(dialect, connection)
            return
        kind = self._reach(COMMIT)
        if kind in _OF_SQLITE and kind != "answer lost":
            raise sqlite3.OperationalError(_OF_SQLITE[kind])
        commit(dialect, connection)
        self._after(kind, sqlite3.OperationalError(_OF_SQLITE["answer lost"]))

    def _request(self, send: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        kind = self._reach(f"{REQUEST} {args[2]} {args[3]}")
        if kind == "reset":
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        if kind == "500":
            return HTTPResponse(body=b"{}", status=500, preload_content=False)
        answer = send(*args, **kwargs)
        self._after(kind, ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))
        return answer

    @staticmethod
    def _after(kind: str | None, lost: Exception) -> None:
        if kind == "kill after":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "answer lost":
            raise lost


def kinds_at(place: str) -> tuple[str, ...]:
    """What may happen at a place, as `Injection.places` names it."""
    return KINDS[place.split(maxsplit=1)[0]]
