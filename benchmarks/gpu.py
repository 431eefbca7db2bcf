"""Everything that is asked of a machine with CUDA.

A sweep of 64 networks and a single network, from the first update to the end; a sweep on the
processor and the GPU, which compares the two; and a sweep on many cores, then on two of them.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import cores
from benchmarks.conditions import Conditions, UnavailableError
from benchmarks.observed import observe
from benchmarks.results import Bound, Row
from pipeline.training import device as devices


def measure(conditions: Conditions) -> Iterator[Row]:
    """All rows; those of the cores last."""
    device = str(devices.resolve("auto"))
    if not device.startswith("cuda") and conditions.effort != "smoke":
        raise UnavailableError("a GPU must be there that torch can use, got none")
    epochs = conditions.pick(smoke=1, usual=10)
    last = conditions.pick(smoke=0, usual=15)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        alone = ("mnist", "--device", device, "--epochs", str(epochs), "--force", "true")
        observe(*alone, folder=work)  # what is read and made once
        one = observe(*alone, folder=work)
        name = f"mnist, {epochs} epochs"
        yield Row(name=f"{name}, whole process", value=one.seconds, unit="s")
        until = one.from_first_update
        yield Row(
            name=f"{name}, from the first update", value=until, unit="s", bound=Bound(limit=4)
        )
        yield Row(name=f"{name}, its updates", value=one.training, unit="s")
        axes = ("--drop-rates", "0.1,0.2,0.3,0.5", "--seeds", f"0-{last}")
        axes += ("--epochs", str(epochs))
        many = observe("sweep", *axes, "--devices", device, folder=work)
        name = f"sweep of {4 * (last + 1)}, {epochs} epochs"
        yield Row(name=f"{name}, whole process", value=many.seconds, unit="s")
        until = many.from_first_update
        yield Row(
            name=f"{name}, from the first update", value=until, unit="s", bound=Bound(limit=30)
        )
        trained = many.training
        yield Row(name=f"{name}, its updates", value=trained, unit="s", bound=Bound(limit=6))
        yield Row(name=f"{name}, most memory of all processes", value=many.gib, unit="GiB")
        few = ("--drop-rates", "0.2,0.5", "--seeds", "0-2", "--epochs", "2")
        both = observe("sweep", *few, "--devices", f"cpu,{device}", folder=work)
        yield Row(name="sweep of 6 on two devices, 2 epochs", value=both.seconds, unit="s")
    yield from cores.measure(conditions)
