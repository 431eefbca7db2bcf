"""What a finished network is worth, before anything of it is published."""

from dataclasses import replace

import pytest
import torch

from pipeline.config.recipe import Recipe
from pipeline.data import ImageData, split
from pipeline.records import EpochRecord
from pipeline.runs.publish import judge
from pipeline.training.batches import Examples
from pipeline.training.loop import epochs
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack
from why_zero import BrokenIdentity

RECIPE = Recipe(widths=(8, 8), batch_size=20, epochs=2, holdout=30, scaling="standard")


def noise() -> ImageData:
    source = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (150, 3, 3), dtype=torch.uint8, generator=source)
    labels = images.flatten(1)[:, :3].long().argmax(1)
    return ImageData(
        name="noise",
        train_images=images[:120],
        train_labels=labels[:120],
        test_images=images[120:],
        test_labels=labels[120:],
        classes=("a", "b", "c"),
        digest="0",
        source="nowhere",
        licence="none",
    )


def trained(data: ImageData, recipe: Recipe) -> list[EpochRecord]:
    """The last records of two networks that differ in their seed."""
    kept, held_out = split(len(data.train_labels), recipe.holdout)
    training, validation = (
        Examples(data.train_images[rows].flatten(1), data.train_labels[rows])
        for rows in (kept, held_out)
    )
    stack = Stack([recipe, replace(recipe, seed=1)], inputs=9, classes=3, pixels=training.pixels)
    *_, last = epochs(stack, Optimizer(stack), training=training, validation=validation)
    return list(last)


def test_weights_that_are_kept_give_the_loss_that_their_epoch_recorded() -> None:
    data = noise()
    record, _ = trained(data, RECIPE)
    assert record.validation is not None
    judged = judge(RECIPE, record, data)
    assert judged.is_right.mean() == pytest.approx(record.validation.accuracy)


def test_weights_of_another_network_of_the_stack_are_published_for_none() -> None:
    data = noise()
    record, neighbour = trained(data, RECIPE)
    with pytest.raises(BrokenIdentity, match="of epoch 2") as caught:
        judge(RECIPE, replace(record, weights=neighbour.weights), data)
    assert caught.value.identity == 15
