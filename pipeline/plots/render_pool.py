"""Draws in processes of their own, so that the pictures of many networks take every core."""

import gc
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from matplotlib.figure import Figure

from pipeline.plots.style import to_png

P = ParamSpec("P")
T = TypeVar("T")

MOST_WORKERS = 8
# A figure is thousands of objects that live as long as it does: Python's own thresholds would
# have it looked through again and again, for a seventh of the time that drawing takes.
GARBAGE = (20_000, 20, 100)

_logger = logging.getLogger(__name__)


class RenderPool:
    """Takes things to draw, and gives each when it is asked for."""

    def __init__(self, open_pool: Callable[[], ProcessPoolExecutor | None]) -> None:
        """Draw in the processes of a pool, opened when first asked; here if it gives None.

        Args:
            open_pool: opens it; `render_pool` gives one that is closed in time.
        """
        self._open_pool = open_pool
        self._pool: ProcessPoolExecutor | None = None
        self._is_open = False
        self._lock = threading.Lock()

    def submit(self, draw: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        """Have something drawn, and return what gives it, and waits for it first.

        Args:
            draw: a function of a module, with arguments and a result that can be pickled.
            args: its arguments.
            kwargs: likewise.
        """
        here = partial(draw, *args, **kwargs)
        with self._lock:
            if not self._is_open:
                self._pool, self._is_open = self._open_pool(), True
            pool = self._pool
        if pool is None:
            return here
        try:
            drawn = pool.submit(draw, *args, **kwargs)
        except (BrokenProcessPool, OSError):  # the second: no other process can be started
            return here
        return lambda: self._result(drawn, here)

    def png(
        self, draw: Callable[P, Figure], /, *args: P.args, **kwargs: P.kwargs
    ) -> Callable[[], bytes]:
        """Have a figure drawn as a PNG file; else as `submit`."""
        return self.submit(_png, draw, *args, **kwargs)

    def _result(self, drawn: "Future[T]", here: Callable[[], T]) -> T:
        try:
            return drawn.result()
        except BrokenProcessPool as error:
            if self._pool is not None:
                _logger.warning("Pictures are drawn one by one from here on: %s", error)
                self._pool = None
            return here()


@contextmanager
def render_pool(networks: int) -> Iterator[RenderPool]:
    """A pool for the pictures of so many networks: a process for each, up to the cores.

    A process starts when there is something to draw, and ends with the block, or with this process
    in whatever way that ends.
    """
    workers = max(1, min(networks, os.cpu_count() or 1, MOST_WORKERS))
    with ExitStack() as ending:

        def open_pool() -> ProcessPoolExecutor | None:
            pool = _pool(workers)
            if pool is not None:
                ending.callback(pool.shutdown, cancel_futures=True)
            return pool

        yield RenderPool(open_pool)


def _pool(workers: int) -> ProcessPoolExecutor | None:
    """The processes; None where the system has no semaphores for them, as some containers."""
    # Not by a fork: what has started torch's threads, or CUDA, cannot go on in a copy.
    context = multiprocessing.get_context("spawn")
    try:
        return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
    except (OSError, NotImplementedError, ImportError):
        return None


def _png(draw: Callable[P, Figure], /, *args: P.args, **kwargs: P.kwargs) -> bytes:
    return to_png(draw(*args, **kwargs))


def _begin() -> None:
    """Leave Ctrl-C to the process that has started this one, and leave with it."""
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
