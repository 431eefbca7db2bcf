"""Standard streams that outlive their readers: output that cannot be written is dropped.

A closed pipe, a full disk or a terminal that is gone must not end what is being computed.
"""

import io
import os
import select
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

_TRIES_SECONDS = 1.0


class _Lasting(io.RawIOBase):
    """A file that takes everything, and passes on what it can.

    Attributes:
        problem: the first error for which something was dropped; None while nothing was.
    """

    def __init__(self, file: io.RawIOBase) -> None:
        self._file = file
        self.problem: OSError | None = None

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - of any type that holds bytes
        """How many bytes are done with, written or dropped."""
        try:
            while (written := self._file.write(data)) is None:  # not ready, and does not wait
                select.select([], [self._file], [], _TRIES_SECONDS)
        except OSError as error:
            self.problem = self.problem or error
            return len(data)
        return written

    def writable(self) -> bool:
        """Always."""
        return True

    def isatty(self) -> bool:
        """Whether it is a terminal's."""
        return self._file.isatty()

    def fileno(self) -> int:
        """Its number."""
        return self._file.fileno()


class Output:
    """Standard output and error of this process, made to last."""

    def __init__(self) -> None:
        """Replace both; open what is closed, or the next file opened would take its number."""
        for number in range(3):
            with suppress(OSError):
                os.fstat(number)
                continue
            os.open(os.devnull, os.O_RDWR)
        sys.stdout, self._out = _lasting(sys.stdout, 1)
        sys.stderr, _ = _lasting(sys.stderr, 2)

    @property
    def problem(self) -> OSError | None:
        """Why something of standard output was lost, unless nobody wanted to read on."""
        sys.stdout.flush()
        problem = self._out.problem
        return None if isinstance(problem, BrokenPipeError) else problem


def _lasting(stream: TextIO | None, number: int) -> tuple[io.TextIOWrapper, _Lasting]:
    """The stream, or one for this number where Python has found none."""
    buffer: Any = getattr(stream, "buffer", None)
    raw: Any = getattr(buffer, "raw", buffer) or io.FileIO(number, "w", closefd=False)
    lasting = _Lasting(raw)
    encoding = getattr(stream, "encoding", "utf-8")
    text = io.TextIOWrapper(
        io.BufferedWriter(cast("io.FileIO", lasting)),
        encoding=encoding,
        errors="replace",
        line_buffering=raw.isatty(),
    )
    return text, lasting
