"""How much memory a stack takes: the formula's three moments, by hand."""

from dataclasses import replace
from typing import Literal

import pytest

from pipeline.config.recipe import Recipe
from pipeline.training.footprint import stack_bytes

# 10 inputs, 4 units, 2 classes: 44 + 10 = 54 parameters, 6 units; 24 bytes a parameter with Adam.
SHAPE = {"inputs": 10, "classes": 2}
HELD = 54 * 24


def estimate(recipe: Recipe, *, networks: int = 1, samples: int = 100) -> int:
    return stack_bytes(recipe, networks=networks, samples=samples, **SHAPE)


def test_a_small_batch_leaves_the_evaluation_of_a_thousand_as_the_largest_moment() -> None:
    assert estimate(Recipe(widths=(4,), batch_size=10)) == round(1.4 * (HELD + 1000 * 14 * 6))


def test_a_large_batch_counts_units_inputs_and_the_order_of_the_samples() -> None:
    update = 2000 * (28 * 6 + 9 * 10) + 16 * 100
    assert estimate(Recipe(widths=(4,), batch_size=2000)) == round(1.4 * (HELD + update))


def test_inputs_that_are_dropped_take_their_masks_and_what_is_left_of_them() -> None:
    update = 2000 * (28 * 6 + (9 + 11) * 10) + 16 * 100
    recipe = Recipe(widths=(4,), batch_size=2000, input_drop_rate=0.2)
    assert estimate(recipe) == round(1.4 * (HELD + update))


@pytest.mark.parametrize("scaling", ["symmetric", "standard"])
def test_scaled_inputs_count_a_copy_of_the_batch_for_each_network(
    scaling: Literal["symmetric", "standard"],
) -> None:
    recipe = Recipe(widths=(4,), batch_size=10, scaling=scaling)
    assert estimate(recipe) == round(1.4 * (HELD + 1000 * (14 * 6 + 4 * 10)))
    update = 2000 * (28 * 6 + 9 * 10 + 4 * 10) + 16 * 100
    assert estimate(replace(recipe, batch_size=2000)) == round(1.4 * (HELD + update))


def test_a_large_layer_is_compared_with_what_it_was_before_the_epoch() -> None:
    recipe = Recipe(widths=(4,), batch_size=1)
    layers = 100_001 * 4, 5 * 2
    total = stack_bytes(recipe, networks=1, inputs=100_000, classes=2, samples=100)
    assert total == round(1.4 * (24 * sum(layers) + 9 * max(layers)))


@pytest.mark.parametrize(
    ("optimizer", "momentum", "bytes_of_a_parameter"),
    [("adam", 0.0, 24), ("sgd", 0.9, 20), ("sgd", 0.0, 16)],
)
def test_ten_networks_take_ten_times_as_much_and_their_optimizer_its_state(
    optimizer: Literal["adam", "sgd"], momentum: float, bytes_of_a_parameter: int
) -> None:
    recipe = Recipe(widths=(4,), batch_size=10, optimizer=optimizer, momentum=momentum)
    held = 54 * bytes_of_a_parameter
    assert estimate(recipe, networks=10) == round(1.4 * 10 * (held + 1000 * 14 * 6))
