"""What a further network of a sweep costs beside its updates, in epochs of the plain loop.

Nothing is trained: the networks are drawn, evaluated, published and compared. The slope between a
small and a large sweep leaves out what every command costs; without the passes that look for
mask-dead units, which belong to training, and with them.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import processes
from benchmarks.conditions import Conditions
from benchmarks.interleaved import seconds_of
from benchmarks.observed import observe
from benchmarks.raw_mnist import lay_out
from benchmarks.results import Bound, Row

LITTLE = Bound(limit=0.05)


def measure(conditions: Conditions) -> Iterator[Row]:
    """Seconds of a further network, and its share of an epoch of the plain loop."""
    few, many = conditions.pick(smoke=(1, 2), usual=(4, 16))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        root = str(lay_out(work / "data"))

        def plain(epochs: int) -> float:
            given = ("-m", "benchmarks.plain_loop", root, str(epochs), "0")
            return seconds_of(lambda: processes.run(*given, folder=work))

        def sweep(networks: int, passes: str) -> float:
            axes = ("--drop-rates", "0.2,0.5", "--seeds", f"0-{max(networks // 2 - 1, 0)}")
            others = ("--epochs", "0", "--mask-passes", passes, "--force", "true")
            place = ("--devices", str(conditions.device))
            return observe("sweep", *axes, *others, *place, folder=work).seconds

        sweep(few, "0")  # makes the store
        epochs = conditions.pick(smoke=(0, 1), usual=(1, 3))
        epoch = (plain(epochs[1]) - plain(epochs[0])) / (epochs[1] - epochs[0])
        yield Row(name="an epoch of the plain loop", value=epoch, unit="s")
        for passes, name in (
            ("0", "a further network"),
            ("3", "… with passes for mask-dead units"),
        ):
            further = (sweep(many, passes) - sweep(few, passes)) / (many - few)
            yield Row(name=name, value=further, unit="s")
            bound = LITTLE if passes == "0" else None
            yield Row(name=f"{name}: of that epoch", value=further / epoch, unit="x", bound=bound)
