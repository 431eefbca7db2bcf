"""What the model card says, against numbers worked out by hand."""

from typing import Any

import numpy as np
import pytest

from pipeline.config.recipe import Recipe
from pipeline.records import EpochRecord, Score
from pipeline.records.result import Result
from pipeline.registry.model_card import _how_it_was_trained, _what_it_is, interval, mistakes

CLASSES = ("cat", "dog", "owl")


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, Statistics in Medicine 17: 857-872, Table I, method 3: 81 of 263.
    low, high = interval(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_the_interval_stays_within_0_and_1_where_all_are_right() -> None:
    # Newcombe 1998, the same table, turned round: 0 of 20 gives 0 to 0.1611.
    low, high = interval(20, 20)
    assert (round(low, 4), round(high, 4)) == (0.8389, 1)


def test_mistakes_come_by_how_often_they_are_made_and_equal_ones_in_the_classes_order() -> None:
    confusion = np.array([[7, 2, 1], [0, 9, 3], [2, 0, 8]])
    assert mistakes(confusion, CLASSES).splitlines() == [
        "- **dog** mistaken for **owl**: 3 of its 12 test images",
        "- **cat** mistaken for **dog**: 2 of its 10 test images",
        "- **owl** mistaken for **cat**: 2 of its 10 test images",
        "- **cat** mistaken for **owl**: 1 of its 10 test images",
        "- hardest class: **cat**, 30.0 % of its images wrong; 8 of 32 wrong in total",
    ]


def test_five_mistakes_are_told_and_no_more() -> None:
    assert mistakes(np.ones((4, 4), dtype=np.int64), tuple("abcd")).count("taken for") == 5


def test_where_nothing_was_wrong_it_says_so() -> None:
    assert (
        mistakes(np.diag([3, 0, 2]), CLASSES) == "None: every test image was classified correctly."
    )


@pytest.mark.parametrize("empty", [0, 2])
def test_a_class_without_test_images_is_not_the_hardest(empty: int) -> None:
    confusion = np.array([[4, 1, 0], [1, 4, 0], [0, 1, 4]])
    confusion[empty] = 0
    assert f"hardest class: **{CLASSES[empty]}**" not in mistakes(confusion, CLASSES)


def result_of(**settings: Any) -> Result:  # noqa: ANN401 - as many kinds as settings
    score = Score(0.5, 0.5)
    record = EpochRecord(
        member=0,
        epoch=0,
        layers=(),
        train=None,
        train_eval=score,
        validation=score,
        epoch_seconds=None,
        samples_per_second=None,
        peak_memory_mb=None,
    )
    return Result(
        recipe=Recipe(**settings),
        history=[record],
        chosen=record,
        test=score,
        run_id="0" * 32,
        page="",
        device="cpu",
        device_name="cpu",
        dataset="mnist",
        dataset_digest="0",
        stack_size=1,
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "with ReLU after each hidden layer"),
        ({"activation": "none"}, "with no activation function (it is linear) after"),
        ({"activation": "sigmoid"}, "with the logistic function after"),
        ({"activation": "leaky_relu"}, "with a leaky ReLU (0.01 z below 0) after"),
        ({"scaling": "symmetric"}, "itself scales pixels from [0, 1] to [-1, 1]."),
        ({"scaling": "standard"}, "itself standardises pixels, by mean and standard deviation of"),
    ],
)
def test_it_says_what_the_network_makes_of_pixels_and_of_z(
    settings: dict[str, Any], words: str
) -> None:
    assert words in _what_it_is(result_of(**settings), CLASSES, shape=(2, 3))
    assert ("itself" in _what_it_is(result_of(**settings), CLASSES, shape=(2, 3))) == (
        "scaling" in settings
    )


def test_it_says_how_weights_began_and_what_held_them_where_that_is_not_the_default() -> None:
    said = _how_it_was_trained(
        result_of(init="he", zero_biases=True, max_norm=2.0, learning_rate_decay=0.998), None
    )
    assert "learning rate 0.001 times 0.998 an epoch" in said
    assert "each unit's incoming weights held to L2 norm 2" in said
    assert "initial weights he, biases 0 at first" in said
    plain = _how_it_was_trained(result_of(), None)
    assert "learning rate 0.001, batches of 200, seed 0" in plain
