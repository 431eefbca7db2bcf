"""What the model card says, against numbers worked out by hand."""

import numpy as np
import pytest

from pipeline.registry.model_card import interval, mistakes

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
