"""The colour of a network's lines."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.config.recipe import Recipe
from pipeline.runs.color import run_color

Lab = Callable[..., NDArray[np.float64]]
RATES = [index / 10 for index in range(10)]


@pytest.mark.parametrize(
    ("drop_rate", "color"),
    [
        (0.0, "#481d6f"),
        (0.2, "#3b528b"),
        (0.9, "#9bd93c"),
        (0.95, "#9bd93c"),
        # Half the light of #20928c and of #21a685: ((146/255 + 0.055)/1.055)^2.4 = 0.2874 and
        # 0.3813 for green, so 0.3344, which is 156 of 255.
        (0.55, "#219c89"),
    ],
)
def test_the_colour_tells_the_drop_rate(drop_rate: float, color: str) -> None:
    assert run_color(Recipe(drop_rate=drop_rate)) == color


@pytest.mark.parametrize("vision", ["normal", "protanopia", "deuteranopia", "tritanopia"])
def test_the_more_is_dropped_the_lighter_for_every_kind_of_sight(lab: Lab, vision: str) -> None:
    colors = [lab(run_color(Recipe(drop_rate=rate)), vision) for rate in RATES]
    for one, next_ in pairwise(colors):
        assert next_[0] - one[0] > 4
        # A difference of about 2 can just be seen (Mahy et al. 1994).
        assert np.linalg.norm(next_ - one) > 6


def test_seeds_of_a_drop_rate_are_as_light_as_each_other_and_differ_in_grey(lab: Lab) -> None:
    for rate in RATES:
        seeds = [run_color(Recipe(drop_rate=rate, seed=seed)) for seed in range(5)]
        assert seeds[0] == seeds[4]
        shades = [lab(color) for color in seeds[:4]]
        assert np.ptp([shade[0] for shade in shades]) < 1.5
        colourfulness = [float(np.hypot(*shade[1:])) for shade in shades]
        assert colourfulness == sorted(colourfulness, reverse=True)
