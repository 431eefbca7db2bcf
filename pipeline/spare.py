"""Processes that train, begun before it is known what: meanwhile they import torch.

The command line starts them before a step's own imports, which takes as long.
"""

import importlib
import multiprocessing
from collections import deque
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

# "0" trains in the process of the step, which a debugger can follow; another number is the most.
WORKERS = "WHY_ZERO_WORKERS"
# Messages for whoever looks for a mistake in the program are shown, from these processes too.
DEBUG = "WHY_ZERO_DEBUG"
_waiting: deque[tuple[BaseProcess, Connection]] = deque()


def begin(count: int, guess: object = None) -> None:
    """Start so many processes, for `take` to find; they end with this one at the latest.

    Args:
        count: how many.
        guess: the settings of a step; the likely network is trained before it is asked for.
    """
    _waiting.extend(_started(guess) for _ in range(count))


def take() -> tuple[BaseProcess, Connection]:
    """A process that serves jobs, and the pipe to it: see `pipeline.workers.process.serve`.

    Raises:
        OSError: none can be started.
    """
    return _waiting.popleft() if _waiting else _started(None)


def dismiss() -> None:
    """End the processes that nobody has taken."""
    while _waiting:
        process, pipe = _waiting.popleft()
        process.kill()
        process.join()
        pipe.close()


def _started(guess: object) -> tuple[BaseProcess, Connection]:
    # Not by a fork: a copy of a process with torch's threads or CUDA cannot continue.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, guess), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _serve(pipe: Connection, guess: object) -> None:
    """Import what serves, which takes torch, and serve."""
    importlib.import_module("pipeline.workers.process").serve(pipe, guess)
