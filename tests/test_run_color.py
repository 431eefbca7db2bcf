"""The colour of a network's lines."""

import pytest

from pipeline.recipe import Recipe
from pipeline.run_color import run_color


@pytest.mark.parametrize(
    ("drop_rate", "color"),
    [
        (0.0, "#222222"),
        (0.2, "#6a00a8"),
        (0.4, "#b12a90"),
        # Half way between #6a00a8 and #b12a90: (106 + 177) / 2, 42 / 2, (168 + 144) / 2.
        (0.3, "#8e159c"),
        (0.8, "#fca636"),
        (0.95, "#fca636"),
    ],
)
def test_the_hue_tells_the_drop_rate(drop_rate: float, color: str) -> None:
    assert run_color(Recipe(drop_rate=drop_rate)) == color


def test_four_seeds_of_a_drop_rate_are_shades_of_one_hue() -> None:
    # 45 % of the way to white in three steps: 0x22 = 34, and 34 + 0.15, 0.3, 0.45 times 221.
    colors = [run_color(Recipe(drop_rate=0.0, seed=seed)) for seed in range(5)]
    assert colors == ["#222222", "#434343", "#646464", "#858585", "#222222"]
