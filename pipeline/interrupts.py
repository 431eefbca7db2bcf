"""Ctrl-C and its relatives, which wait for a write to end.

A write to a database that is cut in the middle leaves it locked, and the run that it belongs to
cannot be ended.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import Interrupted


class _Held(threading.local):
    """Of each thread; a signal arrives in the main one."""

    depth = 0
    signal_number = 0


_held = _Held()


def interrupt(signal_number: int) -> None:
    """End what this thread does: now, or after the block that is `held`.

    Raises:
        Interrupted: now.
    """
    if not _held.depth:
        raise Interrupted(signal_number)
    _held.signal_number = signal_number


@contextmanager
def held() -> Iterator[None]:
    """Let no interruption into the block; one that has arrived is raised after it.

    Raises:
        Interrupted: one has arrived.
    """
    _held.depth += 1
    try:
        yield
    finally:
        _held.depth -= 1
        if _held.signal_number and not _held.depth:
            number, _held.signal_number = _held.signal_number, 0
            raise Interrupted(number)
