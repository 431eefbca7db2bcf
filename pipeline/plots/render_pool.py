"""Draws in separate processes, so that the pictures of many networks use every core."""

import gc
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from matplotlib.figure import Figure

from pipeline.interrupts import left_to_this_process
from pipeline.plots.png import to_png

P = ParamSpec("P")
T = TypeVar("T")

MOST_WORKERS = 8
# A figure is thousands of objects that live as long as it does: with Python's own thresholds the
# garbage collector would scan them again and again, for a seventh of the drawing time.
GARBAGE = (20_000, 20, 100)

_logger = logging.getLogger(__name__)


class RenderPool:
    """Accepts drawing jobs, and returns each result when it is asked for.

    Processes start with `begin`, or when there is something to draw. If none can be started, or
    one has died, this process draws.
    """

    def __init__(self, workers: int) -> None:
        """Draw in so many processes; `render_pool` closes them in time."""
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._has_warned = False
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Start a process, in a moment when nobody waits for its imports."""
        self.submit(int)

    def submit(self, draw: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        """Submit a drawing job, and return a function that waits for its result.

        Args:
            draw: a function of a module, with arguments and a result that can be pickled.
            args: its arguments.
            kwargs: likewise.
        """
        here = partial(draw, *args, **kwargs)
        try:
            with left_to_this_process():
                drawn = self._processes().submit(draw, *args, **kwargs)
        # Some containers have no semaphores for a pool, or allow no other process.
        except (BrokenProcessPool, OSError, NotImplementedError, ImportError):
            return here
        return lambda: self._result(drawn, here)

    def png(
        self, draw: Callable[P, Figure], /, *args: P.args, **kwargs: P.kwargs
    ) -> Callable[[], bytes]:
        """Submit a figure to be drawn as a PNG file; otherwise as `submit`."""
        return self.submit(_png, draw, *args, **kwargs)

    def close(self) -> None:
        """End the processes, dropping results that were not asked for."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _processes(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                # Not by a fork: a copy of a process with torch's threads or CUDA cannot continue.
                spawn = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(
                    self._workers, mp_context=spawn, initializer=_begin
                )
            return self._pool

    def _result(self, drawn: "Future[T]", here: Callable[[], T]) -> T:
        try:
            return drawn.result()
        except BrokenProcessPool as error:
            if not self._has_warned:
                _logger.warning("Pictures are now drawn one by one: %s", error)
                self._has_warned = True
            return here()


@contextmanager
def render_pool(networks: int) -> Iterator[RenderPool]:
    """A pool for the pictures of so many networks: a process for each, up to the cores.

    The processes end with the block, or with this process, however that ends.
    """
    pool = RenderPool(max(1, min(networks, os.cpu_count() or 1, MOST_WORKERS)))
    with closing(pool):
        yield pool


def _png(draw: Callable[P, Figure], /, *args: P.args, **kwargs: P.kwargs) -> bytes:
    return to_png(draw(*args, **kwargs))


def _begin() -> None:
    """Leave Ctrl-C to the parent process, and exit with it."""
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
