"""The life chart of units."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from pipeline import plots
from pipeline.plots.style import ALIVE, DEAD, DEAD_MOVING
from pipeline.records import EpochRecord, LayerRecord

TITLE = "relu+dropout p=0.5 seed 0"
# By unit, over three epochs: never dead; born dead and woken by its inputs; dead for an epoch;
# dead from epoch 1 on; born dead for good.
FIRED = [(5, 0, 4, 4, 0), (5, 3, 0, 0, 0), (5, 3, 2, 0, 0)]
MOVED = [None, (0.1, 0.0, 0.5, 0.5, 0.1), (0.1, 0.1, 0.2, 0.0, 0.0)]


@pytest.fixture
def lives(
    layer: Callable[..., LayerRecord], epoch: Callable[..., EpochRecord]
) -> list[EpochRecord]:
    return [
        epoch(i, layer("h1", (1, 0, 0, 0), fired, updates=moved))
        for i, (fired, moved) in enumerate(zip(FIRED, MOVED, strict=True))
    ]


def test_only_units_that_were_ever_dead_are_drawn_those_dead_at_last_below(
    lives: list[EpochRecord],
) -> None:
    [axes] = plots.draw_lives(lives, TITLE).axes
    pixels = axes.images[0].get_array()
    assert [[to_hex(pixel).upper() for pixel in row] for row in pixels] == [
        [DEAD, DEAD_MOVING, DEAD],
        [ALIVE, DEAD_MOVING, DEAD],
        [DEAD, ALIVE, ALIVE],
        [ALIVE, DEAD_MOVING, ALIVE],
    ]
    assert axes.images[0].get_extent() == [-0.5, 2.5, 0, 4]


def test_events_stand_between_the_epochs_and_revivals_are_told_apart(
    lives: list[EpochRecord],
) -> None:
    figure = plots.draw_lives(lives, TITLE)
    born, died, by_weights, by_inputs, _ = figure.axes[0].lines
    assert born.get_xydata().tolist() == [[-0.5, 0.5], [-0.5, 2.5]]
    assert died.get_xydata().tolist() == [[0.5, 1.5], [0.5, 3.5]]
    assert by_weights.get_xydata().tolist() == [[1.5, 3.5]]
    assert by_inputs.get_xydata().tolist() == [[0.5, 2.5]]
    entries = {
        text.get_text(): handle
        for key in figure.legends
        for text, handle in zip(key.get_texts(), key.legend_handles, strict=True)
    }
    for label, events in {
        "born dead": born,
        "died": died,
        "revived, own weights moved": by_weights,
        "revived, only its inputs moved": by_inputs,
    }.items():
        look = entries[label].get_marker(), entries[label].get_markerfacecolor()
        assert look == (events.get_marker(), events.get_markerfacecolor())


def test_headings_count_births_deaths_and_revivals(
    lives: list[EpochRecord],
    heads: Callable[[Figure], list[str]],
    finding: Callable[[Figure], str],
) -> None:
    figure = plots.draw_lives(lives, TITLE)
    assert heads(figure) == ["h1: 4 of 5 units\n2 born dead, 2 died\n1 ▲, 1 △ came back"]
    assert finding(figure) == (
        "2 of 5 units were born dead; 2 deaths and 2 revivals in 2 epochs, "
        "1 of them by inputs alone"
    )
    assert finding(plots.draw_lives(lives[:1], TITLE)) == "2 of 5 units were born dead"


def test_units_that_lived_alike_share_a_row_with_their_number(
    layer: Callable[..., LayerRecord],
    epoch: Callable[..., EpochRecord],
    heads: Callable[[Figure], list[str]],
) -> None:
    # Three born dead and woken at once, one born dead for good, one never dead.
    fired, moved = [(0, 0, 0, 0, 5), (1, 2, 3, 0, 5)], [None, (0.1, 0.2, 0.3, 0.0, 0.1)]
    history = [
        epoch(i, layer("h1", (1, 0, 0, 0), row, updates=norms))
        for i, (row, norms) in enumerate(zip(fired, moved, strict=True))
    ]
    [axes] = plots.draw_lives(history, TITLE).axes
    assert axes.images[0].get_array().shape[0] == 2
    assert [(text.get_text(), text.xy[1]) for text in axes.texts] == [("3 ×", 1.5)]
    assert heads(axes.get_figure()) == ["h1: 4 of 5 units\n4 born dead\n3 ▲ came back"]
    born, died, by_weights, by_inputs, _ = axes.lines
    assert born.get_xydata().tolist() == [[-0.5, 0.5], [-0.5, 1.5]]
    assert by_weights.get_xydata().tolist() == [[0.5, 1.5]]
    assert len(died.get_xdata()) == len(by_inputs.get_xdata()) == 0


def test_what_never_happened_is_not_in_the_key(
    lives: list[EpochRecord], words: Callable[[Figure], str]
) -> None:
    figure = plots.draw_lives(lives[:1], TITLE)
    assert [text.get_text() for key in figure.legends for text in key.get_texts()] == [
        "dead, weights unchanged",
        "born dead",
    ]
    assert "△" not in words(figure)


def test_all_events_are_counted_where_not_all_units_can_be_drawn(
    histories: Mapping[str, list[EpochRecord]],
    heads: Callable[[Figure], list[str]],
    words: Callable[[Figure], str],
) -> None:
    history = histories["units that come and go"]
    states = [record.layers[0].states for record in history]
    lives = list(zip(*[state.fired.tolist() for state in states if state], strict=True))
    ever = sum(0 in life for life in lives)
    deaths = sum(a > 0 and b == 0 for life in lives for a, b in pairwise(life))
    alike = {tuple(count == 0 for count in life) for life in lives if 0 in life}
    assert len(alike) > 40
    figure = plots.draw_lives(history, TITLE)
    first = heads(figure)[0].split("\n")
    assert first[0] == f"h1: {ever} of 80 units"
    assert first[1].endswith(f", {deaths} died")
    assert figure.axes[0].images[0].get_array().shape[0] == 40
    assert "(40 of these, evenly chosen)" in " ".join(words(figure).split())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("no ReLU", "No ReLU, so no unit can be dead"),
        ("nothing watched", "No unit was born dead"),
        ("all always on", "No unit was born dead, and none died in 2 epochs"),
    ],
)
def test_where_no_unit_was_ever_dead_the_figure_says_so(
    name: str,
    expected: str,
    histories: Mapping[str, list[EpochRecord]],
    finding: Callable[[Figure], str],
) -> None:
    assert finding(plots.draw_lives(histories[name], TITLE)) == expected


def test_a_layer_without_dead_units_is_named_and_has_no_panel(
    layer: Callable[..., LayerRecord],
    epoch: Callable[..., EpochRecord],
    words: Callable[[Figure], str],
) -> None:
    record = epoch(0, layer("h1", (1, 0, 0, 0), (1, 2)), layer("h2", (1, 0, 0, 0), (0, 2)))
    figure = plots.draw_lives([record], TITLE)
    assert len(figure.axes) == 1
    assert "never dead: units of h1" in " ".join(words(figure).split())


def test_units_that_came_back_after_being_recycled_are_told_apart(
    layer: Callable[..., LayerRecord],
    epoch: Callable[..., EpochRecord],
    heads: Callable[[Figure], list[str]],
    finding: Callable[[Figure], str],
) -> None:
    # Two born dead are recycled: one comes back, the other stays dead with weights that moved.
    before = layer("h1", (1, 0, 0, 0), (0, 0, 5))
    after = layer("h1", (1, 0, 0, 0), (3, 0, 5), updates=(0.1, 0.0, 0.1))
    recycled = replace(after, recycled=np.array([True, True, False]))
    figure = plots.draw_lives([epoch(0, before), epoch(1, recycled)], TITLE)
    assert heads(figure) == ["h1: 2 of 3 units\n2 born dead\n1 ★ came back"]
    assert finding(figure) == (
        "2 of 3 units were born dead; no deaths and 1 revival in 1 epoch, by recycling"
    )
    *_, by_recycling = figure.axes[0].lines
    assert by_recycling.get_xydata().tolist() == [[0.5, 1.5]]
    [key] = [
        key
        for key in figure.legends
        if "revived, recycled before" in str([text.get_text() for text in key.get_texts()])
    ]
    assert "revived, own weights moved" not in str([text.get_text() for text in key.get_texts()])
