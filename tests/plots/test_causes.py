"""The figure of why activations were zero."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from pipeline import plots
from pipeline.records import EpochRecord
from why_zero.records import ZeroCauses

TITLE = "relu+dropout p=0.5 seed 0"


def test_causes_are_stacked_to_one(two_epochs: list[EpochRecord]) -> None:
    axes, logits = plots.draw_causes(two_epochs, TITLE).axes
    # Epoch 0: 3 inactive, 2 both, 1 dropped, 2 active of 8; epoch 1: 4 inactive, 4 active.
    tops = [patch.get_data().values.tolist() for patch in axes.patches]
    assert tops == [[0.375, 0.5], [0.625, 0.5], [0.75, 0.5], [1.0, 1.0]]
    bases = [patch.get_data().baseline.tolist() for patch in axes.patches]
    assert bases == [[0.0, 0.0], *tops[:3]]
    assert axes.patches[0].get_data().edges.tolist() == [-0.5, 0.5, 1.5]
    assert logits.patches[2].get_data().values.tolist() == [0.5, 0.5]


def test_layers_without_zeros_have_no_panel_and_absent_causes_no_entry(
    random_history: Callable[..., list[EpochRecord]],
    heads: Callable[[Figure], list[str]],
    words: Callable[[Figure], str],
) -> None:
    figure = plots.draw_causes(random_history((8, 4), 2, rate=0.0), TITLE)
    assert [head.split(":")[0] for head in heads(figure)] == ["h1", "h2"]
    [key] = figure.legends
    assert [text.get_text() for text in key.get_texts()] == [
        "zero by ReLU alone",
        "active, not zero",
    ]
    assert "no zeros in logits" in words(figure)
    assert words(figure).count("epoch (0: untrained)") == 1


def test_the_heading_of_causes_says_how_much_is_zero_and_why(
    two_epochs: list[EpochRecord],
    histories: Mapping[str, list[EpochRecord]],
    heads: Callable[[Figure], list[str]],
    finding: Callable[[Figure], str],
) -> None:
    figure = plots.draw_causes(two_epochs, TITLE)
    assert finding(figure) == "In epoch 1, 50 % of hidden activations were zero, all by ReLU"
    assert heads(figure) == ["h1: 50 % zero", "logits: 50 % zero"]
    assert finding(plots.draw_causes(two_epochs[:1], TITLE)) == (
        "Before training, 75 % of hidden activations were zero: ReLU 38 %, both 25 %, dropout 12 %"
    )
    assert "no pass was watched" in finding(plots.draw_causes(histories["nothing watched"], TITLE))
    none = plots.draw_causes(histories["no ReLU and no dropout"], TITLE)
    assert finding(none) == "In epoch 2, no hidden activation was zero"


def test_dropped_inputs_have_a_panel_of_their_own_before_the_layers(
    two_epochs: list[EpochRecord],
    heads: Callable[[Figure], list[str]],
    words: Callable[[Figure], str],
) -> None:
    inputs = ZeroCauses(*(np.array([count]) for count in (5, 1, 3, 1)))
    history = [replace(record, input_causes=inputs) for record in two_epochs]
    figure = plots.draw_causes(history, TITLE)
    assert heads(figure) == ["input: 50 % zero", "h1: 50 % zero", "logits: 50 % zero"]
    assert "in input, what is zero by ReLU is 0 in the data" in words(figure)
    tops = [patch.get_data().values.tolist() for patch in figure.axes[0].patches]
    assert tops == [[0.3, 0.3], [0.4, 0.4], [0.5, 0.5], [1.0, 1.0]]
    assert "0 in the data" not in words(plots.draw_causes(two_epochs, TITLE))
