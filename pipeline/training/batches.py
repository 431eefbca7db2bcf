"""Which samples a stack sees in which update.

Every network's order comes from its own (seed, epoch), drawn on the CPU, so it is the same on
every device and in any stack.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from pipeline.config.recipe import Recipe
from pipeline.training import device as devices
from pipeline.training.stack import PixelScale
from why_zero import BrokenIdentity

EVALUATION_BATCH = 1000
# Inputs of a watched batch that are compared with the images.
_COMPARED = 10


@dataclass(frozen=True)
class Batch:
    """What a stack sees in one update: a batch for each network, or (1, …) one for all.

    Attributes:
        x: the inputs.
        target: their classes.
        rows: which samples these are, where they are an epoch's.
    """

    x: Float[Tensor, "networks_or_1 batch inputs"]
    target: Int[Tensor, "networks_or_1 batch"]
    rows: Int[Tensor, "networks_or_1 batch"] | None = None


@dataclass(frozen=True)
class Examples:
    """Images and their labels, on the device that trains.

    Attributes:
        images: 0 … 255, one row per image.
        labels: class indices.
    """

    images: UInt8[Tensor, "samples pixels"]
    labels: Int[Tensor, " samples"]

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.labels)

    def inputs(self, rows: Int[Tensor, " rows"]) -> Float[Tensor, "rows pixels"]:
        """The images at these rows as floats in [0, 1]."""
        return self.images.index_select(0, rows).float().div_(255)

    @property
    def pixels(self) -> PixelScale:
        """Mean and standard deviation of all pixels in [0, 1], from exact counts.

        Where all pixels are equal the deviation is given as 1 instead of 0: it divides zeros.
        """
        counts = torch.bincount(self.images.flatten(), minlength=256).cpu().double()
        values = torch.arange(256).double() / 255
        mean = float((counts * values).sum() / counts.sum())
        deviation = float((counts * (values - mean) ** 2).sum() / counts.sum()) ** 0.5
        return PixelScale(mean, deviation or 1.0)

    def in_order(self) -> Iterator[Batch]:
        """All samples in their stored order, in batches that all networks share."""
        parts = zip(
            self.images.split(EVALUATION_BATCH), self.labels.split(EVALUATION_BATCH), strict=True
        )
        return (Batch(images.float().div_(255)[None], labels[None]) for images, labels in parts)


def batches(
    recipes: Sequence[Recipe], examples: Examples, *, epoch: int, every: int = 1
) -> Iterator[Batch]:
    """The batches of one epoch; the last one is smaller if they do not divide the samples.

    Args:
        recipes: one for each network of the stack, with one batch size.
        examples: the samples, each of which is in exactly one batch of a network.
        epoch: determines the order, together with the seed.
        every: yield only the first of every so many batches.
    """
    size = recipes[0].batch_size
    seeds = list(dict.fromkeys(recipe.seed for recipe in recipes))
    orders = [order(seed, epoch=epoch, samples=len(examples)) for seed in seeds]
    rows = torch.stack(orders).to(examples.images.device)
    # Made once for networks that see the same.
    is_shared = 1 < len(seeds) < len(recipes)
    of = torch.tensor([seeds.index(recipe.seed) for recipe in recipes], device=rows.device)
    for start in range(0, len(examples), size * every):
        taken = rows[:, start : start + size]
        x = examples.inputs(taken.reshape(-1)).view(*taken.shape, -1)
        if is_shared:
            x, taken = x[of], taken[of]
        yield Batch(x, examples.labels[taken], taken)


class Roll:
    """Checks that the updates of an epoch see every sample once, as itself (identity 12)."""

    def __init__(self, examples: Examples) -> None:
        """Start with nobody seen."""
        self._examples = examples
        self._rows: list[Tensor] = []

    def add(self, batch: Batch) -> None:
        """Note whom an update saw; this starts nothing on the device."""
        self._rows.append(_rows(batch))

    def labels(self, batch: Batch) -> Int[Tensor, "networks_or_1 batch"]:
        """The labels that a batch's samples have; its first inputs are compared with the images.

        Raises:
            BrokenIdentity: an input is another sample's.
        """
        rows = _rows(batch)
        first = rows[:, :_COMPARED]
        expected = self._examples.images[first].float() / 255
        if not torch.allclose(batch.x[:, :_COMPARED], expected, rtol=0, atol=1e-6):
            raise BrokenIdentity(
                "input", 12, expected="each row's own image", observed="another one"
            )
        return self._examples.labels[rows]

    def check(self) -> None:
        """Call the roll at the end of the epoch.

        Raises:
            BrokenIdentity: somebody was left out or seen twice.
        """
        rows = torch.cat(self._rows, dim=1)
        samples = len(self._examples)
        is_seen = torch.zeros(len(rows), samples, dtype=torch.bool, device=rows.device)
        is_seen.scatter_(1, rows, value=True)
        different = int(is_seen.sum(1).min())
        if (rows.shape[1], different) != (samples, samples):
            raise BrokenIdentity(
                "input",
                12,
                expected=f"{samples} samples in the updates of an epoch",
                observed=f"{rows.shape[1]}, of which {different} are different ones",
            )


def _rows(batch: Batch) -> Int[Tensor, "networks_or_1 batch"]:
    if batch.rows is None:
        raise ValueError("a batch of an epoch must say which samples it holds, got none")
    return batch.rows


def order(seed: int, *, epoch: int, samples: int) -> Int[Tensor, " samples"]:
    """The permutation in which a network with this seed sees its samples in this epoch."""
    source = devices.generator(torch.device("cpu"), seed, f"batch order epoch {epoch}")
    return torch.randperm(samples, generator=source)
