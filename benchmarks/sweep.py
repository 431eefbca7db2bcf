"""A sweep of twelve networks, everything on, as a whole process, against twelve plain loops.

Two plain loops are run, one before and one after the sweep, and their mean counts twelve times;
`--full` runs all twelve, one after another.
"""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import processes
from benchmarks.conditions import Conditions
from benchmarks.interleaved import seconds_of
from benchmarks.raw_mnist import lay_out
from benchmarks.results import Bound, Row

NETWORKS = 12
FASTER = Bound(limit=8, is_floor=True)


def measure(conditions: Conditions) -> Iterator[Row]:
    """Both times and their ratio."""
    epochs = str(conditions.pick(smoke=1, usual=10))
    networks = conditions.pick(smoke=2, usual=NETWORKS)
    rates, seeds = conditions.pick(smoke=("0.5", "0-1"), usual=("0.1,0.2,0.3,0.5", "0-2"))
    axes = ["--drop-rates", rates, "--seeds", seeds, "--devices", str(conditions.device)]
    shared = ["--epochs", epochs, "--holdout", "0", "--force", "true"]
    loops = conditions.pick(smoke=2, usual=2, full=NETWORKS)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        root = str(lay_out(work / "data"))

        def plain(seeds: range) -> list[float]:
            return [
                seconds_of(
                    lambda seed=seed: processes.run(
                        "-m", "benchmarks.plain_loop", root, epochs, str(seed), folder=work
                    )
                )
                for seed in seeds
            ]

        before = plain(range(loops // 2))
        ours = seconds_of(
            lambda: processes.run("-m", "pipeline", "sweep", *axes, *shared, folder=work)
        )
        taken = [*before, *plain(range(loops // 2, loops))]
    theirs = networks * statistics.mean(taken)
    how = "all run" if loops == networks else f"{loops} run, their mean times {networks}"
    yield Row(name=f"sweep of {networks}, {epochs} epochs, whole process", value=ours, unit="s")
    yield Row(name=f"{networks} plain loops, {epochs} epochs", value=theirs, unit="s", note=how)
    ratio = theirs / ours
    yield Row(name=f"times as fast as {networks} plain loops", value=ratio, unit="x", bound=FASTER)
