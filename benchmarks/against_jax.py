"""The same network, data and batch size in JAX and here: an update, and a process from its start.

JAX runs as `jit` over a scan of updates, `vmap` for stacks, with its fastest generator of random
numbers; batches of 200 with an order and masks for each network in both. The processes train ten
epochs with both evaluations: JAX, this project's loop as a library, and `mnist` with everything on.
"""

import itertools
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from benchmarks import processes
from benchmarks.blocks import BLOCK, IMAGES, noise, stack_of, training
from benchmarks.conditions import Conditions, UnavailableError
from benchmarks.interleaved import medians
from benchmarks.raw_mnist import lay_out
from benchmarks.results import Bound, Row

STEADY, AHEAD = Bound(limit=1.1), Bound(limit=1.0)
BATCH = 200
SANE = 0.95
OURS, JAX = "ours", "JAX"


def measure(conditions: Conditions) -> Iterator[Row]:
    """Ours over theirs: an update of one network, of stacks, and whole processes."""
    if find_spec("jax") is None:
        raise UnavailableError("JAX must be installed: pip install '.[bench]'")
    yield from _updates(conditions)
    yield from _processes(conditions)


def _updates(conditions: Conditions) -> Iterator[Row]:
    """Each in processes of its own, in turns, so that no thread of one waits beside the other."""
    rounds = conditions.pick(smoke=1, usual=3, full=9)
    blocks = str(conditions.pick(smoke=1, usual=9))
    for networks in conditions.pick(smoke=(1, 2), usual=(1, 8, 12)):
        taken: dict[str, list[float]] = {OURS: [], JAX: []}
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(rounds):
                for name, seconds in taken.items():
                    given = (name, str(networks), blocks, str(conditions.device))
                    printed = processes.run(
                        "-m", "benchmarks.against_jax", *given, folder=Path(folder)
                    )
                    seconds.append(float(printed.splitlines()[-1]))
        each = {name: 1e3 * statistics.median(seconds) for name, seconds in taken.items()}
        yield Row(name=f"JAX, {networks}: an update and network", value=each[JAX], unit="ms")
        yield Row(name=f"ours, {networks}: an update and network", value=each[OURS], unit="ms")
        yield Row(
            name=f"ours over JAX, {networks} at once",
            value=each[OURS] / each[JAX],
            unit="x",
            bound=STEADY if networks == 1 else AHEAD,
        )


def _update(name: str, networks: int, blocks: int, device: torch.device) -> float:
    """The median seconds of an update and network, in the steady state of one of the two."""
    if name == JAX:
        run = _jax(networks, device)
    else:
        run = training(stack_of(networks, probe_every=0), noise(device))
    return medians({name: run}, rounds=blocks, warm_up=min(3, blocks))[name] / BLOCK / networks


def _jax(networks: int, device: torch.device) -> Callable[[], None]:
    """A function that takes another block of updates in JAX."""
    import jax  # noqa: PLC0415 - an extra

    from benchmarks import jax_network as rival  # noqa: PLC0415

    if jax.default_backend() != {"cpu": "cpu", "cuda": "gpu"}.get(device.type):
        raise UnavailableError(
            f"JAX must compute on {device} as well, got {jax.default_backend()}: "
            "set JAX_PLATFORMS, or install jax[cuda]"
        )
    source = np.random.default_rng(0)
    data = rival.Data(
        jax.numpy.asarray(source.integers(0, 256, (IMAGES, 784), np.uint8)),
        jax.numpy.asarray(source.integers(0, 10, IMAGES, np.uint8)),
    )
    if networks == 1:
        step, state = jax.jit(rival.train, donate_argnums=0), rival.start(jax.numpy.array(0))
    else:
        step = jax.jit(rival.train_stack, donate_argnums=0)
        state = jax.vmap(rival.start)(jax.numpy.arange(networks))
    order = _blocks_of_rows(networks, source)

    def run() -> None:
        nonlocal state
        rows = next(order)
        state = jax.block_until_ready(step(state, data, rows[:, 0] if networks == 1 else rows))

    run()  # compiles
    return run


def _blocks_of_rows(networks: int, source: np.random.Generator) -> Iterator[np.ndarray]:
    """Rows of every network's own order, shape (BLOCK, networks, BATCH)."""
    for _ in itertools.count():
        orders = [source.permutation(IMAGES).reshape(-1, BLOCK, BATCH) for _ in range(networks)]
        yield from np.stack(orders, axis=2)


def _processes(conditions: Conditions) -> Iterator[Row]:
    epochs = conditions.pick(smoke=1, usual=10)
    rounds = conditions.pick(smoke=1, usual=3)
    device = str(conditions.device)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        root = str(lay_out(work / "data"))
        run = partial(processes.run, "-m", folder=work)
        printed: dict[str, str] = {}

        def kept(name: str, *arguments: str) -> Callable[[], None]:
            return lambda: printed.update({name: run(*arguments)})

        mnist = ("pipeline", "mnist", "--holdout", "0", "--force", "true", "--device", device)
        for networks in conditions.pick(smoke=(1,), usual=(1,), full=(1, 12)):
            count = (str(epochs), str(networks))
            contestants = {
                "JAX": kept("JAX", "benchmarks.jax_loop", root, *count),
                "our loop": kept("our loop", "benchmarks.library_loop", device, *count),
            }
            if networks == 1:
                contestants["mnist"] = kept("mnist", *mnist, "--epochs", str(epochs))
            seconds = medians(contestants, rounds=rounds, warm_up=0)
            for name, value in seconds.items():
                what = f"{name}, {epochs} epochs of {networks}, whole process"
                yield Row(name=what, value=value, unit="s", note=_accuracy(printed[name], epochs))
            for name in (name for name in contestants if name != "JAX"):
                ratio = seconds[name] / seconds["JAX"]
                what = f"{name} over JAX, {networks} at once, whole process"
                yield Row(name=what, value=ratio, unit="x", bound=AHEAD)


def _accuracy(printed: str, epochs: int) -> str:
    """What a loop's last line says of the test images."""
    last = printed.splitlines()[-1].split()
    if last[0] != "epoch":
        return ""
    accuracy = float(last[-1])
    if epochs >= 10 and accuracy < SANE:
        raise ValueError(f"a rival must learn, got a test accuracy of {accuracy}")
    return f"{100 * accuracy:.2f} % of the test images right"


if __name__ == "__main__":
    print(_update(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), torch.device(sys.argv[4])))
