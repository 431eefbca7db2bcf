"""Colours, shares and pixels that all figures have in common."""

import math
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.typing import ColorType
from numpy.typing import NDArray

from pipeline import plots
from pipeline.plots import style
from pipeline.records import EpochRecord

TITLE = "relu+dropout p=0.5 seed 0"

Lab = Callable[..., NDArray[np.float64]]
VISIONS = ("normal", "protanopia", "deuteranopia", "tritanopia")


def test_the_colour_measure_agrees_with_published_values(lab: Lab) -> None:
    # Lab of sRGB red, green and blue under D65, as Bruce Lindbloom's calculator gives them.
    assert lab("#FF0000") == pytest.approx((53.24, 80.09, 67.20), abs=0.05)
    assert lab("#00FF00") == pytest.approx((87.73, -86.18, 83.18), abs=0.05)
    assert lab("#0000FF") == pytest.approx((32.30, 79.19, -107.86), abs=0.05)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize(
    "colours",
    [
        [look.colour for look in style.CAUSE_LOOKS.values()],
        [series.colour for series in style.SERIES],
        [series.colour for series in style.CURVES],
        [series.colour for series in style.STATES.values()],
        [style.FIRING, style.DEAD, style.ALWAYS_ON],
        [style.ALIVE, style.DEAD, style.DEAD_MOVING],
        [*(look.colour for look in style.CAUSE_LOOKS.values()), style.DEAD],
        [*(style.CAUSE_LOOKS[c].colour for c in ("active", "inactive")), style.CHANGED, style.DEAD],
        [style.WEIGHTS(0.0), style.WEIGHTS(0.5), style.WEIGHTS(1.0), style.DEAD],
    ],
    ids=[
        "causes",
        "curves",
        "more curves",
        "states",
        "firing",
        "lives",
        "passes",
        "both passes",
        "weights",
    ],
)
def test_colours_of_one_figure_differ_for_every_kind_of_sight(
    lab: Lab, colours: list[ColorType], vision: str
) -> None:
    # A difference of about 2 can just be seen (Mahy et al. 1994).
    for one, other in combinations(colours, 2):
        assert np.linalg.norm(lab(one, vision) - lab(other, vision)) > 20


@pytest.mark.parametrize("vision", VISIONS)
def test_a_dead_unit_differs_from_every_firing_rate_by_colour_and_by_lightness(
    lab: Lab, vision: str
) -> None:
    dead = lab(style.DEAD, vision)
    for rate in np.linspace(0, 1, 33):
        firing = lab(style.FIRING_RATES(rate), vision)
        assert np.linalg.norm(dead - firing) > 30
        assert firing[0] - dead[0] > 10


def test_causes_and_curves_differ_by_lightness_and_by_hatch_or_marker(lab: Lab) -> None:
    for looks in (list(style.CAUSE_LOOKS.values()), list(style.SERIES)):
        lightness = sorted(lab(look.colour)[0] for look in looks)
        assert np.diff(lightness).min() > 15
    assert len({look.hatch for look in style.CAUSE_LOOKS.values()}) == 4
    assert len({series.marker for series in style.SERIES}) == 3
    assert len({series.marker for series in style.CURVES}) == 6


def test_what_lies_side_by_side_in_a_map_differs_by_lightness(lab: Lab) -> None:
    for colours in (
        [style.ALIVE, style.DEAD_MOVING, style.DEAD],
        [style.CAUSE_LOOKS["active"].colour, style.CHANGED, style.CAUSE_LOOKS["inactive"].colour],
    ):
        assert min(-np.diff([lab(colour)[0] for colour in colours])) > 14


def test_a_dead_unit_s_two_reds_differ_by_far_less_than_the_causes_do(lab: Lab) -> None:
    closed, dropped = lab(style.DEAD), lab(style.DEAD_DROPPED)
    others = [lab(look.colour) for look in style.CAUSE_LOOKS.values()]
    apart = min(np.linalg.norm(one - other) for one, other in combinations(others, 2))
    assert 5 < np.linalg.norm(closed - dropped) < apart / 2


def test_a_cause_has_the_same_colour_in_every_figure(
    two_epochs: list[EpochRecord], heads: Callable[[Figure], list[str]]
) -> None:
    zeros = plots.draw_zero_rates(
        np.array([0.0]),
        plots.Zeros(
            shares=np.full((1, 4), 0.25),
            measured=(np.array([0.75]), np.array([math.nan])),
            expected=np.array([0.75]),
        ),
        plots.Scale("drop rate p", {0.0: "0"}),
        title="h1",
    )
    figures = [plots.draw_causes(two_epochs, TITLE), zeros]
    expected = [look.colour for look in style.CAUSE_LOOKS.values()]
    for figure in figures:
        patches = next(axes for axes in figure.axes if heads(figure) and axes.patches).patches
        assert [to_hex(patch.get_facecolor()).upper() for patch in patches] == expected


def test_an_image_has_the_figure_s_pixels_in_three_colours(
    two_epochs: list[EpochRecord], pixels: Callable[[Figure], NDArray[np.uint8]]
) -> None:
    figure = plots.draw_causes(two_epochs, TITLE)
    image = pixels(figure)
    assert image.dtype == np.uint8
    assert image.shape == (int(figure.bbox.height), 960, 3)
    assert image[0, 0].tolist() == [255, 255, 255]
    colours = {tuple(pixel) for pixel in image.reshape(-1, 3)}
    assert (0x00, 0x72, 0xB2) in colours


def test_figures_drawn_in_threads_are_the_same_as_drawn_alone(
    random_history: Callable[..., list[EpochRecord]], pixels: Callable[[Figure], NDArray[np.uint8]]
) -> None:
    records = random_history((8, 4), 5)
    alone = [pixels(plots.draw_firing_rates(record, TITLE)) for record in records]
    with ThreadPoolExecutor(4) as pool:
        together = list(
            pool.map(lambda record: pixels(plots.draw_firing_rates(record, TITLE)), records)
        )
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_pyplot_torch_mlflow_scipy_and_pandas_stay_unimported() -> None:
    unwanted = {"matplotlib.pyplot", "torch", "mlflow", "scipy", "pandas"}
    code = f"import sys, pipeline.plots; print(sorted({unwanted} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
