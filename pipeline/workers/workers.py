"""Who trains: workers with a job each, or this process itself."""

import logging
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from pipeline.data import ImageData
from pipeline.errors import PipelineError
from pipeline.training import device as devices
from pipeline.workers.engine import Engine, Serving, cannot_start
from pipeline.workers.job import Epoch, Event, Job, trained

_logger = logging.getLogger(__name__)
Pace = Callable[[int], None]


class Worker:
    """Trains one stack at a time on one device, in a process that starts with its first job.

    If that dies, another one continues from the job's checkpoint; if they go on dying, without
    having ended an epoch, the job has failed.

    Attributes:
        device: the one it trains on.
    """

    def __init__(self, device: torch.device, engine: Engine) -> None:
        """Start nothing yet; the engine begins what trains."""
        self.device = device
        self._engine = engine
        self._serving: Serving | None = None
        self._job: tuple[Job, ImageData, Pace] | None = None
        self._deaths = 0  # in this epoch

    @property
    def pipe(self) -> Connection | None:
        """What becomes readable when there is something to tell."""
        return self._serving.pipe if self._serving else None

    @property
    def has_more(self) -> bool:
        """Whether it has told something that `next` would not wait for."""
        return self._serving is not None and self._serving.pipe.poll()

    def start(self, job: Job, data: ImageData, pace: Pace) -> None:
        """Begin a job.

        Args:
            job: on this worker's device.
            data: what it is trained on.
            pace: called with how many updates were made since its last call.

        Raises:
            PipelineError: no process can be started.
        """
        self._job, self._deaths = (job, data, pace), 0
        self._give(job, data)

    def next(self) -> Event | None:
        """What it has told; None for nothing that concerns the job's outcome. Waits for it.

        Raises:
            PipelineError: it has died too often; or whatever training raised.
        """
        if self._job is None or self._serving is None:
            raise RuntimeError("a worker without a job has nothing to tell")
        job, data, pace = self._job
        try:
            kind, content = self._serving.pipe.recv()
        except (EOFError, OSError):
            kind, content = "died", self._serving.cause()
        if kind == "event":
            if isinstance(content, Epoch):
                self._deaths = 0
            event: Event = content
            return event
        if kind == "error":
            raise content
        if kind == "died":
            self._mourn(content)
            self._give(job, data)
        elif kind == "updates":
            pace(content)
        else:
            logging.getLogger(content.name).handle(content)
        return None

    def close(self) -> None:
        """End the process, whatever it does; what it was training goes on from its checkpoint."""
        if self._serving is not None:
            self._serving.end()
        self._serving = None

    def _give(self, job: Job, data: ImageData) -> None:
        """Tell the process what to do; the data only if it does not have them."""
        if self._serving is None:
            try:
                self._serving = self._engine.begin(self.device)
            except OSError as error:
                raise cannot_start(error) from error
        sent = None if self._serving.has(data) else data
        # Not by torch's way of pickling, which needs room in /dev/shm.
        message = pickle.dumps((job, data.digest, sent))
        # It reads once it has imported torch; the others need not wait for that.
        threading.Thread(target=_send, args=(self._serving.pipe, message), daemon=True).start()

    def _mourn(self, cause: str) -> None:
        """End what is left of a process that has died; raises if it was one too many."""
        self.close()
        self._deaths += 1
        if self._deaths > self._engine.lives:
            raise PipelineError(
                f"a process that trains must live, got {self._deaths} that ended ({cause}) in the "
                "same epoch: for want of memory give fewer networks, smaller widths or a smaller "
                "batch_size"
            )
        _logger.warning("A process that trains has ended (%s); another one goes on.", cause)


def _send(pipe: Connection, message: bytes) -> None:
    # The process has died, which reading tells; or it was ended meanwhile, and its pipe closed.
    with suppress(OSError, TypeError):
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

    def __init__(self, counts: Mapping[torch.device, int], engine: Engine) -> None:
        """Have so many workers for each device; `workers` ends them in time."""
        is_here = list(counts.values()) == [0]
        self._all = [
            Here(device) if is_here else Worker(device, engine)
            for device, count in counts.items()
            for _ in range(max(1, count))
        ]

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
def workers(networks: Mapping[torch.device, int], engine: Engine) -> Iterator[Workers]:
    """Workers for so many networks on each device: see `Engine.slots`. They end with the block.

    They also end with this process, however that ends.
    """
    counts = {device: engine.slots(device, count).count for device, count in networks.items()}
    with closing(Workers(counts, engine)) as all_of_them:
        yield all_of_them
