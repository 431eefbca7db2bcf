"""`mnist`, 10 epochs, everything on, as a whole process, against the plain loop as one.

The two take turns: ours, theirs, ours, … ; the ratio is that of the medians.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import processes
from benchmarks.conditions import Conditions
from benchmarks.interleaved import medians
from benchmarks.raw_mnist import lay_out
from benchmarks.results import Bound, Row

FASTER = Bound(limit=4, is_floor=True)


def measure(conditions: Conditions) -> Iterator[Row]:
    """Both medians and their ratio."""
    epochs = str(conditions.pick(smoke=1, usual=10))
    mnist = ["mnist", "--force", "true", "--holdout", "0", "--epochs", epochs]
    device = str(conditions.device)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        root = str(lay_out(work / "data"))
        seconds = medians(
            {
                "mnist": lambda: processes.run(
                    "-m", "pipeline", *mnist, "--device", device, folder=work
                ),
                "the plain loop": lambda: processes.run(
                    "-m", "benchmarks.plain_loop", root, epochs, "0", folder=work
                ),
            },
            rounds=conditions.pick(smoke=1, usual=3, full=7),
            warm_up=0,
        )
    for name, value in seconds.items():
        yield Row(name=f"{name}, {epochs} epochs, whole process", value=value, unit="s")
    ratio = seconds["the plain loop"] / seconds["mnist"]
    yield Row(name="times as fast as the plain loop", value=ratio, unit="x", bound=FASTER)
