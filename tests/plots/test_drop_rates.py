"""The figure that compares networks by drop rate."""

from collections.abc import Callable

import pytest
from matplotlib.figure import Figure

from pipeline import plots
from pipeline.config.recipe import Recipe
from pipeline.records import EpochRecord, LayerRecord

TITLE = "relu+dropout p=0.5 seed 0"


def test_networks_of_one_drop_rate_are_averaged_and_shown(
    layer: Callable[..., LayerRecord],
    epoch: Callable[..., EpochRecord],
    finding: Callable[[Figure], str],
) -> None:
    half = layer("h1", (1, 1, 1, 1), (0, 5, 10))
    logits = layer("logits", (6, 0, 0, 0))
    results = [
        (Recipe(widths=(3,), seed=0), epoch(1, half, logits, accuracy=0.8)),
        (Recipe(widths=(3,), seed=1), epoch(1, half, logits, accuracy=0.9)),
        (
            Recipe(widths=(3,), drop_rate=0.0),
            epoch(1, layer("h1", (3, 0, 1, 0), (5, 5, 5)), logits, accuracy=0.95),
        ),
    ]
    figure = plots.draw_drop_rates(results, TITLE, validation_name="held-out images")
    accuracies, h1, _ = figure.axes
    means, rings = accuracies.lines
    assert means.get_xydata().tolist() == [[0.0, 0.95], [0.5, pytest.approx(0.85)]]
    assert rings.get_xydata().tolist() == [[0.5, 0.8], [0.5, 0.9]]
    assert h1.patches[2].get_data().values.tolist() == [0.25, 0.75]
    assert [label.get_text() for label in h1.get_xticklabels()] == ["0", "0.5"]
    assert finding(figure) == (
        "p = 0 to p = 0.5: accuracy on the held-out images goes from 95.0 % to 85.0 %, "
        "hidden zeros from 25 % to 75 %"
    )


@pytest.mark.parametrize(("output_dropout", "at_logits"), [(True, 0.4), (False, 0.0)])
def test_expected_zeros_follow_from_relu_and_drop_rate(
    output_dropout: bool,
    at_logits: float,
    layer: Callable[..., LayerRecord],
    epoch: Callable[..., EpochRecord],
) -> None:
    # ReLU closed s = (3 + 2) / 10 of the hidden pairs, and p = 0.4: s + p - s p = 0.7.
    record = epoch(1, layer("h1", (4, 1, 3, 2), (5,)), layer("logits", (1, 0, 0, 0)))
    recipe = Recipe(widths=(1,), drop_rate=0.4, output_dropout=output_dropout)
    _, h1, logits = plots.draw_drop_rates([(recipe, record)], TITLE).axes
    assert h1.collections[-1].get_segments()[0][:, 1] == pytest.approx([0.7, 0.7])
    assert logits.collections[-1].get_segments()[0][:, 1] == pytest.approx([at_logits] * 2)


def test_twelve_networks_of_two_activations_get_their_own_panels(
    random_history: Callable[..., list[EpochRecord]],
    heads: Callable[[Figure], list[str]],
    is_cut: Callable[[Figure], bool],
) -> None:
    results = [
        (
            Recipe(drop_rate=rate, activation=activation, widths=(4, 4)),
            random_history((4, 4), 1, relu=activation == "relu", rate=rate)[-1],
        )
        for activation in ("relu", "none")
        for rate in (0.0, 0.1, 0.2, 0.3, 0.4, 0.9)
    ]
    figure = plots.draw_drop_rates(results, TITLE)
    assert not is_cut(figure)
    assert heads(figure)[1:] == [
        f"{name}, {activation}"
        for activation in ("relu", "none")
        for name in ("h1", "h2", "logits")
    ]
