"""What runs in a worker's process: jobs from a pipe, messages into it, until the pipe closes."""

import logging
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from pipeline import spare
from pipeline.config.options import MnistSettings
from pipeline.data import ImageData
from pipeline.errors import PipelineError
from pipeline.training import device as devices
from pipeline.workers.ahead import Ahead, Asked
from pipeline.workers.job import Job, trained

Tell = Callable[[str, object], None]


def serve(pipe: Connection, guess: object = None) -> None:
    """Train one job after another, and tell what happens; messages are (kind, content).

    The kinds: `event` with an `Event`, `updates` with how many were made since the last,
    `log` with a record of `logging`, `error` with what training raised, which ends the job.

    Args:
        pipe: where jobs come from and messages go.
        guess: the settings of `mnist`, if that is what will be asked for: see `Ahead`.
    """
    for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
        signal.signal(number, signal.SIG_IGN)  # the process that gives the jobs decides
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    tell = _teller(pipe)
    logging.basicConfig(handlers=[Telling(tell)], level=logging.WARNING)
    if os.environ.get(spare.DEBUG):
        logging.getLogger("pipeline").setLevel(logging.DEBUG)
    known: ImageData | None = None

    def receive() -> Asked:
        try:
            job, _, given = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from our own process
        except EOFError:
            os._exit(0)
        data = given or known  # the same as before is not sent again
        assert data is not None  # noqa: S101 - the first job brings some
        return job, data

    with devices.flushing_denormals():  # before torch starts threads, which inherit it
        asked = _begin_ahead(guess, receive, tell) if isinstance(guess, MnistSettings) else None
        while True:
            job, known = asked or receive()
            asked = None
            work(job, known, tell, Beats(tell))


def _begin_ahead(guess: MnistSettings, receive: Callable[[], Asked], tell: Tell) -> Asked | None:
    """Train the likely network; what was asked for and is still to be done, if that is known."""
    ahead = Ahead(receive, partial(tell, "event"))
    try:
        is_done = ahead.train(guess, Beats(tell))
    except Exception:  # noqa: BLE001 - whoever asks for it meets it again
        is_done = False
    return None if is_done else ahead.asked


def work(job: Job, data: ImageData, tell: Tell, beat: Callable[[], None]) -> None:
    """Train one job, and tell what happens or what training raises; beat with every update."""
    try:
        for event in trained(job, data, beat):
            tell("event", event)
    except Exception as error:  # noqa: BLE001 - it is raised where the job was given
        error.add_note(traceback.format_exc())
        tell("error", _portable(error))


class Beats:
    """Counts updates, and tells of them some times a second."""

    def __init__(self, tell: Tell, seconds: float = 0.1) -> None:
        """Tell of them so often at most."""
        self._tell = tell
        self._seconds = seconds
        self._updates = 0
        self._told = time.monotonic()

    def __call__(self) -> None:
        """Count one."""
        self._updates += 1
        now = time.monotonic()
        if now - self._told >= self._seconds:
            self._tell("updates", self._updates)
            self._updates, self._told = 0, now


class Telling(logging.Handler):
    """Passes warnings on to the process that gives the jobs."""

    def __init__(self, tell: Tell) -> None:
        """Pass them to this."""
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on a warning, as text."""
        record.msg, record.args, record.exc_info = record.getMessage(), None, None
        self._tell("log", record)


def _teller(pipe: Connection) -> Tell:
    """What sends messages from a thread of its own: training does not wait for who reads them."""
    messages: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def send() -> None:
        while True:
            try:
                pipe.send(messages.get())
            except OSError:  # nobody reads any more
                os._exit(1)

    threading.Thread(target=send, daemon=True).start()
    return lambda kind, content: messages.put((kind, content))


def _portable(error: Exception) -> Exception:
    """The error as it is if it survives the way to another process, else one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what was written one call before
    except Exception:  # noqa: BLE001 - whatever its class does wrong
        return PipelineError(f"{type(error).__name__}: {error}")
    return error


def _leave_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
