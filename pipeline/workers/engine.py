"""Where stacks are trained: processes of this machine, or whatever else serves jobs by a pipe."""

import os
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Protocol, runtime_checkable

import torch

from pipeline import spare
from pipeline.data import ImageData
from pipeline.errors import PipelineError, UsageError
from pipeline.training import device as devices

# What a process takes before it trains: torch, and a copy of the images.
BYTES = 600e6


@dataclass(frozen=True)
class Slots:
    """How many stacks are trained at once.

    Attributes:
        count: in all; 0 for one, in the process that asks.
        beside: how many of them share the memory of one device.
    """

    count: int
    beside: int


@runtime_checkable
class Serving(Protocol):
    """What trains one job after another: see `pipeline.workers.process.serve`."""

    @property
    def pipe(self) -> Connection:
        """Jobs in, messages out; closed once it has died."""

    def has(self, data: ImageData) -> bool:
        """Whether it needs not be sent these data with the job that it is given now."""

    def cause(self) -> str:
        """Why it has died."""

    def end(self) -> None:
        """End it, whatever it does."""


@runtime_checkable
class Engine(Protocol):
    """The seam between stacks and what trains them.

    Attributes:
        lives: how often a job may lose what trains it without having ended an epoch.
        is_here: whether it trains on this machine, so that what this one does is worth logging.
    """

    lives: int
    is_here: bool

    def slots(self, device: torch.device, networks: int) -> Slots:
        """How many stacks of so many networks are trained at once on a kind of device."""

    def begin(self, device: torch.device) -> Serving:
        """What serves jobs on a device of its own, as soon as there is one.

        Raises:
            OSError: no process can be started.
        """


class Local:
    """Processes of this machine."""

    lives = 1
    is_here = True

    def slots(self, device: torch.device, networks: int) -> Slots:
        """As `how_many` says; all of a device share its memory."""
        count = how_many(device, networks)
        return Slots(count, beside=max(1, count))

    def begin(self, device: torch.device) -> Serving:
        """A process, which may have been begun before."""
        del device  # told by the job
        return _Process()


class _Process:
    """A process of this machine."""

    def __init__(self) -> None:
        self._process, self.pipe = spare.take()
        self._digest = ""  # of the data set that it has

    def has(self, data: ImageData) -> bool:
        was, self._digest = self._digest, data.digest
        return was == data.digest

    def cause(self) -> str:
        self._process.join()
        return f"code {self._process.exitcode}"

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()


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
    room = int(devices.memory_to_use(device) / BYTES)
    return min(int(most), networks, max(1, room))


def cannot_start(error: OSError) -> PipelineError:
    """What to say of a process that cannot be started."""
    return PipelineError(
        f"a process that trains must be able to start, got {error}: set {spare.WORKERS}=0 to "
        "train in this one"
    )
