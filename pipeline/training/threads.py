"""How many threads an operation gets, found by trying it while training goes on.

On free cores more threads are faster. Beside other programs they are slower by far than a single
one: each operation ends when its last thread does, and the others spin until then. Which of the two
it is changes while a network trains, so it is measured again and again. The numbers do not depend
on it.
"""

import statistics
import time
from collections import deque

import torch

COMPARED = 5  # updates on each side of a comparison
FASTER = 0.95  # of the time, at most, is worth a change
SOONEST, LATEST = 1.0, 16.0  # seconds between two tries


class Threads:
    """Sets torch's threads after what the last updates took; called with every update.

    Powers of two are tried, one step up or down from what is in use, and the latter is kept unless
    the other is faster. A try that fails makes the next one later.
    """

    def __init__(self, first: int, most: int) -> None:
        """Start with the first count.

        Args:
            first: how many threads an operation gets until something is known.
            most: how many it may get; with 1 nothing is tried.
        """
        powers = (2**power for power in range(most.bit_length()))
        self._counts = sorted({first, most, *powers})
        self._place = self._counts.index(first)
        self._step = -1  # where to try next
        self._trial: int | None = None  # the place that is being tried
        self._wait = SOONEST
        self._usual: deque[float] = deque(maxlen=COMPARED)
        self._tried: list[float] = []
        self._last = self._next = time.perf_counter()
        torch.set_num_threads(first)

    @property
    def count(self) -> int:
        """The threads that an operation gets now."""
        return self._counts[self._place if self._trial is None else self._trial]

    def __call__(self) -> None:
        """Take note of an update that has just ended."""
        if len(self._counts) == 1:
            return
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        if self._trial is not None:
            self._tried.append(seconds)
            if len(self._tried) > COMPARED:
                self._judge(now)
            return
        self._usual.append(seconds)
        if now >= self._next and len(self._usual) == COMPARED:
            self._try()

    def _try(self) -> None:
        place = self._place + self._step
        if place not in range(len(self._counts)):
            self._step = -self._step
            place = self._place + self._step
        self._trial, self._tried = place, []
        torch.set_num_threads(self.count)

    def _judge(self, now: float) -> None:
        # Without the first, which starts the threads or waits for them to sleep.
        tried = statistics.median(self._tried[1:])
        if self._trial is not None and tried < FASTER * statistics.median(self._usual):
            self._place = self._trial
            self._wait = SOONEST
            self._next = now  # perhaps the next step in this direction pays as well
        else:
            self._step = -self._step
            self._wait = min(2 * self._wait, LATEST)
            self._next = now + self._wait
        self._trial = None
        self._usual.clear()
        torch.set_num_threads(self.count)
