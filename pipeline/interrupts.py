"""Ctrl-C and its relatives, which wait for a write to end.

A write to a database that is cut in the middle leaves it locked, and the run that it belongs to
cannot be ended.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

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


@contextmanager
def left_to_this_process() -> Iterator[None]:
    """Start processes in the block that let this one decide, from their first import on.

    Where signals can be blocked, Ctrl-C and the end of the terminal do not reach them.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    signals = {signal.SIGINT, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        resource_tracker.ensure_running()  # lets Ctrl-C through again
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
