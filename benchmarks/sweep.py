"""A sweep of twelve networks, everything on, as a whole process, against twelve plain loops.

Two plain loops are run, one before and one after the sweep, and their mean counts twelve times;
`--full` runs all twelve, one after another. Beside them stand the bare products of what the sweep
computes: its training, and after every epoch and at birth the evaluation on all 70,000 images.
"""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import processes
from benchmarks.blocks import BLOCK
from benchmarks.conditions import Conditions
from benchmarks.interleaved import medians, seconds_of
from benchmarks.products import evaluation_products, products
from benchmarks.raw_mnist import lay_out
from benchmarks.results import Bound, Row
from pipeline.batches import EVALUATION_BATCH

NETWORKS, BATCH, TRAINED_ON, IMAGES = 12, 200, 60_000, 70_000
FASTER = Bound(limit=6, aim=8, is_floor=True)


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
    bare = networks * _bare_seconds(int(epochs), conditions)
    how = "a block measured, scaled up"
    yield Row(name="the sweep's bare matrix products", value=bare, unit="s", note=how)
    yield Row(name="times as fast, did all else cost nothing", value=theirs / bare, unit="x")


def _bare_seconds(epochs: int, conditions: Conditions) -> float:
    """What the products of one network's training and evaluations take."""
    blocks = {
        "updates": products(conditions.device),
        "evaluation": evaluation_products(conditions.device),
    }
    rounds, warm_up = conditions.pick(smoke=(1, 0), usual=(25, 5))
    seconds = medians(blocks, rounds=rounds, warm_up=warm_up)
    training = epochs * TRAINED_ON / BATCH * seconds["updates"] / BLOCK
    evaluation = (epochs + 1) * IMAGES / EVALUATION_BATCH * seconds["evaluation"]
    return training + evaluation
