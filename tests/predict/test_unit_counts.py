"""Units for one image: active, inactive, dead, woken, against hand arithmetic."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.config.recipe import Recipe
from pipeline.predict.unit_counts import UnitCount, count_units
from pipeline.training.stack import Stack

IMAGES = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


def network(activation: str = "relu") -> Stack:
    stack = Stack([Recipe(widths=(4, 1), activation=activation)], inputs=2, classes=2)
    weights = {
        # z of the first image: 1, -1, 0, 2; of the second: -1, 1, 0, 2.
        "linear1.weight": np.array([[1, -1], [-1, 1], [0, 0], [2, 2]], np.float32),
        "linear1.bias": np.zeros(4, np.float32),
        # The third unit, which alone could open it, is closed for both.
        "linear2.weight": np.array([[1, 0, 5, 0]], np.float32),
        "linear2.bias": np.array([-3], np.float32),
        "linear3.weight": np.array([[1], [-1]], np.float32),
        "linear3.bias": np.array([0.5, 0.25], np.float32),
    }
    stack.load(0, weights)
    return stack


def test_without_knowledge_of_the_dead_units_are_active_or_inactive() -> None:
    _, counts = count_units(network(), IMAGES, None)
    h1 = UnitCount(layer="h1", units=4, active=2, inactive=2, dead=None, woken=None)
    h2 = UnitCount(layer="h2", units=1, active=0, inactive=1, dead=None, woken=None)
    assert counts == [(h1, h2), (h1, h2)]


def test_dead_units_are_told_from_inactive_ones_and_from_those_this_image_wakes() -> None:
    dead = {"h1": np.array([True, False, True, False]), "h2": np.array([False])}
    _, (first, second) = count_units(network(), IMAGES, dead)
    h1 = UnitCount(layer="h1", units=4, active=2, inactive=1, dead=1, woken=1)
    assert first[0] == h1
    # The second image leaves unit 1 closed: dead, as is unit 3.
    assert second[0] == replace(h1, inactive=0, dead=2, woken=0)
    assert first[1] == UnitCount(layer="h2", units=1, active=0, inactive=1, dead=0, woken=0)


def test_the_logits_are_those_of_evaluation_mode() -> None:
    logits, _ = count_units(network(), IMAGES, None)
    assert logits.tolist() == [[0.5, 0.25], [0.5, 0.25]]


@pytest.mark.parametrize("activation", ["none", "sigmoid", "leaky_relu"])
def test_a_network_without_relu_has_no_unit_that_could_be_closed(activation: str) -> None:
    _, counts = count_units(network(activation), IMAGES, None)
    assert counts == [(), ()]


def test_deadness_of_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match="h1 has 4 units, got deadness of 2"):
        count_units(network(), IMAGES, {"h1": np.zeros(2, bool), "h2": np.zeros(1, bool)})
