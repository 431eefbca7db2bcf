"""The engine `ray`, as the step sees it: pipes to workers somewhere in a cluster.

One process, the bridge, holds the connection to Ray, which ends the process that holds it when the
cluster's head goes away. The step knows nothing of Ray, and begins another bridge.
"""

import importlib
import importlib.util
import logging
import math
import multiprocessing
import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import send_handle
from pathlib import Path

import torch

from pipeline.data import ImageData
from pipeline.errors import PipelineError, UsageError
from pipeline.records.words import counted
from pipeline.training import device as devices
from pipeline.workers.engine import BYTES, Engine, Local, Serving, Slots

LOCAL = "local"
# So long a head that has gone away may take to come back.
PATIENCE_SECONDS = 300.0
# So long the bridge may take to end a cluster that it has started.
_END_SECONDS = 15.0
_LAST_SECONDS = 2.0

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Node:
    """What a machine of the cluster has to train with."""

    cpus: float
    gpus: float
    memory: float

    def slots(self, kind: str) -> int:
        """How many stacks it trains at once on its CPU, or on its GPUs."""
        processes = math.floor(min(self.cpus, self.memory / BYTES))
        return processes if kind == "cpu" else min(processes, math.floor(self.gpus))


@dataclass(frozen=True, kw_only=True)
class Hello:
    """The bridge's first words.

    Attributes:
        address: of the cluster, by which it is found again.
        nodes: the machines that train.
    """

    address: str
    nodes: Sequence[Node]


@dataclass(kw_only=True)
class _Bridge:
    process: BaseProcess
    control: Connection
    digests: set[str] = field(default_factory=set)

    def send(self, *words: object) -> None:
        # Not by torch's way of pickling, which needs room in /dev/shm.
        self.control.send_bytes(pickle.dumps(words))


class Cluster:
    """Workers in a Ray cluster, connected when they are first asked for; `close` it.

    A job that loses its worker waits for another one, wherever a CPU or GPU is free.
    """

    lives = 3
    is_here = False

    def __init__(self, address: str) -> None:
        """Connect to nothing yet.

        Args:
            address: `local` to start a cluster on this machine, `auto` for the one that this
                machine belongs to, or HOST:PORT of a head.

        Raises:
            UsageError: Ray is not installed.
        """
        if importlib.util.find_spec("ray") is None:
            raise UsageError(
                "engine=ray needs Ray, got none installed: give engine=local, or install it with "
                'pip install "why-zero[ray]"'
            )
        self._address = address
        self._nodes: Sequence[Node] | None = None
        self._bridge: _Bridge | None = None

    def slots(self, device: torch.device, networks: int) -> Slots:
        """One for each CPU, or GPU, that the cluster has now.

        Raises:
            PipelineError: it has none, cannot be reached, or would compute other numbers.
        """
        if self._nodes is None:
            self._nodes = self._connect()
        each = [node.slots(device.type) for node in self._nodes]
        if not any(each):
            kind = "CPU" if device.type == "cpu" else "GPU beside a CPU"
            remedy = f"start more nodes with ray start --address={self._address}"
            if self._address == LOCAL:
                remedy = "free memory here, or give engine=local"
            raise PipelineError(
                f"a Ray cluster must have a {kind} and 0.6 GB of memory to train with, got none on "
                f"{counted(len(each), 'node')}: {remedy}"
            )
        beside = max(each) if device.type == "cpu" else 1
        return Slots(min(sum(each), networks), beside=beside)

    def begin(self, device: torch.device) -> Serving:
        """A worker, once there is a CPU or GPU for it and the cluster is there again."""
        bridge = self._bridge
        if bridge is None or not bridge.process.is_alive():
            if bridge is not None:
                _logger.warning(
                    "The Ray cluster at %s is gone; its stacks go on from their checkpoints if it "
                    "is back within %d minutes.", self._address, PATIENCE_SECONDS / 60,
                )  # fmt: skip
            bridge = self._begin_bridge(PATIENCE_SECONDS)
        ours, theirs = multiprocessing.Pipe()
        with suppress(OSError):  # it has died, which reading from the pipe tells
            bridge.send("begin", device, devices.describe(device))
            # Unlike a pickled one, it is closed when the bridge dies before it has taken it.
            send_handle(bridge.control, theirs.fileno(), bridge.process.pid)
        theirs.close()
        return _Away(ours, bridge)

    def close(self) -> None:
        """End the workers, and the cluster if it was started here."""
        if self._bridge is not None:
            self._bridge.control.close()
            self._bridge.process.join(_END_SECONDS)
            self._bridge.process.kill()
            self._bridge.process.join()
            self._bridge = None

    def _connect(self) -> Sequence[Node]:
        bridge = self._begin_bridge(0.0)
        try:
            said = pickle.loads(bridge.control.recv_bytes())  # noqa: S301 - from our own process
        except EOFError:
            remedy = "start one with ray start --head, or give ray_address=local"
            if self._address == LOCAL:
                remedy = "give engine=local"
            raise PipelineError(
                f"a Ray cluster must answer, got none at ray_address={self._address}: {remedy}"
            ) from None
        if isinstance(said, PipelineError):
            raise said
        hello: Hello = said
        if self._address != LOCAL:
            self._address = hello.address
        return hello.nodes

    def _begin_bridge(self, patience: float) -> _Bridge:
        self.close()
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(theirs, self._address, patience), daemon=True
        )
        process.start()
        theirs.close()
        self._bridge = _Bridge(process=process, control=ours)
        return self._bridge


@contextmanager
def engine(name: str, ray_address: str) -> Iterator[Engine]:
    """The engine of this name; what it has started ends with the block.

    Args:
        name: `local`, or `ray`.
        ray_address: as `Cluster` takes it.

    Raises:
        UsageError: what it needs is not installed.
    """
    if name == "local":
        yield Local()
        return
    with closing(Cluster(ray_address)) as cluster:
        yield cluster


class _Away:
    """A worker in the cluster."""

    def __init__(self, pipe: Connection, bridge: _Bridge) -> None:
        self.pipe = pipe
        self._bridge = bridge

    def has(self, data: ImageData) -> bool:
        if data.digest not in self._bridge.digests:
            with suppress(OSError):  # it has died, which reading from the pipe tells
                self._bridge.send("data", data)
            self._bridge.digests.add(data.digest)
        return True

    def cause(self) -> str:
        # For `Cluster.begin`: its pipes close a moment before the bridge has ended.
        self._bridge.process.join(_LAST_SECONDS)
        return "no connection to the Ray cluster"

    def end(self) -> None:
        self.pipe.close()


def _serve(control: Connection, address: str, patience: float) -> None:
    """Import Ray, which is told by its environment what it must not do, and serve."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # After so many seconds without a head it ends the process; a new one is found by then.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "20")
    if address == LOCAL:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        # Ray's word for: listen on 127.0.0.1 only.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        # Its processes find this program, wherever it was imported from.
        here = str(Path(__file__).parents[2])
        paths = [here, os.environ.get("PYTHONPATH")]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    importlib.import_module("pipeline.workers.bridge").serve(control, address, patience)
