"""An earlier version beside this one, plain loops and JAX: `mnist`, a sweep, a further network.

`WHY_ZERO_BEFORE` names a checkout of the earlier one, such as `git worktree add` makes.
"""

import os
import statistics
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from benchmarks import processes
from benchmarks.conditions import Conditions, UnavailableError
from benchmarks.interleaved import medians, seconds_of
from benchmarks.raw_mnist import lay_out
from benchmarks.results import Bound, Row

BEFORE = "WHY_ZERO_BEFORE"
NETWORKS = 12
FASTER, EIGHTFOLD = Bound(limit=4, is_floor=True), Bound(limit=8, is_floor=True)
LITTLE, AHEAD = Bound(limit=0.05), Bound(limit=1)


def measure(conditions: Conditions) -> Iterator[Row]:
    """Whole processes in turns, and their ratios."""
    if BEFORE not in os.environ or find_spec("jax") is None:
        raise UnavailableError(f"{BEFORE} must name a checkout, and JAX be there: '.[bench]'")
    versions = {"before": Path(os.environ[BEFORE]), "now": processes.ROOT}
    epochs = str(conditions.pick(smoke=1, usual=10))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        root = str(lay_out(work / "data"))

        def pipeline(version: str, *arguments: str) -> float:
            place = work / version
            place.mkdir(exist_ok=True)
            common = ("--force", "true", "--holdout", "0")
            return seconds_of(
                lambda: processes.run(
                    *("-m", "pipeline", *arguments, *common),
                    folder=place,
                    checkout=versions[version],
                )
            )

        def loop(name: str, *arguments: str) -> float:
            given = ("-m", f"benchmarks.{name}", *arguments)
            return seconds_of(lambda: processes.run(*given, folder=work))

        for version in versions:
            pipeline(version, "mnist", "--epochs", "0")  # makes the store
        mnist = medians(
            {
                "before": lambda: pipeline("before", "mnist", "--epochs", epochs),
                "now": lambda: pipeline("now", "mnist", "--epochs", epochs),
                "JAX": lambda: loop("jax_loop", root, epochs, "1"),
                "a loop with tensors in memory": lambda: loop(
                    "plain_loop", root, epochs, "0", "memory"
                ),
            },
            rounds=conditions.pick(smoke=1, usual=3),
            warm_up=0,
        )
        plain = [loop("plain_loop", root, epochs, "0")]
        sweeps = {}
        for version in versions:
            rates, seeds = conditions.pick(smoke=("0.5", "0-1"), usual=("0.1,0.2,0.3,0.5", "0-2"))
            axes = ("--drop-rates", rates, "--seeds", seeds)
            sweeps[version] = pipeline(version, "sweep", *axes, "--epochs", epochs)
        plain.append(loop("plain_loop", root, epochs, "1"))
        yield from _whole(mnist, statistics.mean(plain), epochs)
        yield from _sweeps(sweeps, statistics.mean(plain), epochs)
        epoch = statistics.mean(plain) / int(epochs)
        for version in versions:
            few, many = (
                pipeline(version, "sweep", "--drop-rates", "0.2,0.5", "--seeds", seeds,
                         "--epochs", "0", "--mask-passes", "0")
                for seeds in conditions.pick(smoke=("0", "0-1"), usual=("0-1", "0-7"))
            )  # fmt: skip
            further = (many - few) / conditions.pick(smoke=2, usual=12)
            yield Row(name=f"{version}: a further network", value=further, unit="s")
            bound = LITTLE if version == "now" else None
            what = f"{version}: a further network, of an epoch of the plain loop"
            yield Row(name=what, value=further / epoch, unit="x", bound=bound)


def _whole(mnist: dict[str, float], plain: float, epochs: str) -> Iterator[Row]:
    for name, value in mnist.items():
        what = f"{name}: mnist" if name in {"before", "now"} else name
        yield Row(name=f"{what}, {epochs} epochs, whole process", value=value, unit="s")
    yield Row(name=f"the plain loop, {epochs} epochs, whole process", value=plain, unit="s")
    for version in ("before", "now"):
        bound = FASTER if version == "now" else None
        ratio = plain / mnist[version]
        what = f"{version}: mnist, times as fast as the plain loop"
        yield Row(name=what, value=ratio, unit="x", bound=bound)
    for rival in ("JAX", "a loop with tensors in memory"):
        ratio = mnist["now"] / mnist[rival]
        yield Row(name=f"now: mnist over {rival}", value=ratio, unit="x", bound=AHEAD)


def _sweeps(sweeps: dict[str, float], plain: float, epochs: str) -> Iterator[Row]:
    for version, value in sweeps.items():
        what = f"{version}: sweep of {NETWORKS}, {epochs} epochs, whole process"
        yield Row(name=what, value=value, unit="s")
        bound = EIGHTFOLD if version == "now" else None
        what = f"{version}: sweep, times as fast as {NETWORKS} plain loops"
        yield Row(name=what, value=NETWORKS * plain / value, unit="x", bound=bound)
