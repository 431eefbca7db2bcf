"""Lets the stacks of several devices train at the same time, and publish one at a time.

While `torch.export` traces a network, calls of any module are caught by the tracer, those of other
threads too. It must not know what is trained or published.
"""

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pipeline.errors import Interrupted

T = TypeVar("T")


class Turns:
    """Shared by the threads of all devices."""

    def __init__(self) -> None:
        """Start with nobody at work."""
        self._change = threading.Condition()
        self._training = 0
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

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """The items, each made while nobody publishes."""
        source = iter(items)
        while True:
            with self._change:
                self._change.wait_for(lambda: not self._is_taken)
                self._training += 1
            try:
                item = next(source)
            except StopIteration:
                return
            finally:
                with self._change:
                    self._training -= 1
                    self._change.notify_all()
            yield item

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep the others from training and publishing while the block runs."""
        with self._change:
            self._change.wait_for(lambda: not self._is_taken)
            self._is_taken = True
            self._change.wait_for(lambda: not self._training)
        try:
            yield
        finally:
            with self._change:
                self._is_taken = False
                self._change.notify_all()
