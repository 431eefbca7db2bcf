"""Processes that train, begun before it is known what: meanwhile they import torch.

The command line starts them before a step's own imports, which takes as long. On Linux one process
imports torch for all, and they are copies of it: they share its memory, and the second one starts
at once.
"""

import importlib
import multiprocessing
import sys
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING

from pipeline.interrupts import left_to_this_process

if TYPE_CHECKING:  # on Windows there is but one
    from multiprocessing.context import ForkServerContext, SpawnContext

# "0" trains in the process of the step, which a debugger can follow; another number is the most.
WORKERS = "WHY_ZERO_WORKERS"
# Messages for whoever looks for a mistake in the program are shown, from these processes too.
DEBUG = "WHY_ZERO_DEBUG"
_SERVES = "pipeline.workers.process"
_Started = tuple[BaseProcess, Connection]
_waiting: deque["Future[_Started]"] = deque()


def begin(count: int, guess: object = None) -> None:
    """Start so many processes, for `take` to find; they end with this one at the latest.

    Args:
        count: how many.
        guess: the settings of a step; the likely network is trained before it is asked for.
    """
    for _ in range(count):
        started: Future[_Started] = Future()
        # The first copy waits until torch is imported, for which this process need not wait.
        threading.Thread(target=_fulfil, args=(started, guess), daemon=True).start()
        _waiting.append(started)


def take() -> _Started:
    """A process that serves jobs, and the pipe to it: see `pipeline.workers.process.serve`.

    Raises:
        OSError: none can be started.
    """
    if not _waiting:
        begin(1)
    return _waiting.popleft().result()


def dismiss() -> None:
    """End the processes that nobody has taken, at the latest when they have started."""
    while _waiting:
        _waiting.popleft().add_done_callback(_end)


def _end(started: "Future[_Started]") -> None:
    if started.exception() is None:
        process, pipe = started.result()
        process.kill()
        process.join()
        pipe.close()


def _fulfil(started: "Future[_Started]", guess: object) -> None:
    try:
        with left_to_this_process():
            process = _start(guess)
        started.set_result(process)
    except Exception as error:  # noqa: BLE001 - it is raised where the process is taken
        started.set_exception(error)


def _start(guess: object) -> _Started:
    if sys.platform == "linux":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([_SERVES])
        # The path of its socket may be too long, or the one that is copied has died.
        with suppress(OSError, EOFError):
            return _started(context, guess)
    # Never a copy of this process: with torch's threads or CUDA it could not continue.
    return _started(multiprocessing.get_context("spawn"), guess)


def _started(context: "ForkServerContext | SpawnContext", guess: object) -> _Started:
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, guess), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _serve(pipe: Connection, guess: object) -> None:
    """Import what serves, which takes torch, and serve."""
    importlib.import_module(_SERVES).serve(pipe, guess)
