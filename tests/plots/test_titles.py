"""The sentences above figures: true for every network, also for those that hardly ever occur."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.plots import titles

NO, YES = False, True
Layers = dict[str, tuple[list[bool], list[bool]]]


def dead(layers: Layers, epoch: int = 3, *, is_diverged: bool = False) -> str:
    """The title for layers of units that were dead before training, and are now."""
    cells = {name: (np.array(born), np.array(now)) for name, (born, now) in layers.items()}
    return titles.dead_title(cells, epoch, is_diverged=is_diverged)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ({}, "No ReLU, so no unit can be dead"),
        ({"h1": ([NO], [NO])}, "No unit of h1 is dead after epoch 3, and none was born dead"),
        ({"h1": ([NO], [YES])}, "The only unit of h1 is dead after epoch 3; none was born dead"),
        (
            {"h1": ([YES], [YES])},
            "The only unit of h1 is dead after epoch 3; the one born dead still is",
        ),
        (
            {"h1": ([YES] * 3, [YES] * 3), "h2": ([YES], [YES])},
            "All 4 units are dead after epoch 3; all 4 born dead still are",
        ),
        (
            {"h1": ([NO, NO, NO], [YES, YES, YES]), "h2": ([YES, YES], [NO, NO])},
            "3 of 5 units are dead after epoch 3, all in h1; both born dead fire now",
        ),
        (
            {"h1": ([YES, NO], [NO, NO]), "h2": ([NO, NO], [NO, NO])},
            "No unit is dead after epoch 3; the one born dead fires now",
        ),
        (
            {"h1": ([YES, YES, YES, NO], [YES, YES, NO, NO]), "h2": ([NO, NO], [YES, NO])},
            "3 of 6 units are dead after epoch 3, 2 of them in h1; of 3 born dead, 1 fires now",
        ),
        (
            {"h1": ([NO, NO], [NO, NO]), "h2": ([NO, NO], [YES, NO])},
            "1 of 4 units is dead after epoch 3, in h2; none was born dead",
        ),
    ],
)
def test_it_says_where_the_dead_are_then_what_became_of_the_born_dead(
    layers: Layers, expected: str
) -> None:
    assert dead(layers) == expected


def test_before_training_all_that_are_dead_were_born_so() -> None:
    some, all_ = ([YES, NO], [YES, NO]), ([YES, YES], [YES, YES])
    assert dead({"h1": some, "h2": all_}, 0) == "3 of 4 units were born dead, 2 of them in h2"
    assert dead({"h1": all_}, 0) == "Both units of h1 were born dead"
    assert dead({"h1": ([NO], [NO])}, 0) == "No unit of h1 was born dead"


def test_after_the_loss_is_no_number_no_unit_is_called_dead() -> None:
    # The weights are NaN, so nothing is above 0.
    every = {"h1": ([NO, NO], [YES, YES])}
    for title in (
        dead(every, 2, is_diverged=True),
        titles.firing_title(2, 0, 2, 2, is_diverged=True),
    ):
        assert title == (
            "The loss became NaN or infinite in epoch 2: now both units fire for no image"
        )
    assert titles.firing_title(0, 0, 2, 2, is_diverged=True) == (
        "The loss became NaN or infinite in epoch 2"
    )


def lives(
    born: int, died: int, by_weights: int, by_inputs: int, recycled: int = 0, *, epochs: int = 4
) -> str:
    events = {
        "born": born,
        "died": died,
        "revived_by_weights": by_weights,
        "revived_by_inputs": by_inputs,
        "revived_by_recycling": recycled,
    }
    return titles.lives_title(events, 8, epochs)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((0, 0, 0, 0), "No unit was born dead, and none died in 4 epochs"),
        ((3, 0, 0, 0), "3 of 8 units were born dead; none died or came back in 4 epochs"),
        ((0, 5, 0, 0), "No unit was born dead; 5 deaths and no revivals in 4 epochs"),
        ((1, 0, 1, 0), "1 of 8 units was born dead; no deaths and 1 revival in 4 epochs"),
        (
            (8, 1, 2, 3),
            (
                "All 8 units were born dead; 1 death and 5 revivals in 4 epochs, "
                "3 of them by inputs alone"
            ),
        ),
        (
            (0, 2, 0, 2),
            "No unit was born dead; 2 deaths and 2 revivals in 4 epochs, by inputs alone",
        ),
        (
            (0, 2, 1, 2, 3),
            (
                "No unit was born dead; 2 deaths and 6 revivals in 4 epochs, "
                "2 of them by inputs alone and 3 of them by recycling"
            ),
        ),
    ],
)
def test_lives_are_told_in_words_and_of_nothing_that_did_not_happen(
    counts: tuple[int, ...], expected: str
) -> None:
    assert lives(*counts) == expected
    assert " 0 " not in f" {expected} "


def test_lives_without_training_or_relu_have_no_deaths() -> None:
    assert lives(3, 0, 0, 0, epochs=0) == "3 of 8 units were born dead"
    assert titles.lives_title(dict.fromkeys(("born", "died"), 0), 0, 4) == titles.NO_RELU


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((0, 0, 0, 1), "No ReLU, so every unit always passes its value on"),
        (
            (0, 0, 8, 1),
            "After epoch 1, all 8 ReLU units fire for some images and not for others",
        ),
        (
            (0, 0, 1, 1),
            "After epoch 1, the only ReLU unit fires for some images and not for others",
        ),
        ((8, 0, 8, 1), "After epoch 1, all 8 ReLU units are dead"),
        ((1, 0, 1, 0), "Before training, the only ReLU unit is dead"),
        ((3, 0, 8, 1), "After epoch 1, 3 of 8 ReLU units are dead, and none always fires"),
        ((0, 8, 8, 1), "After epoch 1, no ReLU unit is dead, and 8 always fire"),
        ((1, 1, 8, 1), "After epoch 1, 1 of 8 ReLU units is dead, and 1 always fires"),
    ],
)
def test_firing_rates_are_told_for_any_number_of_units(
    counts: tuple[int, int, int, int], expected: str
) -> None:
    assert titles.firing_title(*counts) == expected


@pytest.mark.parametrize(
    ("silent", "is_dead", "expected"),
    [
        ([NO, NO], [NO, NO], "No unit is dead after epoch 3; both units got a gradient in it"),
        ([YES], [NO], "No unit is dead after epoch 3; no unit got a gradient in it"),
        ([YES], [YES], "The only unit is dead after epoch 3; no unit got a gradient in it"),
        ([YES, NO], [YES, NO], "In epoch 3, no dead unit got a gradient, and the other one did"),
        (
            [NO, YES, YES],
            [YES, YES, NO],
            "In epoch 3, 1 of 2 dead units got a gradient, and the other one did not",
        ),
        (
            [YES, YES, YES, NO, NO],
            [YES, NO, NO, NO, NO],
            "In epoch 3, no dead unit got a gradient, and 2 of 4 others did",
        ),
        (
            [YES, YES, YES],
            [YES, NO, NO],
            "In epoch 3, no dead unit got a gradient, and none of 2 others did",
        ),
    ],
)
def test_gradients_are_told_of_the_dead_and_of_the_others(
    silent: list[bool], is_dead: list[bool], expected: str
) -> None:
    assert titles.gradient_title(np.array(silent), np.array(is_dead), 3) == expected
    assert "NaN" in titles.gradient_title(np.array(silent), np.array(is_dead), 3, is_diverged=True)


def weights(rows: list[float], is_dead: list[bool] | None) -> str:
    """The title for units whose weights all have one size."""
    dead_units = None if is_dead is None else np.array(is_dead)
    return titles.weights_title(np.array([[size, -size] for size in rows]), dead_units)


@pytest.mark.parametrize(
    ("sizes", "is_dead", "expected"),
    [
        (
            [0.1, 0.1, 0.26],
            [YES, YES, NO],
            (
                "2 of 3 first-layer units are dead: their weights are 2.6 times smaller "
                "(RMS 0.10 against 0.26)"
            ),
        ),
        (
            [3.0, 0.1],
            [YES, NO],
            (
                "1 of 2 first-layer units is dead: its weights are 30 times larger "
                "(RMS 3.0 against 0.10)"
            ),
        ),
        (
            [1e9, 0.1],
            [YES, NO],
            (
                "1 of 2 first-layer units is dead: its weights are over 1,000 times larger "
                "(RMS 1.0e+09 against 0.10)"
            ),
        ),
        (
            [0.10, 0.105],
            [YES, NO],
            (
                "1 of 2 first-layer units is dead: its weights are as large as the others' "
                "(RMS 0.10 against 0.10)"
            ),
        ),
        (
            [0.0, 0.5],
            [YES, NO],
            "1 of 2 first-layer units is dead: its weights are all 0 (RMS 0.0 against 0.50)",
        ),
        ([0.5, 0.5], [NO, NO], "No first-layer unit is dead; the weights' RMS is 0.50"),
        ([0.5], [YES], "The only first-layer unit is dead; the weights' RMS is 0.50"),
        ([0.5], None, "No ReLU, so no first-layer unit can be dead; the weights' RMS is 0.50"),
        ([np.nan, 0.5], [YES, NO], "Weights of the first layer are NaN or infinite"),
    ],
)
def test_the_weights_of_the_dead_are_compared_with_the_others_by_their_ratio(
    sizes: list[float], is_dead: list[bool] | None, expected: str
) -> None:
    assert weights(sizes, is_dead) == expected


ONCE = "most often a was mistaken for b"


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ([[0, 0], [0, 0]], "No image was predicted"),
        ([[3, 0], [0, 2]], "All 5 images were predicted correctly"),
        ([[0, 1], [0, 0]], f"No image was predicted correctly; {ONCE} (1 time)"),
        (
            [[3, 2], [0, 3]],
            f"75.0 % of 8 images were predicted correctly; {ONCE} (2 times)",
        ),
        (
            [[3, 1], [1, 3]],
            ("75.0 % of 8 images were predicted correctly; "
            "no mistake is more frequent than a for b (1 time)"),
        ),
    ],
)  # fmt: skip
def test_the_most_frequent_mistake_is_named_as_such_only_if_it_is(
    matrix: list[list[int]], expected: str
) -> None:
    title = titles.confusion_title(np.array(matrix), ("a", "b"))
    assert title.replace("\u00a0", " ") == expected


NAN = np.full(3, np.nan)
ALIKE = "a and c are most alike: their mean images correlate at"


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        # a and c differ by a factor and a shift, which a correlation does not see.
        ([[0, 1, 0], [1, 0, 0], [5, 7, 5]], f"{ALIKE} 1.00"),
        ([[0, 1, 0], NAN, [0, 0, 1]], f"{ALIKE} -0.50"),
        ([[0, 1, 0], NAN, [3, 3, 3]], "No two of 3 classes can be compared"),
    ],
)  # fmt: skip
def test_the_classes_with_the_most_similar_means_are_named(
    means: list[NDArray[np.float64]], expected: str
) -> None:
    assert titles.alike_title(np.array(means, dtype=np.float64), ("a", "b", "c")) == expected


def test_passes_differ_only_where_there_is_dropout() -> None:
    def said(text: str) -> str:
        return text.replace("\u00a0", " ")

    assert said(titles.passes_title(0.32, 0.04, dead=17, firing=0)) == (
        "Same images twice: dropout differs in 32 % of cells, ReLU in 4 %; no dead unit fires"
    )
    assert said(titles.passes_title(0.5, 0.0, dead=0, firing=0)).endswith("; no unit is dead")
    assert said(titles.passes_title(0.5, 0.0, dead=1, firing=1)).endswith(
        "; the only dead unit fires"
    )
    assert said(titles.one_pass_title(0.54, dead=69, units=768)) == (
        "Without dropout every pass is the same: ReLU closes 54 % of cells; "
        "69 of 768 units are dead"
    )


def test_no_title_has_a_bare_zero_or_says_all_of_one() -> None:
    """Over all small cases of two layers."""
    cells = [[a, b] for a in (NO, YES) for b in (NO, YES)]
    for first in cells:
        for last in cells:
            for other in cells:
                title = dead({"h1": (first, last), "h2": (other, [NO, YES])})
                assert not re.search(r"\b(0|all 1|1 of 1) ", title)
                count = sum(last) + 1
                assert title.lower().startswith(
                    f"{count} of 4 unit" if count < 4 else "all 4 units"
                )
