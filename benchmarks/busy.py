"""Updates while another program keeps one core busy, over the same on a quiet machine.

One network, and eight as a sweep trains them: in as many processes as there are cores.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmarks.blocks import noise, stack_of
from benchmarks.conditions import Conditions
from benchmarks.processes import ROOT
from benchmarks.results import Bound, Row
from pipeline.training import device as devices
from pipeline.training.batches import batches
from pipeline.training.loop import updates
from pipeline.training.masks import RandomMasks
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack
from pipeline.training.threads import Threads

BESIDE = Bound(limit=1.5)


def measure(conditions: Conditions) -> Iterator[Row]:
    """Milliseconds of an update and network, quiet and busy in turns, and the ratios."""
    seconds = str(conditions.pick(smoke=2, usual=20))
    for networks in (1, 8):
        taken: dict[str, list[float]] = {"quiet": [], "busy": []}
        for _ in range(conditions.pick(smoke=1, usual=3)):
            taken["quiet"].append(_milliseconds(networks, seconds))
            with _busy_core():
                taken["busy"].append(_milliseconds(networks, seconds))
        quiet, busy = (statistics.median(taken[name]) for name in taken)
        yield Row(name=f"{networks} at once, quiet: an update and network", value=quiet, unit="ms")
        yield Row(name=f"{networks} at once, busy: an update and network", value=busy, unit="ms")
        name = f"{networks} at once, busy over quiet"
        yield Row(name=name, value=busy / quiet, unit="x", bound=BESIDE)


def _milliseconds(networks: int, seconds: str) -> float:
    """An update and network of so many at once: the pace of all processes together."""
    count = min(networks, devices.cores())
    share, threads = str(networks // count), str(devices.cores() // count)
    command = [sys.executable, "-m", "benchmarks.busy", share, threads, seconds]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    paces = [float(each.communicate()[0]) for each in running]  # updates of networks in a second
    return 1e3 / sum(paces)


@contextmanager
def _busy_core() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _pace(networks: int, first: int, seconds: float) -> float:
    """Updates of networks in a second, as a worker takes them, after some that do not count."""
    recipes = stack_of(networks, probe_every=0)
    cpu = torch.device("cpu")
    data = noise(cpu)
    stack = Stack(recipes, inputs=784, classes=10)
    optimizer = Optimizer(stack)
    masks = RandomMasks(recipes, stack.units, stream="busy", device=cpu)
    threads = Threads(first, most=devices.cores())
    started, taken, epoch = time.perf_counter(), 0, 0
    warm = seconds / 4
    while True:
        epoch += 1
        for _ in updates(
            stack,
            optimizer,
            batches=batches(recipes, data, epoch=epoch),
            masks=masks,
            is_watched=lambda _: False,
        ):
            threads()
            now = time.perf_counter() - started
            taken += networks * (now > warm)
            if now > seconds:
                return taken / (now - warm)


if __name__ == "__main__":
    with devices.flushing_denormals():  # as a process that trains does
        print(_pace(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
