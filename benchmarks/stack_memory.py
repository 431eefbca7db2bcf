"""The most memory that training takes for a stack, over what `footprint` estimates.

Each stack is trained in a process of its own, for an epoch with everything on, after a small one
has loaded the libraries' own buffers. On the CPU it is the process's peak, on CUDA the device's.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks import processes
from benchmarks.blocks import trained
from benchmarks.conditions import Conditions, UnavailableError
from benchmarks.results import Bound, Row
from pipeline.config.recipe import Recipe
from pipeline.training import device as devices
from pipeline.training.batches import Examples
from pipeline.training.footprint import stack_bytes

INPUTS, CLASSES = 784, 10
# Linux alone forgets a peak: proc(5), clear_refs.
PEAK = Path("/proc/self/clear_refs")
FORGET_PEAK = "5"


@dataclass(frozen=True)
class Case:
    """A stack to measure; `images` are trained on, and the first thousand evaluated as well."""

    networks: int
    widths: tuple[int, ...] = (256, 256, 128, 128)
    batch_size: int = 200
    images: int = 3000

    @property
    def recipes(self) -> list[Recipe]:
        """A recipe for each network, in all that they share as the defaults."""
        shared = Recipe(widths=self.widths, batch_size=self.batch_size, epochs=1)
        return [replace(shared, seed=seed) for seed in range(self.networks)]


SMALL = (Case(2, (8,), 10, 100),)
USUAL = (
    Case(8), Case(16), Case(48), Case(16, images=55_000),
    Case(16, batch_size=1000), Case(4, batch_size=5000, images=10_000),
    Case(64, (64, 64), 50), Case(8, (1024, 1024)), Case(2, (2048, 2048, 2048)),
    Case(1, (4096, 4096), images=2000),
)  # fmt: skip


def measure(conditions: Conditions) -> Iterator[Row]:
    """Each stack's peak in MB, and its ratio to the estimate."""
    if conditions.device.type == "cpu" and not PEAK.exists():
        raise UnavailableError("the peak of a process can be read on Linux alone")
    for case in conditions.pick(smoke=SMALL, usual=USUAL):
        given = json.dumps([case.networks, case.widths, case.batch_size, case.images])
        with tempfile.TemporaryDirectory() as folder:
            printed = processes.run(
                "-m", "benchmarks.stack_memory", str(conditions.device), given, folder=Path(folder)
            )
        estimate = stack_bytes(
            case.recipes[0],
            networks=case.networks,
            inputs=INPUTS,
            classes=CLASSES,
            samples=case.images,
        )
        name = (
            f"{case.networks} networks of {'-'.join(map(str, case.widths))}, "
            f"batch {case.batch_size}, {case.images} images"
        )
        yield Row(name=name, value=int(printed) / 1e6, unit="MB")
        ratio = int(printed) / estimate
        bound = Bound(limit=1.25)
        yield Row(name="… over its estimate", value=ratio, unit="x", bound=bound)


def peak_bytes(case: Case, device: torch.device) -> int:
    """What training this stack took at most, beyond what was held before."""
    images = torch.randint(0, 256, (case.images, INPUTS), dtype=torch.uint8)
    data = Examples(images.to(device), torch.randint(0, CLASSES, (case.images,)).to(device))
    _train(replace(case, networks=1, widths=(8,), batch_size=10).recipes, data)
    if device.type == "cpu":
        PEAK.write_text(FORGET_PEAK, encoding="ascii")
    before = devices.peak_memory_mb(device)
    _train(case.recipes, data)
    return round(1e6 * (devices.peak_memory_mb(device) - before))


def _train(recipes: list[Recipe], data: Examples) -> None:
    few = Examples(data.images[:1000], data.labels[:1000])
    for _ in trained(recipes, training=data, validation=few):
        pass


if __name__ == "__main__":
    networks, widths, batch_size, images = json.loads(sys.argv[2])
    print(peak_bytes(Case(networks, tuple(widths), batch_size, images), torch.device(sys.argv[1])))
