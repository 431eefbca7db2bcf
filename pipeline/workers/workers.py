"""Who trains: processes with a job each, or this process itself."""

import logging
import os
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from pipeline import spare
from pipeline.data import ImageData
from pipeline.errors import PipelineError, UsageError
from pipeline.training import device as devices
from pipeline.workers.job import Epoch, Event, Job, trained

# What a process takes before it trains: torch, and a copy of the images.
_BYTES = 600e6

_logger = logging.getLogger(__name__)
Pace = Callable[[int], None]


class Worker:
    """A process that trains one stack at a time on one device; it starts with its first job.

    If it dies, another one continues from the job's checkpoint; if that dies as well, without
    having ended an epoch, the job has failed.

    Attributes:
        device: the one it trains on.
    """

    def __init__(self, device: torch.device) -> None:
        """Start nothing yet."""
        self.device = device
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._knows = ""  # the digest of the data set that it has
        self._job: tuple[Job, ImageData, Pace] | None = None
        self._may_die = True

    @property
    def pipe(self) -> Connection | None:
        """What becomes readable when there is something to tell."""
        return self._pipe

    @property
    def has_more(self) -> bool:
        """Whether it has told something that `next` would not wait for."""
        return self._pipe is not None and self._pipe.poll()

    def start(self, job: Job, data: ImageData, pace: Pace) -> None:
        """Begin a job.

        Args:
            job: on this worker's device.
            data: what it is trained on.
            pace: called with how many updates were made since its last call.

        Raises:
            PipelineError: no process can be started.
        """
        self._job, self._may_die = (job, data, pace), True
        self._give()

    def next(self) -> Event | None:
        """What it has told; None for nothing that concerns the job's outcome. Waits for it.

        Raises:
            PipelineError: it has died twice; or whatever training raised.
        """
        if self._job is None or self._pipe is None:
            raise RuntimeError("a worker without a job has nothing to tell")
        try:
            kind, content = self._pipe.recv()
        except (EOFError, OSError):
            self._begin_again()
            return None
        if kind == "event":
            self._may_die |= isinstance(content, Epoch)
            event: Event = content
            return event
        if kind == "error":
            raise content
        if kind == "updates":
            self._job[2](content)
        else:
            logging.getLogger(content.name).handle(content)
        return None

    def close(self) -> None:
        """End the process, whatever it does; what it was training goes on from its checkpoint."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def _give(self) -> None:
        """Tell the process what to do; the data only if it does not have them."""
        if self._process is None or self._pipe is None:
            self._begin()
        if self._job is None or self._pipe is None:
            return
        job, data, _ = self._job
        # Not by torch's way of pickling, which needs room in /dev/shm.
        message = pickle.dumps((job, None if data.digest == self._knows else data))
        # It reads once it has imported torch; the others need not wait for that.
        threading.Thread(target=_send, args=(self._pipe, message), daemon=True).start()
        self._knows = data.digest

    def _begin(self) -> None:
        try:
            self._process, self._pipe = spare.take()
        except OSError as error:
            raise PipelineError(
                f"a process that trains must be able to start, got {error}: set "
                f"{spare.WORKERS}=0 to train in this one"
            ) from error
        self._knows = ""

    def _begin_again(self) -> None:
        """Give the job of a process that has died to another one, once."""
        process = self._process
        if process is not None:
            process.join()
        died = f"code {process.exitcode if process else None}"
        self.close()
        if not self._may_die:
            raise PipelineError(
                f"a process that trains must live, got two that ended ({died}) in the same epoch: "
                "for want of memory give fewer networks, smaller widths or a smaller batch_size"
            )
        self._may_die = False
        _logger.warning("A process that trains has ended (%s); another one goes on.", died)
        self._give()


def _send(pipe: Connection, message: bytes) -> None:
    with suppress(OSError):  # the process has died, which reading tells
        pipe.send_bytes(message)


class Here:
    """Trains in this process, one stack at a time; otherwise as a `Worker`."""

    has_more = False

    def __init__(self, device: torch.device) -> None:
        """Start nothing yet."""
        self.device = device
        self._events: Iterator[Event] = iter(())

    def start(self, job: Job, data: ImageData, pace: Pace) -> None:
        """Begin a job; arguments as of `Worker.start`."""
        self._events = trained(job, data, lambda: pace(1))

    def next(self) -> Event:
        """Train until there is something to tell; raises what training raises."""
        with devices.flushing_denormals():
            return next(self._events)

    def close(self) -> None:
        """Forget what was being trained."""
        if close := getattr(self._events, "close", None):
            close()


class Workers:
    """All workers of a step, each idle or with a job."""

    def __init__(self, counts: Mapping[torch.device, int]) -> None:
        """Have so many workers for each device; `workers` ends them in time."""
        is_here = list(counts.values()) == [0]
        kind: type[Worker | Here] = Here if is_here else Worker
        self._all = [kind(device) for device, count in counts.items() for _ in range(max(1, count))]

    def __iter__(self) -> Iterator[Worker | Here]:
        """Every one of them."""
        return iter(self._all)

    def close(self) -> None:
        """End them all."""
        for worker in self._all:
            worker.close()


def first_ready(busy: Sequence[Worker | Here], *, seconds: float | None) -> Worker | Here | None:
    """One that has something to tell, None if no one has within so many seconds.

    Args:
        busy: workers with a job; at least one.
        seconds: how long to wait; None for as long as it takes.
    """
    pipes: dict[Any, Worker | Here] = {}
    for worker in busy:
        if isinstance(worker, Here):
            return worker
        pipes[worker.pipe] = worker
    ready = wait(pipes, seconds)
    return pipes[ready[0]] if ready else None


@contextmanager
def workers(networks: Mapping[torch.device, int]) -> Iterator[Workers]:
    """Workers for so many networks on each device: see `how_many`. They end with the block.

    They also end with this process, however that ends.
    """
    counts = {device: how_many(device, count) for device, count in networks.items()}
    with closing(Workers(counts)) as all_of_them:
        yield all_of_them


def how_many(device: torch.device, networks: int) -> int:
    """How many processes train so many networks on a device; 0 for this process itself.

    One for a GPU. On a CPU one for each core, as far as there are networks and memory: two
    processes of one thread get more done than one of two.

    Raises:
        UsageError: `WHY_ZERO_WORKERS` is not a whole number.
    """
    most = os.environ.get(spare.WORKERS) or str(devices.cores())
    if not most.isdecimal():
        raise UsageError(
            f"{spare.WORKERS} must be a whole number, got {most!r}: give the most processes that "
            "may train, 0 for none, or unset it"
        )
    if device.type != "cpu":
        return min(1, int(most))
    room = int(devices.memory_to_use(device) / _BYTES)
    return min(int(most), networks, max(1, room))
