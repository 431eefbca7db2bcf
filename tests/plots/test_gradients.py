"""The figure of gradients and updates by firing rate."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from pipeline import plots
from pipeline.plots.scales import MOAT, STRIP
from pipeline.plots.style import DEAD
from pipeline.records import EpochRecord, LayerRecord

TITLE = "relu+dropout p=0.5 seed 0"


@pytest.fixture
def record(layer: Callable[..., LayerRecord], epoch: Callable[..., EpochRecord]) -> EpochRecord:
    """Four units, ten samples: two dead, one of which still learns, and two that fire."""
    hidden = layer(
        "h1", (1, 0, 0, 0), (0, 0, 1, 10), gradients=(0, 1e-3, 0, 1e-1), updates=(0, 0.1, 0, 1)
    )
    return epoch(3, hidden, layer("logits", (1, 0, 0, 0)))


def test_units_stand_on_logarithmic_axes_and_exact_zeros_in_strips(record: EpochRecord) -> None:
    upper, lower = plots.draw_gradients(record, TITLE).axes
    lowest = STRIP + MOAT
    live, dead = upper.lines
    # Firing rates run from 10 to 100 %, gradients from 0.001 to 0.1.
    assert live.get_xdata() == pytest.approx([lowest, 1])
    assert 0 < live.get_ydata()[0] < STRIP
    assert live.get_ydata()[1] == pytest.approx(1)
    assert all(0 < x < STRIP for x in dead.get_xdata())
    assert 0 < dead.get_ydata()[0] < STRIP
    assert dead.get_ydata()[1] == pytest.approx(lowest)
    assert lower.lines[0].get_ydata()[1] == pytest.approx(1)
    assert lower.lines[1].get_ydata()[1] == pytest.approx(lowest)


def test_dead_units_have_their_colour_and_a_marker_of_their_own(record: EpochRecord) -> None:
    live, dead = plots.draw_gradients(record, TITLE).axes[0].lines
    assert to_hex(dead.get_markerfacecolor()).upper() == DEAD
    assert dead.get_marker() != live.get_marker()


def test_ticks_name_the_zeros_and_the_powers_of_ten(record: EpochRecord) -> None:
    upper, lower = plots.draw_gradients(record, TITLE).axes
    rates = [label.get_text() for label in lower.get_xticklabels()]
    assert dict(zip(rates, lower.get_xticks(), strict=True)) == {
        "0": pytest.approx(STRIP / 2),
        "10": pytest.approx(STRIP + MOAT),
        "100": pytest.approx(1),
    }
    sizes = [tick.get_text() for tick in upper.get_yticklabels()]
    assert sizes == ["0", "10⁻¹", "10⁻²", "10⁻³"]


def test_headings_count_who_got_no_gradient_and_who_did_not_move(
    record: EpochRecord,
    heads: Callable[[Figure], list[str]],
    finding: Callable[[Figure], str],
    layer: Callable[..., LayerRecord],
) -> None:
    figure = plots.draw_gradients(record, TITLE)
    assert heads(figure) == ["h1: 2 of 4 dead\ndead, no gradient: 1", "dead, not moved: 1"]
    assert finding(figure) == (
        "In epoch 3, 1 of 2 dead units got a gradient, and 1 of 2 others did"
    )
    alive = layer("h1", (1, 0, 0, 0), (1,), gradients=(0,), updates=(0,))
    assert heads(plots.draw_gradients(replace(record, layers=(alive,)), TITLE)) == [
        "h1: 0 of 1 dead\n",
        "",
    ]


def test_where_there_is_no_gradient_the_figure_says_why(
    epoch: Callable[..., EpochRecord],
    layer: Callable[..., LayerRecord],
    finding: Callable[[Figure], str],
) -> None:
    hidden = layer("h1", (1, 0, 0, 0), (1, 2))
    linear = layer("h1", (1, 0, 0, 0), gradients=(1, 2), updates=(1, 2))
    found = [
        finding(plots.draw_gradients(epoch(number, one), TITLE))
        for number, one in ((0, hidden), (1, hidden), (1, linear))
    ]
    assert [sentence.split(",")[0] for sentence in found] == [
        "Before training there is no gradient",
        "No update was watched",
        "No ReLU",
    ]
