"""The figure of losses and accuracies by epoch."""

import math
from collections.abc import Callable, Mapping

import pytest
from matplotlib.figure import Figure

from pipeline import plots
from pipeline.records import EpochRecord, LayerRecord, Score

TITLE = "relu+dropout p=0.5 seed 0"


def test_learning_curves_hold_the_scores_and_say_where_dropout_was_on(
    two_epochs: list[EpochRecord],
    histories: Mapping[str, list[EpochRecord]],
    words: Callable[[Figure], str],
    finding: Callable[[Figure], str],
) -> None:
    figure = plots.draw_learning_curves(two_epochs, TITLE, validation_name="held-out images")
    losses, accuracies = figure.axes
    curves = {line.get_label(): line.get_ydata().tolist() for line in accuracies.lines}
    in_training = curves.pop("in training, with dropout on")
    assert math.isnan(in_training[0])
    assert in_training[1] == 0.9
    assert curves == {"images trained on": [0.1, 0.9], "held-out images": [0.1, 0.9]}
    assert losses.lines[1].get_ydata().tolist() == [1.0, 1.0]
    assert finding(figure) == (
        "After epoch 1: 90.0 % of the held-out images correct, loss 1.00 (untrained: 10.0 %, 1.00)"
    )
    plain = plots.draw_learning_curves(histories["no ReLU and no dropout"], TITLE)
    assert "dropout on" not in words(plain)


def test_scores_of_a_diverged_network_leave_a_gap(
    histories: Mapping[str, list[EpochRecord]], finding: Callable[[Figure], str]
) -> None:
    figure = plots.draw_learning_curves(histories["diverged"], TITLE)
    assert [math.isnan(line.get_ydata()[2]) for line in figure.axes[0].lines] == [True] * 3
    assert finding(figure) == "The loss became NaN or infinite in epoch 2"


@pytest.mark.parametrize(
    ("loss", "accuracy"),
    [(0.0, 1.0), (1e-9, 0.9999), (0.112, 0.973), (2.3026, 0.1), (1e9, 0.5), (math.nan, 0.0)],
)
def test_every_score_lies_between_two_ticks_in_sight(
    loss: float,
    accuracy: float,
    layer: Callable[..., LayerRecord],
    epoch: Callable[..., EpochRecord],
) -> None:
    score = Score(loss=loss, accuracy=accuracy)
    record = epoch(0, layer("logits", (1, 0, 0, 0)), train_eval=score, validation=score)
    for axes in plots.draw_learning_curves([record], TITLE).axes:
        low, high = axes.get_ylim()
        assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 2
    assert axes.get_ylim()[0] <= accuracy <= axes.get_ylim()[1]
