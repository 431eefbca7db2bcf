"""How an update's cost grows with networks, widths and batch, and where stacking stops paying.

Each comparison takes turns: the stacks of all sizes, or one network and a stack of four with the
same widths and batch size. Stacking pays where it makes a network's update cheaper by a tenth.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.blocks import noise, stack_of, training
from benchmarks.conditions import Conditions
from benchmarks.interleaved import medians
from benchmarks.results import Row
from pipeline.training.batches import Examples

STACKED = 4
PAYS = 1.1
# Updates of a block: few where each is long.
WORK = 2e11


@dataclass(frozen=True)
class Shape:
    """Widths of four hidden layers, and the batch size."""

    widths: tuple[int, ...] = (256, 256, 128, 128)
    batch_size: int = 200

    @property
    def block(self) -> int:
        """How many updates to time at once."""
        sizes = (784, *self.widths, 10)
        products = sum(a * b for a, b in pairwise(sizes))
        return max(1, min(20, round(WORK / (6 * products * self.batch_size * STACKED))))


def measure(conditions: Conditions) -> Iterator[Row]:
    """Milliseconds for an update and network, then what stacking gains for each shape."""
    data = noise(conditions.device, conditions.pick(smoke=2000, usual=60_000))
    sizes = conditions.pick(smoke=(1, 2), usual=(1, 2, 4, 8, 12, 16, 32, 64))
    for networks, cost in _costs(sizes, Shape(), data, conditions).items():
        yield Row(name=f"{networks} at once", value=cost, unit="ms", note="an update and network")
    widths = conditions.pick(smoke=(8,), usual=(64, 128, 256, 512, 1024, 2048, 4096))
    by_width = {width: Shape((width,) * 4) for width in widths}
    yield from _gains("four layers of", by_width, data, conditions)
    batches = conditions.pick(smoke=(50,), usual=(50, 100, 200, 500, 1000, 2000, 5000))
    by_batch = {batch: Shape(batch_size=batch) for batch in batches}
    yield from _gains("batches of", by_batch, data, conditions)


def _costs(
    sizes: Sequence[int], shape: Shape, data: Examples, conditions: Conditions
) -> dict[int, float]:
    """Milliseconds for an update and network, by the number of networks."""
    rounds, warm_up = conditions.pick(smoke=(1, 0), usual=(5, 1), full=(15, 3))
    functions = {
        str(networks): training(
            stack_of(networks, probe_every=0, widths=shape.widths, batch_size=shape.batch_size),
            data,
            block=shape.block,
        )
        for networks in sizes
    }
    seconds = medians(functions, rounds=rounds, warm_up=warm_up)
    return {n: 1e3 * seconds[str(n)] / shape.block / n for n in sizes}


def _gains(
    what: str, shapes: Mapping[int, Shape], data: Examples, conditions: Conditions
) -> Iterator[Row]:
    """For each shape the cost of one network, and how many times cheaper it is in a stack."""
    paying, does_pay = 0, True
    for size, shape in shapes.items():
        costs = _costs((1, STACKED), shape, data, conditions)
        gain = costs[1] / costs[STACKED]
        does_pay = does_pay and gain >= PAYS  # what pays behind one that does not is noise
        paying = size if does_pay else paying
        yield Row(name=f"{what} {size}, alone", value=costs[1], unit="ms", note="an update")
        yield Row(name=f"{what} {size}, cheaper in a stack of {STACKED}", value=gain, unit="x")
    yield Row(name=f"{what} …: stacking pays up to", value=paying, unit="")
