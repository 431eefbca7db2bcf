"""What an evaluation amounts to, whatever stands beside a network in its stack."""

from itertools import chain

import numpy as np
import pytest
import torch

from pipeline.config.recipe import Recipe
from pipeline.records import Score
from pipeline.training import measure
from pipeline.training.batches import Examples
from pipeline.training.measure import evaluate
from pipeline.training.stack import Stack
from why_zero import StateCount
from why_zero.records import UnitStates

WIDTHS = (60, 50)
SAMPLES = 1200


def evaluated(stack: Stack) -> tuple[list[Score], list[list[UnitStates]]]:
    source = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (SAMPLES, 20), dtype=torch.uint8, generator=source)
    states = StateCount(len(stack.recipes), WIDTHS, torch.device("cpu"))
    scores = evaluate(stack, Examples(images, images[:, 0].long() % 10).in_order(), states=states)
    layers = range(len(WIDTHS))
    return scores, [[states.states(layer, m) for layer in layers] for m in range(len(scores))]


@pytest.fixture
def stack() -> Stack:
    return Stack([Recipe(widths=WIDTHS, seed=seed) for seed in range(3)], inputs=20, classes=10)


def test_networks_are_counted_one_by_one_as_they_are_together(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = evaluated(stack)
    # Of the two batches only the first, of 1,000 samples, is large enough.
    monkeypatch.setattr(measure, "WORTH_GOING_ALONE", 300 * sum(stack.units) * 3)
    alone = evaluated(stack)
    for lone, stacked in zip(alone[0], together[0], strict=True):
        assert lone.accuracy == stacked.accuracy
        assert lone.loss == pytest.approx(stacked.loss, rel=1e-6)
    for lone, stacked in zip(chain(*alone[1]), chain(*together[1]), strict=True):
        assert lone.samples == stacked.samples == SAMPLES
        np.testing.assert_array_equal(lone.fired, stacked.fired)
        np.testing.assert_array_equal(lone.reached, stacked.reached)
        np.testing.assert_allclose(lone.magnitude, stacked.magnitude, rtol=1e-5)


def test_one_by_one_an_evaluation_does_not_depend_on_the_neighbours_to_the_last_bit(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "WORTH_GOING_ALONE", 0)
    scores, states = evaluated(stack)
    for member, expected in enumerate(scores):
        [score], [layers] = evaluated(stack.part(member))
        assert score == expected
        for lone, stacked in zip(layers, states[member], strict=True):
            np.testing.assert_array_equal(lone.magnitude, stacked.magnitude)
