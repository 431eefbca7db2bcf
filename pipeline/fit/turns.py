"""Lets the stacks of several devices train at the same time, and publish one at a time.

While `torch.export` traces a network, calls of any module are caught by the tracer, those of other
threads too.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import Interrupted


class Turns:
    """Shared by the threads of all devices; each either works or waits for its turn."""

    def __init__(self) -> None:
        """Start with no thread at work."""
        self._change = threading.Condition()
        self._working = 0
        self._is_taken = False
        self._is_over = threading.Event()

    def stop(self) -> None:
        """End what is still trained, at its next `heartbeat`."""
        self._is_over.set()

    def heartbeat(self) -> None:
        """Return, unless it is over.

        Raises:
            Interrupted: another thread has ended all.
        """
        if self._is_over.is_set():
            raise Interrupted(signal.SIGINT)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Work alongside the others while the block runs, once no thread is working alone."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def give_way(self) -> None:
        """Let a thread that waits to be alone go first; call it while `working`."""
        self._count(-1)
        self._count(1)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have all others wait where they `give_way` while the block runs, inside of `working`."""
        self._count(-1)
        has_turn = False
        try:
            with self._change:
                self._change.wait_for(lambda: not self._is_taken)
                has_turn = self._is_taken = True
                self._change.wait_for(lambda: not self._working)
            yield
        finally:
            with self._change:
                self._is_taken = self._is_taken and not has_turn
                self._working += 1
                self._change.notify_all()

    def _count(self, change: int) -> None:
        with self._change:
            if change > 0:
                self._change.wait_for(lambda: not self._is_taken)
            self._working += change
            self._change.notify_all()
