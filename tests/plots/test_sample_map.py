"""The map of units by samples."""

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline import plots
from pipeline.plots import style
from pipeline.records import CauseMap
from why_zero.records import CAUSES

TITLE = "relu+dropout p=0.5 seed 0"
ACTIVE, DROPPED, INACTIVE, BOTH = range(4)
PALE, ORANGE, BLUE, PURPLE = (style.CAUSE_LOOKS[cause].colour for cause in CAUSES)


def make_map(*passes: list[list[int]], dead: list[bool]) -> CauseMap:
    """A map of one layer; each pass is given unit by unit."""
    causes = np.array(passes, dtype=np.uint8).swapaxes(1, 2)
    return CauseMap(layer="h1", causes=causes, dead=np.array(dead))


# A dead unit; one that ReLU never closes; one that ReLU closes for another sample in each pass.
THREE_UNITS = make_map(
    [[INACTIVE, BOTH], [ACTIVE, DROPPED], [INACTIVE, ACTIVE]],
    [[BOTH, INACTIVE], [DROPPED, ACTIVE], [ACTIVE, BOTH]],
    dead=[True, False, False],
)


def random_maps(widths: tuple[int, ...], samples: int, *, relu: bool = True) -> list[CauseMap]:
    generator = np.random.default_rng(0)
    maps = []
    for i, units in enumerate(widths):
        dead = generator.random(units) < (0.2 if relu else 0)
        is_closed = (generator.random((2, samples, units)) < 0.5) & relu | dead
        is_dropped = generator.random((2, samples, units)) < 0.5
        causes = (2 * is_closed + is_dropped).astype(np.uint8)
        maps.append(CauseMap(layer=f"h{i + 1}", causes=causes, dead=dead))
    return maps


def colours(axes: Axes) -> list[list[str]]:
    """What is drawn, the lowest row first."""
    pixels = axes.images[0].get_array()
    return [["#{:02X}{:02X}{:02X}".format(*pixel) for pixel in row] for row in pixels]


def test_each_pass_has_the_causes_colours_and_a_dead_unit_is_a_red_row_below() -> None:
    first, second, _ = plots.draw_sample_map([THREE_UNITS], TITLE).axes
    dead, dead_dropped = style.DEAD, style.DEAD_DROPPED
    assert colours(first) == [[dead, dead_dropped], [BLUE, PALE], [PALE, ORANGE]]
    assert colours(second) == [[dead_dropped, dead], [PALE, PURPLE], [ORANGE, PALE]]


def test_the_panel_of_both_passes_shows_what_relu_did_whatever_was_dropped() -> None:
    *_, both = plots.draw_sample_map([THREE_UNITS], TITLE).axes
    assert colours(both) == [[style.DEAD] * 2, [style.CHANGED] * 2, [PALE] * 2]


def test_headings_say_how_much_dropout_and_how_much_relu_differed(
    heads: Callable[[Figure], list[str]], finding: Callable[[Figure], str]
) -> None:
    # Of six cells the mask differs in five, and ReLU in the two of the last unit.
    figure = plots.draw_sample_map([THREE_UNITS], TITLE)
    assert heads(figure) == [
        "h1, first pass: 1 of 3 dead",
        "second pass: dropout differs in 83 %",
        "both passes: ReLU differs in 33 %",
    ]
    assert finding(figure) == (
        "Same images twice: dropout differs in 83 % of cells, ReLU in 33 %; no dead unit fires"
    )
    alive = make_map([[ACTIVE]], [[DROPPED]], dead=[False])
    assert finding(plots.draw_sample_map([alive], TITLE)).endswith("ReLU in 0 %; no unit is dead")


def test_a_dead_unit_that_a_mask_wakes_is_counted_and_shown_awake(
    finding: Callable[[Figure], str],
) -> None:
    woken = make_map([[INACTIVE, INACTIVE]], [[ACTIVE, DROPPED]], dead=[True])
    figure = plots.draw_sample_map([woken], TITLE)
    assert colours(figure.axes[1]) == [[PALE, ORANGE]]
    assert finding(figure).endswith("the only dead unit fires")


def test_without_dropout_there_is_one_panel_a_layer_and_no_entry_that_cannot_occur(
    heads: Callable[[Figure], list[str]],
    finding: Callable[[Figure], str],
    words: Callable[[Figure], str],
) -> None:
    once = [[INACTIVE, INACTIVE], [ACTIVE, INACTIVE]]
    figure = plots.draw_sample_map([make_map(once, once, dead=[True, False])] * 2, TITLE)
    assert heads(figure) == ["h1: 1 of 2 dead"] * 2
    assert colours(figure.axes[0]) == [[style.DEAD] * 2, [PALE, BLUE]]
    assert finding(figure) == (
        "Without dropout every pass is the same: ReLU closes 75 % of cells; 2 of 4 units are dead"
    )
    [key] = figure.legends
    assert [text.get_text() for text in key.get_texts()] == [
        "active, not zero",
        "zero by ReLU alone",
        "closed in a dead unit",
    ]
    assert "passes" not in words(figure)


def test_of_many_units_and_samples_a_few_are_shown_and_counted(
    words: Callable[[Figure], str],
) -> None:
    [one] = random_maps((256,), 100)
    figure = plots.draw_sample_map([one], TITLE)
    cells = figure.axes[0].images[0].get_array()
    assert cells.shape[:2] == (40, 60)
    assert figure.axes[0].get_ylabel() == "40 of 256 units"
    assert words(figure).count("60 images") == 1
    rows = [set(row) for row in colours(figure.axes[0])]
    reds = [row <= {style.DEAD, style.DEAD_DROPPED} for row in rows]
    # Every sixth or seventh unit, so dead ones in the share that they have, all below the others.
    assert sum(reds) == pytest.approx(40 * one.dead.mean(), abs=1)
    assert reds == sorted(reds, reverse=True)


@pytest.mark.parametrize(
    ("widths", "samples", "relu"),
    [((1,), 1, True), ((3, 3), 10, True), ((300,) * 2, 48, False), ((8,) * 11, 48, True)],
)
def test_maps_of_any_size_fit_their_sheet(
    widths: tuple[int, ...], samples: int, *, relu: bool, is_cut: Callable[[Figure], bool]
) -> None:
    figure = plots.draw_sample_map(random_maps(widths, samples, relu=relu), TITLE)
    assert len(figure.axes) == 3 * len(widths)
    assert not is_cut(figure)


def test_a_network_without_relu_has_no_map(finding: Callable[[Figure], str]) -> None:
    assert finding(plots.draw_sample_map([], TITLE)) == "No ReLU, so no unit is ever closed"
