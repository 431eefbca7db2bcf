"""What the documents say of random streams is enough to rebuild a network's epoch 0 and masks."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from pipeline.config.recipe import Recipe
from pipeline.data import load, split
from pipeline.training.batches import Examples, order
from pipeline.training.loop import epochs
from pipeline.training.masks import RandomMasks
from pipeline.training.optimizer import Optimizer
from pipeline.training.recycle import recycle
from pipeline.training.stack import Stack

DOCUMENT = Path(__file__).parents[2] / "docs" / "definitions.md"
CPU = torch.device("cpu")
RECIPE = Recipe(seed=3, drop_rate=0.3, widths=(7, 5), holdout=200, epochs=1, probe_every=2)
SIZES = (784, 7, 5, 10)


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """The functions that the document defines."""
    [block] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - our own document
    return names


def test_held_out_images_are_those_that_are_said(said: dict[str, Any]) -> None:
    kept, held_out = split(1000, 100)
    ours = said["held_out"](1000, 100)
    assert torch.equal(ours[0], held_out)
    assert torch.equal(ours[1], kept)


def test_the_order_of_an_epoch_is_the_one_that_is_said(said: dict[str, Any]) -> None:
    assert torch.equal(said["batch_order"](3, 4, 500), order(3, epoch=4, samples=500))


@pytest.mark.parametrize("rate", [0.3, 0.0, 0.9999999999])
def test_the_masks_of_an_epoch_are_those_that_are_said(said: dict[str, Any], rate: float) -> None:
    recipes = [Recipe(seed=3, drop_rate=rate, widths=(7, 5)), Recipe(seed=4, widths=(7, 5))]
    source = RandomMasks(recipes, (7, 5, 10), stream="epoch 2", device=CPU)
    # An odd number of units in a batch leaves half a word unused.
    sizes = (3, 4, 1)
    drawn = [source.draw(size) for size in sizes]
    for index, (layer, units) in enumerate((("h1", 7), ("h2", 5), ("logits", 10))):
        for number, mask in enumerate(said["masks"](3, layer, 2, rate, units, sizes)):
            kept = drawn[number][index]
            assert kept is not None
            assert torch.equal(mask, kept[0]), (layer, number)


def test_the_masks_of_inputs_are_those_that_are_said(said: dict[str, Any]) -> None:
    recipes = [Recipe(seed=3, input_drop_rate=0.2), Recipe(seed=4)]
    source = RandomMasks(recipes, (7, 5, 10), stream="epoch 2", device=CPU)
    sizes = (3, 4, 1)
    for size, mask in zip(sizes, said["masks"](3, "input", 2, 0.2, 9, sizes), strict=True):
        kept = source.draw_inputs(size, 9)
        assert kept is not None
        assert torch.equal(mask, kept[0])


def test_new_weights_of_recycled_units_are_those_that_are_said(said: dict[str, Any]) -> None:
    """All units of h2 are dead at birth, so all are recycled after epoch 1."""
    recipe = replace(RECIPE, recycle_every=1, epochs=2, seed=5, mask_passes=0)
    stack = Stack([recipe], inputs=9, classes=3)
    torch.nn.init.constant_(stack.biases[1], -99)
    noise = torch.randint(0, 256, (300, 9), dtype=torch.uint8)
    data = Examples(noise, torch.randint(0, 3, (300,)))
    steps = epochs(stack, optimizer := Optimizer(stack), training=data, validation=data)
    next(steps)
    recycle(stack, optimizer, next(steps))
    weight, bias = said["recycled_weights"](5, "h2", 1, 7, 5)
    found = stack.state(0)
    assert torch.equal(torch.from_numpy(found["linear2.bias"]), bias)
    is_new = torch.from_numpy(found["linear2.weight"]) == weight
    # What comes from a unit of h1 that was recycled as well is 0.
    assert (is_new | (torch.from_numpy(found["linear2.weight"]) == 0)).all()
    assert is_new.any()


@pytest.mark.parametrize("zero_biases", [False, True])
@pytest.mark.parametrize("init", ["default", "he", "normal:0.01"])
def test_initial_weights_are_those_that_are_said(
    said: dict[str, Any], init: str, zero_biases: bool
) -> None:
    recipe = replace(RECIPE, init=init, zero_biases=zero_biases)
    state = Stack([recipe], inputs=784, classes=10).state(0)
    for number, layer in enumerate(said["initial_weights"](3, SIZES, init, zero_biases), start=1):
        for kind, expected in zip(("weight", "bias"), layer, strict=True):
            # To the rounding of 2/inputs.
            torch.testing.assert_close(torch.from_numpy(state[f"linear{number}.{kind}"]), expected)


def test_epoch_0_is_rebuilt_from_what_is_said(said: dict[str, Any]) -> None:
    data = load("mnist")
    images, labels = data.train_images[:1000], data.train_labels[:1000]
    held_out, kept = said["held_out"](1000, RECIPE.holdout)

    def examples(rows: torch.Tensor) -> Examples:
        return Examples(images[rows].flatten(1), labels[rows])

    stack = Stack([RECIPE], inputs=784, classes=10)
    trained = epochs(
        stack, Optimizer(stack), training=examples(kept), validation=examples(held_out)
    )
    [record] = next(iter(trained))

    weights = said["initial_weights"](RECIPE.seed, SIZES)

    def logits(rows: torch.Tensor, masks: list[torch.Tensor]) -> torch.Tensor:
        x = images[rows].flatten(1) / 255
        for index, (weight, bias) in enumerate(weights):
            x = F.linear(x, weight, bias)
            if index < len(weights) - 1:
                x = x.relu()
            if masks:
                zeros[index] += int((~masks[index] | (x == 0)).sum())
                x = x * masks[index] / (1 - RECIPE.drop_rate)
        return x

    zeros = [0, 0, 0]
    found = logits(held_out, [])
    assert record.validation is not None
    loss = float(F.cross_entropy(found, labels[held_out]))
    assert record.validation.loss == pytest.approx(loss, rel=1e-5)
    right = (found.argmax(1) == labels[held_out]).double().mean()
    assert record.validation.accuracy == pytest.approx(float(right))

    # Batches of 200: the first and the third of the four are watched.
    rows = kept[said["batch_order"](RECIPE.seed, 0, len(kept))].split(RECIPE.batch_size)[::2]
    names = [layer.name for layer in record.layers]
    masks = [
        list(said["masks"](RECIPE.seed, name, 0, RECIPE.drop_rate, units, [len(r) for r in rows]))
        for name, units in zip(names, SIZES[1:], strict=True)
    ]
    for number, batch in enumerate(rows):
        logits(batch, [layer[number] for layer in masks])
    assert zeros == [layer.causes.pairs - int(layer.causes.active.sum()) for layer in record.layers]
