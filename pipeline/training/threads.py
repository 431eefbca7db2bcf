"""How many threads an operation gets, found by trying it while training goes on.

On free cores more threads are faster. Beside other programs they are slower by far than a single
one: each operation ends when its last thread does, and the others spin until then. Which of the two
it is changes while a network trains, so it is measured again and again: at once where cores have
become idle or busy, or updates slower, and now and then in any case. The numbers do not depend on
it.
"""

import statistics
import time
from collections import deque

import torch

from pipeline.training import device as devices

COMPARED = 5  # updates on each side of a comparison
FASTER = 0.95  # of the time, at most, is worth a change
SOONEST, LATEST = 1.0, 16.0  # seconds between two tries where nothing seems to change
LOOKS = 0.5  # seconds between two looks at whether something has changed:
CORES, PACE = 0.5, 1.5  # so many idle cores more or fewer, or updates that take so much longer


class Threads:
    """Sets torch's threads after what the last updates took; called with every update.

    Powers of two are tried, one step up or down from what is in use, and the latter is kept unless
    the other is faster. A try that fails makes the next one later; up only where a core is idle.
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
        self._seen: tuple[float, float] | None = None  # idle cores, and seconds of an update
        self._looked, self._idle = self._last, devices.idle_seconds()
        self._has_room = False  # for more threads
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
        if len(self._usual) < COMPARED:
            return
        if now >= self._looked + LOOKS:
            self._look(now)
        if now >= self._next:
            self._try()

    def _look(self, now: float) -> None:
        """Have a try made at once if the machine does not look as it did."""
        total, pace = devices.idle_seconds(), statistics.median(self._usual)
        # Where the machine does not say, it may be idle.
        idle = (total - self._idle) / (now - self._looked) if total else float(self._counts[-1])
        self._looked, self._idle, self._has_room = now, total, idle > CORES
        self._seen = was_idle, was_pace = self._seen or (idle, pace)
        if abs(idle - was_idle) > CORES or pace > PACE * was_pace:
            self._seen = idle, pace
            self._step = 1 if idle - was_idle > CORES else -1
            self._wait, self._next = SOONEST, now

    def _try(self) -> None:
        steps = [
            step
            for step in (self._step, -self._step)
            if self._place + step in range(len(self._counts)) and (step < 0 or self._has_room)
        ]
        if steps:
            self._step = steps[0]
            self._trial, self._tried = self._place + steps[0], []
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
