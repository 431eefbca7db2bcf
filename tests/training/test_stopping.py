"""When a network stops, and which of its weights are kept: epoch by epoch, by hand."""

import math

import pytest

from pipeline.config.recipe import Recipe
from pipeline.records import EpochRecord, Score
from pipeline.training.stack import Stack
from pipeline.training.stopping import Stopping

RECIPE = Recipe(widths=(2,), epochs=9, patience=2, select="best")


def record(epoch: int, loss: float, *, train: float | None = 1.0, own: float = 1.0) -> EpochRecord:
    return EpochRecord(
        member=0,
        epoch=epoch,
        layers=(),
        train=None if train is None else Score(train, 0.5),
        train_eval=Score(own, 0.5),
        validation=Score(loss, 0.5),
    )


def judged(recipe: Recipe, losses: list[float], *, after: int = 0) -> list[tuple[str | None, bool]]:
    """Endings, and whether the weights are kept, of the epochs behind the first `after`."""
    stack = Stack([recipe], inputs=1, classes=2)
    records = [record(epoch, float(loss)) for epoch, loss in enumerate(losses)]
    stopping = Stopping(recipe, records[:after])
    found = [stopping.judge(one, stack) for one in records[after:]]
    assert stopping.ending == found[-1].ending
    return [(one.ending, one.weights is not None) for one in found]


def test_patience_counts_the_epochs_since_the_best_one() -> None:
    assert judged(RECIPE, [5, 4, 4.5, 3, 3.5, 3.2]) == [
        (None, True),
        (None, True),
        (None, False),
        (None, True),
        (None, False),
        ("patience", False),
    ]


def test_a_loss_that_is_no_better_than_the_best_is_not_the_best() -> None:
    assert judged(RECIPE, [4, 4, 4]) == [(None, True), (None, False), ("patience", False)]


def test_what_was_best_before_a_resumption_is_remembered() -> None:
    assert judged(RECIPE, [5, 1, 2, 3], after=3) == [("patience", False)]
    assert judged(RECIPE, [5, 1, 2, 0.5], after=3) == [(None, True)]


def test_a_network_that_had_ended_has_ended() -> None:
    stopping = Stopping(RECIPE)
    stack = Stack([RECIPE], inputs=1, classes=2)
    history = [stopping.judge(record(epoch, 1.0), stack) for epoch in range(3)]
    assert Stopping(RECIPE, history).ending == "patience"
    assert Stopping(RECIPE, history[:2]).ending is None


@pytest.mark.parametrize(("select", "kept"), [("last", [False, False, True]), ("best", [1, 1, 0])])
def test_the_last_epoch_is_the_end_and_its_weights_are_the_last(
    select: str, kept: list[bool]
) -> None:
    recipe = Recipe(widths=(2,), epochs=2, select=select)  # type: ignore[arg-type]
    endings = [None, None, "finished"]
    assert judged(recipe, [2, 1, 3]) == list(zip(endings, map(bool, kept), strict=True))


def test_patience_ends_with_the_weights_of_that_epoch_where_the_last_are_kept() -> None:
    recipe = Recipe(widths=(2,), epochs=9, patience=1)
    assert judged(recipe, [1, 2]) == [(None, False), ("patience", True)]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
@pytest.mark.parametrize("which", ["train", "own"])
def test_a_loss_that_is_not_finite_is_the_end_even_in_the_last_epoch(
    loss: float, which: str
) -> None:
    recipe = Recipe(widths=(2,), epochs=1)
    stack = Stack([recipe], inputs=1, classes=2)
    found = Stopping(recipe).judge(record(1, 1.0, **{which: loss}), stack)  # type: ignore[arg-type]
    assert (found.ending, found.weights) == ("diverged", None)


def test_an_epoch_without_validation_is_never_the_best() -> None:
    recipe = Recipe(widths=(2,), epochs=5, select="best")
    unjudged = EpochRecord(
        member=0, epoch=0, layers=(), train=None, train_eval=Score(1.0, 0.5), validation=None
    )
    found = Stopping(recipe).judge(unjudged, Stack([recipe], inputs=1, classes=2))
    assert (found.ending, found.weights) == (None, None)


def test_without_a_best_epoch_patience_counts_from_the_untrained_network() -> None:
    assert judged(RECIPE, [math.inf] * 3) == [(None, False), (None, False), ("patience", False)]
