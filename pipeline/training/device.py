"""Which device computes: its name, its random streams, its memory.

The only room that says cuda or mps.
"""

import hashlib
import math
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

import psutil
import torch
from torch import Tensor

from pipeline.errors import OutOfMemoryError, PipelineError

T = TypeVar("T")


def resolve(name: str) -> torch.device:
    """The device that `name` asks for, if it exists.

    Args:
        name: `auto` (CUDA, else MPS, else the CPU), `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        PipelineError: the device asked for is not on this machine. Never a silent CPU run.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = device.index or 0
        if index >= count:
            raise PipelineError(
                f"device must be on this machine, got {name}, but torch {torch.__version__} "
                f"finds {count} CUDA devices here; use device=auto or device=cpu"
            )
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise PipelineError(
            "device must be on this machine, got mps, but torch finds no Apple GPU here; "
            "use device=auto or device=cpu"
        )
    return device


def describe(device: torch.device) -> str:
    """The device's name for people and fingerprints, such as `cpu (AMD EPYC)`."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({_processor()})"


@cache
def _processor() -> str:
    lines = _lines(Path("/proc/cpuinfo"))
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def is_amd() -> bool:
    """Whether this machine has an AMD processor."""
    return any(
        line.startswith("vendor_id") and "AuthenticAMD" in line
        for line in _lines(Path("/proc/cpuinfo"))
    )


def generator(device: torch.device, seed: int, stream: str) -> torch.Generator:
    """A generator that depends only on (seed, name of the stream).

    Networks with the same seed therefore share initial weights, batch order and masks, and no
    network's numbers depend on how many others train with it.
    """
    source = torch.Generator(device)
    seed_with(source, seed, stream)
    return source


def seed_with(source: torch.Generator, seed: int, stream: str) -> None:
    """Restart a generator on this stream, as if `generator` had just made it."""
    digest = hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest()
    source.manual_seed(int.from_bytes(digest, "big", signed=True))


def fill_with_random_bits(words: Tensor, source: torch.Generator) -> None:
    """Fill an int64 tensor in place with 64 independent fair bits per element.

    `random_()` without bounds leaves the sign bit 0, which would drop nothing in the upper half
    of every mask; the lower bound asks for the full range.
    """
    words.random_(-(2**63), None, generator=source)


@contextmanager
def explaining_lack_of_memory(device: torch.device) -> Iterator[None]:
    """Turn an allocation that fails inside the block into one line.

    Raises:
        OutOfMemoryError: the device has not enough.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # The CPU's allocator raises a plain RuntimeError: "… DefaultCPUAllocator: can't allocate".
        # An absurd size overflows before it is requested.
        is_lack = isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
            words in str(error) for words in ("can't allocate memory", "calculation overflowed")
        )
        if not is_lack:
            raise
        raise OutOfMemoryError(
            f"networks and batches must fit into the memory of {device}, got too little: "
            "give smaller widths, a smaller batch_size or fewer networks at once"
        ) from error


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """Take numbers below 1.2e-38 for 0 inside the block, also in threads that begin there.

    The moments of weights whose gradients are 0 shrink to such numbers, with which a CPU computes
    many times as slowly: from the fourth epoch on an update of one thread took a third longer.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@cache
def cores() -> int:
    """How many cores this process may use: the machine's, its container's, `OMP_NUM_THREADS`.

    As torch's number of threads is before somebody sets it.
    """
    return max(1, int(min(torch.get_num_threads(), _cpu_limit())))


def idle_seconds() -> float:
    """How long the machine's cores have been idle, all together; 0 where it does not say."""
    try:
        return float(psutil.cpu_times().idle)
    except (OSError, psutil.Error):  # some containers hide it
        return 0.0


@contextmanager
def one_thread() -> Iterator[None]:
    """Give operations of this process one thread each inside the block, while others use the cores.

    With more an operation ends when its last thread does, and the others spin until then: judging
    a network took twice the CPU time.
    """
    cores()  # while it can be seen
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def memory_to_use(device: torch.device) -> float:
    """Bytes that training may take on a device: 80 % of a GPU's, otherwise half of the machine's.

    Not of what is free at the moment: a resumed run has to form the same stacks.
    """
    if device.type == "cuda":
        return 0.8 * torch.cuda.get_device_properties(device).total_memory
    return 0.5 * min(psutil.virtual_memory().total, _memory_limit())


def _cpu_limit() -> float:
    """The cores' worth of time that the container of this process gets; infinity outside of one."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # no such file, or "max"
        return math.inf


def _memory_limit() -> float:
    """The memory limit of the container of this process, in bytes; infinity outside of one."""
    try:
        return float(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return math.inf


def has_graphs(device: torch.device) -> bool:
    """Whether the device can capture work as a CUDA graph."""
    return device.type == "cuda"


class Graph:
    """Work repeated on tensors of one shape: captured once, then replayed.

    A CUDA graph launches all kernels at once; launching those of a small network one by one costs
    more than its arithmetic.
    """

    def __init__(self, generators: Iterable[torch.Generator]) -> None:
        """Capture nothing yet; the work draws from these generators."""
        self._generators = generators
        self._inputs: list[Tensor] = []
        self._replay: Callable[[], list[Tensor]] | None = None

    def run(self, work: Callable[..., list[Tensor]], *inputs: Tensor) -> list[Tensor]:
        """What the work gives for these inputs, overwritten by the next run.

        The first run is executed directly, so that whatever is created only once exists, and the
        second is captured. Inputs of another shape, such as an epoch's last batch, are executed
        directly.

        Args:
            work: the same at each call; it never synchronises.
            inputs: only their values may differ from call to call.

        Raises:
            PipelineError: CUDA cannot capture it.
        """
        if not self._inputs:
            self._inputs = [given.clone() for given in inputs]
            return work(*inputs)
        if [given.shape for given in inputs] != [held.shape for held in self._inputs]:
            return work(*inputs)
        for held, given in zip(self._inputs, inputs, strict=True):
            held.copy_(given)
        if self._replay is None:
            self._replay = _capture(lambda: work(*self._inputs), self._generators)
        return self._replay()


def _capture(work: Callable[[], T], generators: Iterable[torch.Generator]) -> Callable[[], T]:
    """A function that replays the work; capturing it computes nothing."""
    graph = torch.cuda.CUDAGraph()
    for source in generators:
        graph.register_generator_state(source)
    try:
        # Other threads may use their own devices in the meantime.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = work()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise PipelineError(
            f"CUDA must be able to capture an update, got {error}: give cuda_graphs=false"
        ) from error

    def replay() -> T:
        graph.replay()
        return result

    return replay


def synchronize(device: torch.device) -> None:
    """Wait for the device to finish its work, so that a clock can be read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory so far, in MB: of the device on CUDA, otherwise of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    # On Linux, getrusage(2) also counts what the process that started this one held: proc(5).
    for line in _lines(Path("/proc/self/status")):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 1e6
    import resource  # noqa: PLC0415 - Windows has none

    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, else KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _lines(path: Path) -> list[str]:
    """The lines of a file that only some systems have."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
