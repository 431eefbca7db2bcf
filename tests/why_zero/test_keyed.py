"""Sums over ranks and between two moments, by hand; in `test_ranks` two processes meet."""

from dataclasses import replace

import numpy as np

from why_zero._keyed import KeyedSums, ModeSums, merged
from why_zero._watch.layer_counts import Key
from why_zero.records import UnexplainedZeros, WatchedLayer, ZeroCauses

RELU, LATE = Key("relu", "linear", 1), Key("late", "linear", 1)
OUTPUT = UnexplainedZeros(made_by="mul", seen_at="the output", zeros=3, values=10, passes=1)


def layer(active: list[int], inactive: list[int], *, passes: int = 1) -> WatchedLayer:
    none = np.zeros(len(active), dtype=np.int64)
    return WatchedLayer(
        name="",
        source="linear",
        activation="relu",
        has_hard_zeros=True,
        drop_rate=0.0,
        passes=passes,
        causes=ZeroCauses(
            active=np.array(active), dropped=none, inactive=np.array(inactive), both=none
        ),
        unit_axes=(1,),
        unit_ids=np.arange(len(active)),
        axis_is_guess=False,
    )


def test_ranks_are_added_and_a_layer_that_one_of_them_saw_is_that_one_s() -> None:
    late = layer([7], [1])
    first = KeyedSums(ModeSums({RELU: layer([4, 0], [6, 10])}), set_aside=1)
    second = KeyedSums(ModeSums({RELU: layer([1, 2], [3, 2], passes=2), LATE: late}), set_aside=2)
    total = merged([first, second])
    assert total.training.layers[RELU].causes.active.tolist() == [5, 2]
    assert total.training.layers[RELU].causes.inactive.tolist() == [9, 12]
    assert total.training.layers[RELU].passes == 3
    assert total.training.layers[LATE] is late
    assert (total.evaluation.layers, total.set_aside) == ({}, 3)


def test_a_layer_with_other_units_on_each_rank_is_counted_as_one_unit() -> None:
    first = KeyedSums(ModeSums({RELU: layer([4, 1], [6, 9])}))
    second = KeyedSums(ModeSums({RELU: layer([1, 2, 3], [2, 1, 0])}))
    found = merged([first, second]).training.layers[RELU]
    assert (found.causes.active.tolist(), found.causes.inactive.tolist()) == ([11], [18])
    assert (found.unit_axes, found.unit_ids.tolist()) == ((), [0])


def test_an_axis_that_one_rank_has_guessed_is_a_guess() -> None:
    guessed = replace(layer([1], [1]), axis_is_guess=True)
    ranks = [KeyedSums(ModeSums({RELU: each})) for each in (layer([1], [1]), guessed)]
    assert merged(ranks).training.layers[RELU].axis_is_guess
    assert merged(ranks[::-1]).training.layers[RELU].axis_is_guess


def test_unexplained_zeros_of_one_place_are_added_over_ranks() -> None:
    ranks = [KeyedSums(ModeSums({}, {("mul", "the output"): OUTPUT}))] * 2
    [left] = [*merged(ranks).training.unexplained.values()]
    assert (left.zeros, left.values, left.passes) == (6, 20, 2)


def test_a_note_that_another_rank_has_otherwise_is_said_of_that_rank() -> None:
    ranks = [KeyedSums(notes={"relu": why}) for why in ("broken", "broken", "fused")]
    assert merged(ranks).notes == {"relu": "broken", "relu (rank 2)": "fused"}


def test_since_a_moment_are_the_passes_after_it() -> None:
    place = ("mul", "the output")
    before = KeyedSums(ModeSums({RELU: layer([4], [6])}, {place: OUTPUT}), set_aside=1)
    more = replace(OUTPUT, zeros=5, values=15, passes=2)
    now = KeyedSums(
        ModeSums({RELU: layer([5], [16], passes=3), LATE: layer([1], [0])}, {place: more}),
        set_aside=3,
    )
    found = now.since(before)
    assert found.training.layers[RELU].causes.active.tolist() == [1]
    assert found.training.layers[RELU].causes.inactive.tolist() == [10]
    assert found.training.layers[RELU].passes == 2
    assert found.training.layers[LATE].causes.active.tolist() == [1]
    [left] = found.training.unexplained.values()
    assert (left.zeros, left.values, left.passes, found.set_aside) == (2, 5, 1, 2)
    nothing = now.since(now).training
    assert (nothing.layers, nothing.unexplained) == ({}, {})
