"""What is compared of one network, and of one recipe on two devices."""

import math
from collections.abc import Callable

import pytest

from pipeline.comparison import measures
from pipeline.comparison.devices import device_pairs
from pipeline.comparison.groups import contests
from pipeline.records.result import Result

Network = Callable[..., Result]


def test_zeros_are_shares_of_all_pairs_beside_what_is_expected(network: Network) -> None:
    # Of 10 pairs ReLU closed 3 + 2, so s = 0.5; p = 0.4: s + p - s p = 0.7.
    result = network(0.9, counts=(4, 1, 3, 2), drop_rate=0.4)
    found = measures.zeros(result, "h1")
    assert (found.active, found.dropped, found.inactive, found.both) == (0.4, 0.1, 0.3, 0.2)
    assert found.zero == pytest.approx(0.6)
    assert found.expected == pytest.approx(0.7)
    assert measures.zero_gap(network(0.9, counts=(4, 1, 3, 2), drop_rate=0.4)) == pytest.approx(
        0.4  # of the logits, which were not zero at all: |0 - p|
    )
    kept = network(0.9, counts=(4, 1, 3, 2), drop_rate=0.4, output_dropout=False)
    assert measures.zero_gap(kept) == pytest.approx(0.1)


def test_states_are_those_of_the_kept_epoch_and_of_birth(network: Network) -> None:
    # Magnitudes 0, 0.5, 1, 0.5: their mean is 0.5, and only the dead unit is at most 0.025 of it.
    found = measures.states(network(0.9, fired=(0, 5, 10, 5), born=(0, 0, 10, 5)), "h1")
    assert (found.dead, found.dormant, found.born_dead) == (0.25, 0.25, 0.5)
    assert measures.hidden_dead(network(0.9)) == 0.25


def test_what_was_not_measured_is_not_known(network: Network) -> None:
    unwatched = network(0.9, counts=(0, 0, 0, 0))
    assert math.isnan(measures.zeros(unwatched, "h1").zero)
    assert math.isnan(measures.hidden_zeros(unwatched))
    assert math.isnan(measures.zero_gap(unwatched))
    linear = network(0.9, fired=None, born=None)
    assert math.isnan(measures.states(linear, "h1").dead)
    assert math.isnan(measures.hidden_dead(linear))
    assert math.isnan(measures.zeros(network(0.9), "h7").zero)
    assert math.isnan(measures.cost(network(0.9, seconds=None)).epoch_seconds)


def test_layers_stand_in_order_with_the_logits_last(network: Network) -> None:
    names = tuple(f"h{index}" for index in range(1, 12))
    found = measures.layer_names([network(0.9), network(0.9, layers=names)])
    assert found == [*names, "logits"]


def test_equal_recipes_on_two_devices_are_compared_in_speed_and_in_numbers(
    network: Network,
) -> None:
    fast = {"device": "cuda", "device_name": "cuda (fast)", "stack_size": 3}
    # Before training the loss is 2 on both.
    results = [
        network(0.90, loss=0.50, seed=0, seconds=2.0),
        network(0.80, loss=0.50, seed=1, seconds=8.0),
        network(0.70, seed=2),
        network(0.91, loss=0.51, seed=0, seconds=1.0, **fast),
        network(0.80, loss=0.53, seed=1, seconds=1.0, **fast),
        network(0.80, seed=0, learning_rate=0.1, **fast),
    ]
    [contest] = contests(results)
    [pair] = device_pairs(contest)
    assert (pair.one, pair.other, pair.networks) == ("cpu (slow)", "cuda (fast)", 2)
    # Twice and eight times as fast: √16.
    assert pair.speed_ratio == pytest.approx(4)
    assert pair.stack_sizes == ((1,), (3,))
    born, losses, accuracies, causes = pair.gaps
    assert (born.mean, born.most) == (0, 0)
    # Two networks of two epochs each: 0, 0.01, 0, 0.03.
    assert (losses.mean, losses.most) == (pytest.approx(0.01), pytest.approx(0.03))
    assert (accuracies.mean, accuracies.most) == (pytest.approx(0.005), pytest.approx(0.01))
    assert causes.most == 0


def test_one_device_is_compared_with_none(network: Network) -> None:
    [contest] = contests([network(0.9), network(0.8, seed=1)])
    assert device_pairs(contest) == []
    # Nor are two devices that have no recipe in common.
    far = {"device": "cuda", "device_name": "cuda (fast)", "drop_rate": 0.1}
    [contest] = contests([network(0.9), network(0.9, **far)])
    assert device_pairs(contest) == []
