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


@pytest.fixture
def progress() -> Progress:
    return Progress(Console(), [RECIPE] * 2, ["a", "b"])


# Two networks of ten epochs, the untrained one included, and the end of each run.
PARTS = 2 * 11


def parts(progress: Progress) -> float:
    """What is done, in epochs of a network."""
    return round(progress.state().share * PARTS, 9)


def test_an_epoch_that_is_seen_again_counts_once(progress: Progress) -> None:
    """As of a stack that did not fit, whose halves go on from its last checkpoint."""
    for epoch in range(3):
        progress.epoch([RECIPE] * 2, ["a", "b"], [record(0, epoch), record(1, epoch)])
    progress.go_on("a", RECIPE, record(0, 2))
    assert parts(progress) == 6
    progress.epoch([RECIPE], ["a"], [record(0, 3)])
    assert parts(progress) == 7


def test_a_network_that_ended_early_leaves_nothing_to_wait_for(progress: Progress) -> None:
    progress.epoch([RECIPE], ["a"], [record(0, 4, is_end=True)])
    assert parts(progress) == 10
    progress.go_on("b", RECIPE, record(0, 5, is_end=True))
    assert parts(progress) == 20
    progress.finished()
    progress.finished()
    assert progress.state().share == 1


def test_the_share_grows_with_every_update(progress: Progress) -> None:
    names = ["a", "b"]
    with progress.pace(networks=2, updates_per_epoch=4) as pace:
        progress.epoch([RECIPE] * 2, names, [record(0, 0), record(1, 0)], pace)
        shares = [parts(progress)]
        for _ in range(4):
            pace()
            shares.append(parts(progress))
        assert shares == [2, 2.5, 3, 3.5, 4]
        progress.epoch([RECIPE] * 2, names, [record(0, 1, is_end=True), record(1, 1)], pace)
        assert parts(progress) == 12  # a ended early
        pace()
        assert parts(progress) == 12.25  # of b alone
    assert parts(progress) == 12  # such as after its stack was split


def test_an_untrained_network_is_never_the_best(progress: Progress) -> None:
    progress.epoch([RECIPE] * 2, ["a", "b"], [record(0, 0), record(1, 0)])
    assert "best" not in progress.state().note
    progress.epoch([RECIPE] * 2, ["a", "b"], [record(0, 1), record(1, 1)])
    assert "best 50.00 % (a)" in progress.state().note


def test_nothing_is_called_best_by_the_test_set(progress: Progress) -> None:
    recipe = Recipe(epochs=9, holdout=0)
    progress.epoch([recipe], ["a"], [record(0, 1)])
    assert "best" not in progress.state().note


def test_every_line_fits_eighty_columns(
    progress: Progress, capsys: pytest.CaptureFixture[str]
) -> None:
    for epoch in (0, 9):
        progress.epoch([RECIPE] * 2, ["a", "b"], [record(0, epoch), record(1, epoch)])
        progress.epoch([RECIPE] * 2, ["p=0.25 s1 sgd lr=0.01", "b"], [record(0, epoch)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("epoch  0/9  2 networks  held-out images 50.00 %  about ")
    assert lines[1].startswith("epoch  0/9  p=0.25 s1 sgd lr=0.01  held-out images 50.00 %")


def test_the_only_network_shows_its_scores(capsys: pytest.CaptureFixture[str]) -> None:
    alone = Progress(Console(), [RECIPE], ["a"])
    alone.epoch([RECIPE], ["a"], [record(0, 3)])
    assert capsys.readouterr().out == "epoch  3/9  train 1.0000 50.00 %  held-out 1.0000 50.00 %\n"


def test_what_all_names_share_is_left_out_of_the_note() -> None:
    names = ["p=0 s0 w=64-64 epochs=9", "p=0 s1 w=64-64 epochs=9"]
    two = Progress(Console(), [RECIPE] * 2, names)
    two.epoch([RECIPE] * 2, names, [record(1, 1)])
    assert "best 50.00 % (s1)" in two.state().note
