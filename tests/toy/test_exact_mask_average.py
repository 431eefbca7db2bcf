"""Identity 6: what evaluation mode is the mean of, and what it is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.recipe import Recipe
from pipeline.records import Weights
from pipeline.toy.exact_mask_average import mask_average_gap
from pipeline.training.stack import Stack


def weights_of(recipe: Recipe) -> Weights:
    return Stack([recipe], inputs=4, classes=2).state(0)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), rate=st.floats(0.05, 0.9))
def test_a_linear_network_s_mean_over_all_masks_is_its_evaluation_output(
    seed: int, rate: float
) -> None:
    recipe = Recipe(activation="none", drop_rate=rate, widths=(3, 3), seed=seed)
    x = np.random.default_rng(seed).integers(0, 10, (10, 4)).astype(np.float64)
    gap, size = mask_average_gap(recipe, weights_of(recipe), x)
    assert gap < 1e-13 * size


def test_a_relu_network_s_mean_differs_by_what_hand_arithmetic_says() -> None:
    """One input 1, two units of h1 at 1, one of h2 at relu(y1 - y2), one logit; p = 1/2.

    y1 and y2 are 0 or 2. In evaluation mode relu(1 - 1) = 0. Under masks y1 - y2 is 2 with
    probability 1/4, so h2 is 2 there, and its own mask keeps 4 of it half of the time: 1/2.
    """
    recipe = Recipe(drop_rate=0.5, widths=(2, 1))
    weights = {
        "linear1.weight": np.array([[1], [1]], dtype=np.float32),
        "linear1.bias": np.zeros(2, dtype=np.float32),
        "linear2.weight": np.array([[1, -1]], dtype=np.float32),
        "linear2.bias": np.zeros(1, dtype=np.float32),
        "linear3.weight": np.array([[1]], dtype=np.float32),
        "linear3.bias": np.zeros(1, dtype=np.float32),
    }
    gap, size = mask_average_gap(recipe, weights, np.ones((1, 1)))
    assert gap == pytest.approx(0.5)
    assert size == 4  # both masks keep: 2 x 2


def test_too_many_units_to_try_all_masks_are_refused() -> None:
    recipe = Recipe(widths=(7, 6))
    with pytest.raises(ValueError, match="at most 12 hidden units, got 13"):
        mask_average_gap(recipe, weights_of(recipe), np.ones((1, 4)))
