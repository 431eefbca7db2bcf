"""Each rule of advice: what it speaks of, the figures in it, and when it is silent."""

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from why_zero import Compacted, Owner, UnexplainedZeros, UnitStates, WatchedLayer, ZeroCauses
from why_zero._explain import advice


def owner(dead: int, *, units: int = 20, low_biases: int | None = None) -> Owner:
    ids = tuple(range(dead))
    return Owner(path="fc1", kind="Linear", units=units, dead=ids, low_biases=low_biases)


def layer(active: int, dropped: int, inactive: int, both: int, *, rate: float) -> WatchedLayer:
    counts = (np.array([count]) for count in (active, dropped, inactive, both))
    return WatchedLayer(
        name="relu",
        source="fc1",
        activation="relu",
        has_hard_zeros=True,
        drop_rate=rate,
        passes=1,
        causes=ZeroCauses(*counts),
        unit_axes=(1,),
        unit_ids=np.array([0]),
        axis_is_guess=False,
    )


def states(fired: list[int], *, reached: list[int] | None = None) -> UnitStates:
    return UnitStates(
        samples=40,
        fired=np.array(fired),
        reached=np.array(fired if reached is None else reached),
        magnitude=np.ones(len(fired)),
    )


def compacted(*, removed: int = 3, difference: float = 0.0) -> Compacted:
    return Compacted(
        module=nn.Identity(),
        removed={"fc1": tuple(range(removed))} if removed else {},
        kept=(),
        parameters_before=4000,
        parameters_after=3000,
        multiplications_before=0,
        multiplications_after=0,
        largest_difference=difference,
        tolerance=1e-5,
        held_out_difference=None,
        held_out_changed=None,
    )


def test_many_dead_units_are_told_with_their_share_and_that_nobody_knows_when_they_died() -> None:
    found = advice.many_dead(owner(4), 1000)
    assert found
    assert found.saw == "4 of the 20 units of fc1 (20.0%) never fire for the 1,000 samples."
    assert "dead from the start: one state of a network cannot tell these apart" in found.may_mean
    assert "He initialisation" in found.to_try
    assert "leaky ReLU" in found.to_try


def test_low_biases_of_most_dead_units_point_to_the_learning_rate_first() -> None:
    found = advice.many_dead(owner(4, low_biases=2), 40)
    assert found
    assert found.saw.endswith(
        "2 of them have a bias below 0 that is lower than that of every living unit."
    )
    assert "biases down" in found.may_mean
    assert found.to_try.startswith("A lower learning rate")
    few = advice.many_dead(owner(4, low_biases=1), 40)
    assert few
    assert "bias" not in few.saw


def test_few_dead_units_or_few_samples_give_no_advice() -> None:
    assert advice.many_dead(owner(2), 30)
    assert advice.many_dead(owner(1), 30) is None
    assert advice.many_dead(owner(2), 29) is None
    assert advice.many_dead(owner(0, units=0), 30) is None


def test_units_that_can_be_removed_are_told_with_the_parameters_before_and_after() -> None:
    found = advice.removable(compacted(), 40)
    assert found
    assert found.saw == (
        "Without 3 dead units the network has 3,000 parameters instead of 4,000 (25.0% fewer), and "
        "its outputs for these samples are the same."
    )
    rounded = advice.removable(compacted(removed=1, difference=2.5e-7), 40)
    assert rounded
    assert rounded.saw.startswith("Without 1 dead unit the")
    assert rounded.saw.endswith("differ by at most 2.5e-07, a rounding.")
    assert advice.removable(compacted(removed=0), 40) is None
    assert advice.removable(compacted(), 29) is None


def test_a_high_drop_rate_behind_a_relu_that_seldom_opens_is_told_with_the_share_of_zeros() -> None:
    found = advice.sparse_dropout(layer(10, 20, 30, 40, rate=0.5))
    assert found
    assert "lets 30.0% of the values through" in found.saw
    assert "p\xa0=\xa00.5: 90.0% of them" in found.saw
    assert advice.sparse_dropout(layer(10, 20, 30, 40, rate=0.4)) is None
    assert advice.sparse_dropout(layer(11, 20, 30, 39, rate=0.5)) is None
    assert advice.sparse_dropout(layer(0, 0, 0, 0, rate=0.5)) is None
    smooth = replace(layer(10, 20, 30, 40, rate=0.5), has_hard_zeros=False)
    assert advice.sparse_dropout(smooth) is None


def test_starved_units_are_counted_and_the_layers_behind_them_named_as_the_place_to_look() -> None:
    found = advice.starved("relu", states([5, 7, 0], reached=[0, 7, 0]), 40)
    assert found
    assert found.saw.startswith("1 of the 3 units of relu fire")
    assert "layers behind" in found.to_try
    assert advice.starved("relu", states([5, 7, 0]), 40) is None
    assert advice.starved("relu", states([5], reached=[0]), 29) is None


def test_a_layer_of_units_that_are_always_on_or_dead_is_linear() -> None:
    found = advice.linear("relu", states([40, 40]), 40)
    assert found
    assert found.saw == "2 of the 2 units of relu are above 0 for each of the 40 samples."
    mixed = advice.linear("relu", states([40, 0]), 40)
    assert mixed
    assert mixed.saw.endswith("for each of the 40 samples, and the other 1 for none.")
    assert advice.linear("relu", states([40, 39]), 40) is None
    assert advice.linear("relu", states([0, 0]), 40) is None
    assert advice.linear("relu", states([40, 40]), 29) is None


@pytest.mark.parametrize("activation", ["relu6", "gelu", None])
def test_a_function_that_bends_elsewhere_is_never_called_linear(activation: str | None) -> None:
    assert advice.linear("act", replace(states([40]), activation=activation), 40) is None


def test_dropout_in_evaluation_mode_is_told_with_its_share() -> None:
    found = advice.dropped_in_evaluation(layer(50, 10, 25, 15, rate=0.2))
    assert found
    assert found.saw == "In evaluation mode 25.0% of the values of relu are dropped."
    assert "training=self.training" in found.to_try
    assert advice.dropped_in_evaluation(layer(50, 0, 50, 0, rate=0.2)) is None
    assert advice.dropped_in_evaluation(layer(0, 0, 0, 0, rate=0.2)) is None


@pytest.mark.parametrize(
    ("made_by", "is_harmless", "words"),
    [
        ("the module's input", True, "zeros that come in with the data."),
        ("mul in block.path", False, "zeros that mul in block.path makes, and no rule explains"),
    ],
)
def test_zeros_of_the_data_are_not_the_networks_and_others_are_a_question(
    made_by: str, is_harmless: bool, words: str
) -> None:
    left = UnexplainedZeros(made_by=made_by, seen_at="fc1", zeros=3, values=12, passes=1)
    found = advice.zeros_from(left)
    assert found
    assert found.saw.startswith("25.0% of the values that reach fc1 are ")
    assert words in found.saw
    assert found.is_harmless is is_harmless
    assert advice.zeros_from(replace(left, values=300))
    assert advice.zeros_from(replace(left, values=301)) is None


def test_passes_that_are_not_finite_are_told_first() -> None:
    found = advice.not_finite(2, 6)
    assert found
    assert found.saw == "2 of 6 passes held NaN or infinity, and were not counted."
    assert advice.not_finite(0, 6) is None
