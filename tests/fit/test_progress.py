"""How far all networks are, however often they are taken up."""

import numpy as np
import pytest

from pipeline.config.recipe import Recipe
from pipeline.console import Console
from pipeline.fit.progress import Progress
from pipeline.records import EpochRecord, LayerRecord, Score
from why_zero.records import ZeroCauses

RECIPE = Recipe(epochs=9)


def record(member: int, epoch: int, *, is_end: bool = False) -> EpochRecord:
    none = np.zeros(1, np.int64)
    return EpochRecord(
        member=member,
        epoch=epoch,
        layers=(
            LayerRecord(name="logits", causes=ZeroCauses(none, none, none, none), states=None),
        ),
        train=None,
        train_eval=Score(1.0, 0.5),
        validation=Score(1.0, 0.5),
        ending="patience" if is_end else None,
    )


class Bar:
    def __init__(self) -> None:
        self.parts = 0

    def __call__(self, parts: int, note: str | None = None) -> None:  # noqa: ARG002
        self.parts += parts


@pytest.fixture
def bar() -> Bar:
    return Bar()


@pytest.fixture
def progress(bar: Bar) -> Progress:
    return Progress(Console(), [RECIPE] * 2, bar)


def test_an_epoch_that_is_seen_again_counts_once(progress: Progress, bar: Bar) -> None:
    """As of a stack that did not fit, whose halves go on from its last checkpoint."""
    for epoch in range(3):
        progress.epoch([RECIPE] * 2, ["a", "b"], [record(0, epoch), record(1, epoch)])
    progress.go_on("a", RECIPE, record(0, 2))
    assert bar.parts == 6
    progress.epoch([RECIPE], ["a"], [record(0, 3)])
    assert bar.parts == 7


def test_a_network_that_ended_early_leaves_nothing_to_wait_for(
    progress: Progress, bar: Bar
) -> None:
    progress.epoch([RECIPE], ["a"], [record(0, 4, is_end=True)])
    assert bar.parts == 10
    progress.go_on("b", RECIPE, record(0, 5, is_end=True))
    assert bar.parts == 20
