"""What clocks are put on: blocks of the training loop's updates, and whole trainings.

It must not know what they are compared with.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch

from pipeline.config.recipe import Recipe
from pipeline.records import EpochRecord
from pipeline.training import device as devices
from pipeline.training.batches import Batch, Examples, batches
from pipeline.training.loop import epochs, updates
from pipeline.training.masks import RandomMasks
from pipeline.training.measure import ScoreSum, Watch
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack

BLOCK = 20
IMAGES = 60_000


def noise(device: torch.device, images: int = IMAGES) -> Examples:
    """Random images of MNIST's size: what they show changes no clock."""
    pixels = torch.randint(0, 256, (images, 784), dtype=torch.uint8)
    return Examples(pixels.to(device), torch.randint(0, 10, (images,)).to(device))


def training(
    recipes: Sequence[Recipe], data: Examples, *, block: int = BLOCK
) -> Callable[[], None]:
    """A function that takes `block` more updates, each network with its own order and masks."""
    device = data.images.device
    stack = Stack(recipes, inputs=data.images.shape[1], classes=10).to(device)
    every = recipes[0].probe_every
    total, watch = ScoreSum(len(recipes), device), Watch(stack)

    def stream() -> Iterator[Batch]:
        for epoch in itertools.count(1):
            yield from batches(recipes, data, epoch=epoch)

    masks = RandomMasks(recipes, stack.units, stream="epoch 1", device=device)
    taken = updates(
        stack,
        Optimizer(stack),
        batches=stream(),
        masks=masks,
        is_watched=lambda index: every > 0 and index % every == 0,
        graph=devices.Graph(masks.generators) if devices.has_graphs(device) else None,
    )

    def run() -> None:
        for update in itertools.islice(taken, block):
            total.add(update.logits, update.losses, update.batch.target)
            if update.layers:
                watch.add(update.layers, inputs=update.inputs)
        devices.synchronize(device)

    return run


def trained(
    recipes: Sequence[Recipe], *, training: Examples, validation: Examples
) -> Iterator[tuple[EpochRecord, ...]]:
    """The records of training these networks, epoch by epoch."""
    device = training.images.device
    stack = Stack(recipes, inputs=training.images.shape[1], classes=10).to(device)
    yield from epochs(stack, Optimizer(stack), training=training, validation=validation)
    devices.synchronize(device)


def stack_of(networks: int, **settings: object) -> list[Recipe]:
    """Recipes that differ in their seed alone."""
    return [Recipe(seed=seed, **settings) for seed in range(networks)]
