"""Dead in evaluation mode is not dead under every mask."""

import numpy as np
import pytest
import torch

from pipeline.config.recipe import Recipe
from pipeline.training import mask_dead
from pipeline.training.batches import Examples
from pipeline.training.loop import epochs
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack


def born(
    recipe: Recipe, weights: dict[str, list[list[float]] | list[float]], *, samples: int = 50
) -> list[list[bool]]:
    """The mask-dead units at birth of a 2-2-3 network with these weights, by hidden layer."""
    stack = Stack([recipe], inputs=2, classes=2)
    stack.load(0, {name: np.array(v, dtype=np.float32) for name, v in weights.items()})
    pixels = torch.full((samples, 2), 255, dtype=torch.uint8)
    ones = Examples(pixels, torch.zeros(samples, dtype=torch.int64))
    [record] = next(epochs(stack, Optimizer(stack), training=ones, validation=ones))
    assert record.layers[1].states is not None
    assert record.layers[1].states.dead.tolist() == [True, True, False]
    return [layer.mask_dead.tolist() for layer in record.layers if layer.mask_dead is not None]


# Both units of h1 are 1 for the only input. In h2 the first is h1.1 - h1.2 - 0.5: dead, but on
# when h1.2 is dropped and h1.1 is not. The second is -1 whatever comes. The third is on.
WEIGHTS: dict[str, list[list[float]] | list[float]] = {
    "linear1.weight": [[1, 0], [0, 1]],
    "linear1.bias": [0, 0],
    "linear2.weight": [[1, -1], [-1, -1], [1, 1]],
    "linear2.bias": [-0.5, -1, 1],
    "linear3.weight": [[0, 0, 0], [0, 0, 0]],
    "linear3.bias": [0, 0],
}


@pytest.mark.parametrize(
    ("drop_rate", "expected"), [(0.5, [False, True, False]), (0.0, [True, True, False])]
)
def test_a_unit_that_some_mask_wakes_is_not_mask_dead(
    drop_rate: float, expected: list[bool]
) -> None:
    """50 samples x 3 passes: the mask that wakes it has probability 1/4, missed with 2e-19."""
    recipe = Recipe(widths=(2, 3), drop_rate=drop_rate, epochs=1)
    assert born(recipe, WEIGHTS) == [[False, False], expected]


def test_a_unit_that_is_0_under_every_mask_is_mask_dead() -> None:
    weights = WEIGHTS | {
        "linear2.weight": [[1, -1], [0, 0], [1, 1]],
        "linear2.bias": [-0.5, 0, 1],
    }
    assert born(Recipe(widths=(2, 3)), weights) == [[False, False], [False, True, False]]


@pytest.mark.parametrize("seed", range(4))
def test_every_pass_draws_masks_of_its_own(seed: int) -> None:
    """60 masks of one sample, of which each wakes the unit with 1/4: all miss it with 3e-8."""
    recipe = Recipe(widths=(2, 3), epochs=1, mask_passes=60, seed=seed)
    assert born(recipe, WEIGHTS, samples=1)[1] == [False, True, False]


def test_no_passes_judge_nothing() -> None:
    assert born(Recipe(widths=(2, 3), mask_passes=0), WEIGHTS) == []


def test_judging_masks_changes_nothing_in_the_training() -> None:
    ends = []
    for passes in (0, 3):
        recipe = Recipe(widths=(5, 4), batch_size=10, epochs=2, mask_passes=passes)
        stack = Stack([recipe], inputs=3, classes=2)
        source = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (40, 3), dtype=torch.uint8, generator=source)
        data = Examples(images, images[:, 0].long() % 2)
        ends.append(
            [r[0] for r in epochs(stack, Optimizer(stack), training=data, validation=data)][-1]
        )
    assert ends[0].weights is not None
    assert ends[1].weights is not None
    for name, values in ends[0].weights.items():
        np.testing.assert_array_equal(values, ends[1].weights[name])
    assert ends[1].layers[0].mask_dead is not None


def test_networks_that_are_judged_together_are_judged_as_each_alone() -> None:
    """As on a GPU; also beside others with other dead units, rates, seeds and none dropped."""
    varied = ((0.1, 0), (0.5, 1), (0.0, 0), (0.9, 2))
    recipes = [
        Recipe(widths=(12, 9, 7, 6), drop_rate=rate, seed=seed, epochs=0) for rate, seed in varied
    ]
    stack = Stack(recipes, inputs=4, classes=2)
    for bias in stack.biases:
        bias.data -= 0.25  # many are dead
    images = torch.randint(0, 256, (60, 4), dtype=torch.uint8)
    data = Examples(images, images[:, 0].long() % 2)
    records = next(epochs(stack, Optimizer(stack), training=data, validation=data))
    together = mask_dead._judged(records, stack, data.in_order)
    seen = set()
    for record, same in zip(records, together, strict=True):
        for layer, other in zip(record.layers[:-1], same.layers[:-1], strict=True):
            assert layer.mask_dead is not None
            assert other.mask_dead is not None
            np.testing.assert_array_equal(other.mask_dead, layer.mask_dead)
            assert layer.states is not None
            seen |= set(zip(layer.states.dead.tolist(), layer.mask_dead.tolist(), strict=True))
    assert seen == {(False, False), (True, False), (True, True)}
