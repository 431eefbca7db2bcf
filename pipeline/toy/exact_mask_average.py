"""The mean output over all dropout masks, each with its probability, against evaluation mode.

For a linear network the two are equal. For one with ReLUs they are not, because scaling by
1 / (1 - p) only approximates the average (Srivastava et al. 2014 call it an approximate average).
Computed in float64 with numpy alone.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.config.recipe import Recipe
from pipeline.records import Weights
from why_zero.records import Floats

MOST_UNITS = 12


def mask_average_gap(recipe: Recipe, weights: Weights, x: Floats) -> tuple[float, float]:
    """The largest difference, over samples and logits, of the mean over masks from evaluation.

    Also returns the size of what was summed, the largest |logit| under any mask but at least 1,
    by which to judge whether a difference is rounding.

    Args:
        recipe: of a small network whose logits are not dropped.
        weights: its state dict, under the names `plain` gives.
        x: samples, shape (samples, inputs).

    Raises:
        ValueError: more hidden units than `MOST_UNITS`, so too many masks to try all.
    """
    if sum(recipe.widths) > MOST_UNITS:
        raise ValueError(f"at most {MOST_UNITS} hidden units, got {sum(recipe.widths)}")
    ones = [np.ones(width) for width in recipe.widths]
    rates = list(map(recipe.drop_rate_of, recipe.layers[:-1]))
    evaluation = _logits(recipe, weights, x, factors=ones)
    mean, size = np.zeros_like(evaluation), max(1.0, float(np.abs(evaluation).max()))
    for keep, probability in _masks(recipe):
        factors = [kept / (1 - rate) for kept, rate in zip(keep, rates, strict=True)]
        logits = _logits(recipe, weights, x, factors=factors)
        mean += probability * logits
        size = max(size, float(np.abs(logits).max()))
    return float(np.abs(mean - evaluation).max()), size


def _masks(recipe: Recipe) -> Iterator[tuple[list[NDArray[np.float64]], float]]:
    """Every combination of the hidden layers' masks, with its probability."""
    edges = np.cumsum(recipe.widths)[:-1]
    rates = np.repeat(list(map(recipe.drop_rate_of, recipe.layers[:-1])), recipe.widths)
    for bits in itertools.product((0.0, 1.0), repeat=sum(recipe.widths)):
        kept = np.array(bits)
        probability = float(np.where(kept == 1, 1 - rates, rates).prod())
        yield np.split(kept, edges), probability


def _logits(
    recipe: Recipe, weights: Weights, x: Floats, *, factors: list[NDArray[np.float64]]
) -> Floats:
    y = x.astype(np.float64)
    for number, factor in enumerate(factors, start=1):
        z = _linear(weights, number, y)
        y = factor * (np.maximum(z, 0) if recipe.activation == "relu" else z)
    return _linear(weights, len(factors) + 1, y)


def _linear(weights: Weights, number: int, y: Floats) -> Floats:
    weight = weights[f"linear{number}.weight"].astype(np.float64)
    return y @ weight.T + weights[f"linear{number}.bias"].astype(np.float64)
