"""Ten epochs of the post's network by the training loop alone, one network and many at once.

With everything that it measures, after a first epoch that loads the device's kernels; the images
are on the device, and nothing is logged or drawn.
"""

from collections.abc import Iterator
from functools import partial

from benchmarks.blocks import IMAGES, noise, stack_of, trained
from benchmarks.conditions import Conditions
from benchmarks.interleaved import seconds_of
from benchmarks.results import Bound, Row
from pipeline.training.batches import Examples

ON_CUDA = {1: Bound(limit=1), 64: Bound(limit=4)}


def measure(conditions: Conditions) -> Iterator[Row]:
    """Seconds of ten epochs, for each size of a stack."""
    is_cuda = conditions.device.type == "cuda"
    data = noise(conditions.device, conditions.pick(smoke=2000, usual=IMAGES))
    test = Examples(data.images[:10_000], data.labels[:10_000])
    sizes = (1, 12, 64) if is_cuda else (1, 12)
    for networks in conditions.pick(smoke=(1, 2), usual=sizes, full=(1, 12, 64)):
        _train(networks, 1, training=data, test=test)
        count = conditions.pick(smoke=1, usual=10)
        train = partial(_train, networks, count, training=data, test=test)
        seconds = seconds_of(train)
        yield Row(
            name=f"{count} epochs, {networks} at once",
            value=seconds,
            unit="s",
            bound=ON_CUDA.get(networks) if is_cuda else None,
        )


def _train(networks: int, count: int, *, training: Examples, test: Examples) -> None:
    for _ in trained(
        stack_of(networks, epochs=count, holdout=0), training=training, validation=test
    ):
        pass
