"""The colour of a network's lines."""

import pytest

from pipeline.config.recipe import Recipe
from pipeline.runs.color import run_color


@pytest.mark.parametrize(
    ("drop_rate", "color"),
    [
        (0.0, "#222222"),
        (0.2, "#12a0a8"),
        (0.4, "#c9a000"),
        # Half way between #c9a000 and #e7700a: (201 + 231) / 2, (160 + 112) / 2, (0 + 10) / 2.
        (0.45, "#d88805"),
        (0.8, "#7a0f4f"),
        (0.95, "#7a0f4f"),
    ],
)
def test_the_hue_tells_the_drop_rate(drop_rate: float, color: str) -> None:
    assert run_color(Recipe(drop_rate=drop_rate)) == color


def test_four_seeds_of_a_drop_rate_are_shades_of_one_hue() -> None:
    # 45 % of the way to white in three steps: 0x22 = 34, and 34 + 0.15, 0.3, 0.45 times 221.
    colors = [run_color(Recipe(drop_rate=0.0, seed=seed)) for seed in range(5)]
    assert colors == ["#222222", "#434343", "#646464", "#858585", "#222222"]
