"""The process that holds the connection to Ray: pipes of the step's on one side, actors beyond.

The only module that imports Ray.
"""

import logging
import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import Any

import ray
import torch
from ray import exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline import spare
from pipeline.data import ImageData
from pipeline.errors import PipelineError
from pipeline.program import program
from pipeline.training import device as devices
from pipeline.workers.away import Message, Trainer, files_in, place
from pipeline.workers.cluster import LOCAL, Hello, Node
from pipeline.workers.engine import BYTES
from pipeline.workers.job import Job, Trained

# What another worker may survive. Whatever else is raised, training raises again.
DEATHS = (
    exceptions.RayActorError,  # its process or its machine has died
    exceptions.WorkerCrashedError,
    exceptions.NodeDiedError,
    exceptions.LocalRayletDiedError,
    exceptions.ObjectLostError,  # its messages, or the data, were on a machine that has died
    exceptions.OutOfMemoryError,  # Ray has ended it, because its machine had no memory left
    exceptions.RpcError,
)
# The data sets, and files of checkpoints on their way; more goes to the disk.
_LOCAL_STORE_BYTES = 512 << 20
_POLL_SECONDS = 1.0
# A cluster whose workers are all taken is worth a line after this time.
_BUSY_SECONDS = 30.0
_ANSWER_SECONDS = 120.0


def serve(control: Connection, address: str, patience: float) -> None:
    """Relay between the step and workers of a cluster until the step closes `control`.

    Args:
        control: tells `Hello`, or the error; then takes `begin` with a device and its name, which
            the other end of a pipe follows, and `data` with a data set.
        address: as `Cluster` takes it.
        patience: seconds that the head may take to come.
    """
    for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
        signal.signal(number, signal.SIG_IGN)  # the step decides
    if not os.environ.get(spare.DEBUG):
        quiet = os.open(os.devnull, os.O_WRONLY)
        for output in (1, 2):  # Ray's own words, beside a progress bar
            os.dup2(quiet, output)
    bridge = _Bridge(control)
    reader = threading.Thread(target=bridge.read, daemon=True)
    reader.start()
    said: Hello | PipelineError
    try:
        said = _connect(address, patience)
    except PipelineError as error:
        said = bridge.failure = error
    except Exception as error:  # noqa: BLE001 - Ray raises what it likes
        said = bridge.failure = PipelineError(
            f"a Ray cluster must answer, got {_line(error)}: see whether its nodes are well"
        )
    with suppress(OSError):
        control.send_bytes(pickle.dumps(said))
    bridge.is_connected.set()
    while reader.is_alive():
        reader.join(_POLL_SECONDS)
        if bridge.failure is None and not _is_member():
            os._exit(1)  # another cluster at the same address; the step begins another bridge
    ray.shutdown()
    os._exit(0)


class _Bridge:
    """What all relays share.

    Attributes:
        is_connected: set once Ray is connected, or cannot be.
        failure: why it cannot be.
    """

    def __init__(self, control: Connection) -> None:
        self.is_connected = threading.Event()
        self.failure: PipelineError | None = None
        self._control = control
        self._sets: dict[str, ImageData] = {}
        self._refs: dict[str, Any] = {}
        self._changed = threading.Condition()
        self._has_told = False

    def read(self) -> None:
        """Do what the step asks for, until it asks for no more."""
        while True:
            try:
                kind, *rest = pickle.loads(self._control.recv_bytes())  # noqa: S301
            except (EOFError, OSError):
                if not self.is_connected.is_set():
                    os._exit(1)  # what it has started ends with it
                return
            if kind == "data":
                [data] = rest
                with self._changed:
                    self._sets[data.digest] = data
                    self._changed.notify_all()
            else:
                pipe = Connection(recv_handle(self._control))
                threading.Thread(target=_Relay(self, pipe, *rest), daemon=True).start()

    def reference(self, digest: str) -> Any:  # noqa: ANN401 - Ray's
        """Where the cluster finds a data set, which is put there once; waits for the step's."""
        with self._changed:
            self._changed.wait_for(lambda: digest in self._refs or digest in self._sets)
            if digest not in self._refs:
                self._refs[digest] = ray.put(self._sets.pop(digest))
            return self._refs[digest]

    def is_first_to_wait(self) -> bool:
        """Whether nobody has said yet that all workers are taken."""
        with self._changed:
            was, self._has_told = self._has_told, True
            return not was


class _Left(Exception):  # noqa: N818 - what it says
    """The step wants nothing more of this worker."""


class _Relay:
    """Jobs from the step to one actor, and its messages back."""

    def __init__(self, bridge: _Bridge, pipe: Connection, device: torch.device, name: str) -> None:
        self._bridge = bridge
        self._pipe = pipe
        self._device = device
        self._expected = program() | {"device": name}
        self._actor: Any = None

    def __call__(self) -> None:
        """Serve until the step closes the pipe, or the actor dies."""
        self._bridge.is_connected.wait()
        with suppress(_Left, OSError):
            try:
                while True:
                    self._serve(*self._job())
            except DEATHS as death:
                self._pipe.send(("died", f"{type(death).__name__}: {_line(death)}"))
        if self._actor is not None:
            with suppress(Exception):
                ray.kill(self._actor)
        self._pipe.close()

    def _job(self) -> tuple[Job, str]:
        try:
            job, digest, _ = pickle.loads(self._pipe.recv_bytes())  # noqa: S301
        except EOFError:
            raise _Left from None
        return job, digest

    def _serve(self, job: Job, digest: str) -> None:
        """One job; raises what another worker may survive."""
        try:
            self._train(job, digest)
        except (OSError, _Left, *DEATHS):
            raise
        except Exception as error:  # noqa: BLE001 - it is raised where the job was given
            told = error if isinstance(error, PipelineError) else PipelineError(_line(error))
            self._pipe.send(("error", told))
            if self._actor is not None:
                ray.kill(self._actor)
                self._actor = None

    def _train(self, job: Job, digest: str) -> None:
        if self._bridge.failure is not None:
            raise self._bridge.failure
        if job.checkpoint is None:
            raise ValueError("a job must have a checkpoint, got none")
        if self._actor is None:
            self._begin()
        folder = job.checkpoint.folder
        data = self._bridge.reference(digest)
        self._get(self._actor.start.remote(job, data, files_in(folder)))
        for kind, content in self._messages():
            if kind == "files":
                place(content, folder)
            else:
                self._pipe.send((kind, content))
            if kind == "error" or isinstance(content, Trained):
                return

    def _begin(self) -> None:
        """Have an actor, once there is room for one, that computes the same numbers."""
        self._actor = (
            ray.remote(Trainer)
            .options(
                num_cpus=1,
                num_gpus=int(self._device.type != "cpu"),
                memory=BYTES,
                max_restarts=0,
            )
            .remote()
        )
        started = time.monotonic()

        def wait() -> None:
            if time.monotonic() - started > _BUSY_SECONDS and self._bridge.is_first_to_wait():
                self._warn()

        found = self._get(self._actor.machine.remote(self._device), wait)
        _check(found, self._expected, "a node")

    def _messages(self) -> Iterator[Message]:
        while True:
            yield from self._get(self._actor.told.remote())

    def _get(self, reference: Any, wait: Callable[[], None] = lambda: None) -> Any:  # noqa: ANN401
        """What an actor answers, unless the step leaves meanwhile."""
        while True:
            if self._pipe.poll():  # during a job nothing comes but its end
                raise _Left
            with suppress(exceptions.GetTimeoutError):
                return ray.get(reference, timeout=_POLL_SECONDS)
            wait()

    def _warn(self) -> None:
        text = "All CPUs or GPUs of the Ray cluster are taken; waiting for one."
        record = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": text}
        self._pipe.send(("log", logging.makeLogRecord(record)))


def _connect(address: str, patience: float) -> Hello:
    """Connect to the cluster, and check its nodes.

    Raises:
        PipelineError: it cannot be reached, or a node would compute other numbers.
    """
    until = time.monotonic() + patience
    while True:
        try:
            if address == LOCAL:
                _start_here()
            else:
                _reach(address)
                ray.init(address, log_to_driver=False, logging_level="ERROR")
            break
        except Exception as error:
            ray.shutdown()
            if time.monotonic() >= until:
                remedy = "start one with ray start --head, or give ray_address=local"
                if address == LOCAL:
                    remedy = "give engine=local"
                raise PipelineError(
                    f"a Ray cluster must be reachable, got ray_address={address} "
                    f"({_line(error)}): {remedy}"
                ) from error
            time.sleep(_POLL_SECONDS)
    nodes = [node for node in ray.nodes() if node["Alive"]]
    found = [(node, _resources(node)) for node in nodes]
    _check_all([node["NodeID"] for node, has in found if has.slots("cpu")])
    gcs = ray.get_runtime_context().gcs_address
    return Hello(address=gcs, nodes=[has for _, has in found])


def _start_here() -> None:
    ray.init(
        address=LOCAL,
        num_cpus=devices.cores(),
        include_dashboard=False,
        object_store_memory=_LOCAL_STORE_BYTES,
        log_to_driver=False,
        logging_level="ERROR",
    )


def _reach(address: str) -> None:
    """Return if something listens there: without it Ray would take a minute to say so."""
    host, colon, port = address.rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()


def _resources(node: dict[str, Any]) -> Node:
    has = node["Resources"]
    return Node(cpus=has.get("CPU", 0.0), gpus=has.get("GPU", 0.0), memory=has.get("memory", 0.0))


def _is_member() -> bool:
    """Whether this process's own node still belongs to the cluster at its address."""
    try:
        own = ray.get_runtime_context().get_node_id()
        return any(node["NodeID"] == own and node["Alive"] for node in ray.nodes())
    except Exception:  # noqa: BLE001 - Ray raises what it likes
        return False


def _check_all(nodes: list[str]) -> None:
    """Return if all of these nodes have this program.

    Raises:
        PipelineError: one has another, or none.
    """

    def ask() -> dict[str, str]:  # sent as it is: a node may have nothing to import it from
        try:
            from pipeline.program import program  # noqa: PLC0415

            return program()
        except ImportError as error:
            return {"why-zero": f"none ({error})"}

    asking = ray.remote(ask)
    answers = [
        asking.options(
            num_cpus=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        ).remote()
        for node in nodes
    ]
    names = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes()}
    for node, answer in zip(nodes, answers, strict=True):
        try:
            found = ray.get(answer, timeout=_ANSWER_SECONDS)
        except DEATHS:
            continue  # it trains nothing
        _check(found, program(), f"node {names[node]}")


def _check(found: dict[str, str], expected: dict[str, str], where: str) -> None:
    for name, value in expected.items():
        if found.get(name) != value:
            raise PipelineError(
                f"a Ray cluster must compute as this machine does, with {name} {value}, got "
                f"{found.get(name, 'none')} on {where}: make them the same, or leave that node out"
            )


def _line(error: BaseException) -> str:
    """The last words of an error: Ray's texts hold tracebacks."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
