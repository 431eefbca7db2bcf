"""What is compared of one network, and of one recipe on two devices."""

import math
from collections.abc import Callable

import pytest

from pipeline.comparison import measures
from pipeline.comparison.compare import compare
from pipeline.comparison.devices import device_pairs
from pipeline.comparison.text import identity
from pipeline.records.result import Result

Network = Callable[..., Result]


def test_zeros_are_shares_of_all_pairs_beside_what_is_expected(network: Network) -> None:
    # Of 10 pairs ReLU closed 3 + 2, so s = 0.5; p = 0.4: s + p - s p = 0.7.
    found = measures.numbers(network(0.9, counts=(4, 1, 3, 2), drop_rate=0.4))
    kinds = ("zero_dropped", "zero_inactive", "zero_both", "zero", "zero_expected")
    shares = [found[f"{kind}/h1"] for kind in kinds]
    assert shares == pytest.approx([0.1, 0.3, 0.2, 0.6, 0.7])
    assert found["hidden_zeros"] == pytest.approx(0.6)
    # ReLU closes no logits: p is expected of them where they are dropped, and else nothing.
    assert found["zero_expected/logits"] == pytest.approx(0.4)
    kept = measures.numbers(network(0.9, drop_rate=0.4, output_dropout=False))
    assert kept["zero_expected/logits"] == 0


def test_the_greatest_distance_from_what_is_expected_is_told(network: Network) -> None:
    # Of logits none is zero, |0 - p|; without dropout behind them h1 is left, |0.6 - 0.7|.
    for output_dropout, points in ((True, "40.00"), (False, "10.00")):
        results = [network(0.9, drop_rate=0.4, output_dropout=output_dropout)]
        [comparison] = compare(results)
        assert f"more than {points} points away from it" in identity(comparison)


def test_states_are_those_of_the_kept_epoch_and_of_birth(network: Network) -> None:
    # Magnitudes 0, 0.5, 1, 0.5: their mean is 0.5, and only the dead unit is at most 0.025 of it.
    found = measures.numbers(network(0.9, fired=(0, 5, 10, 5), born=(0, 0, 10, 5)))
    states = [found[f"{kind}/h1"] for kind in ("dead", "dormant", "born_dead")]
    assert states == [0.25, 0.25, 0.5]
    assert found["hidden_dead"] == 0.25


def test_dormant_but_alive_are_those_that_fire_and_hardly_matter(network: Network) -> None:
    # Magnitudes 0, 0.1 and 98 times 1: of their mean of 0.981 a share of 0.025 is 0.0245.
    found = measures.numbers(network(0.9, fired=(0, 1, *[10] * 98), born=(10,) * 100))
    assert (found["dormant/h1"], found["dormant_but_alive/h1"]) == (0.01, 0.0)
    sleepy = measures.numbers(network(0.9, fired=(0, 0, 1, *[400] * 97), born=(10,) * 100))
    assert (sleepy["dormant/h1"], sleepy["dormant_but_alive/h1"]) == (0.03, 0.01)


def test_what_was_not_measured_is_not_known(network: Network) -> None:
    unwatched = measures.numbers(network(0.9, counts=(0, 0, 0, 0)))
    assert not [name for name in unwatched if "zero" in name]
    linear = measures.numbers(network(0.9, fired=None, born=None))
    assert not [name for name in linear if "dead" in name or "dormant" in name]
    untrained = measures.numbers(network(0.9, seconds=None))
    assert math.isnan(untrained["speed/epoch_seconds"])
    [comparison] = compare([network(0.9, seed=0), network(0.8, seed=1, counts=(0, 0, 0, 0))])
    [group] = comparison.groups
    assert group.values("zero/h1").tolist() == [0.6, pytest.approx(math.nan, nan_ok=True)]
    assert group.estimate("zero/h1").count == 1
    assert group.estimate("zero/h7").count == 0


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
    [comparison] = compare(results)
    [pair] = device_pairs(comparison)
    assert (pair.first, pair.second, pair.networks) == ("cpu (slow)", "cuda (fast)", 2)
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
    [comparison] = compare([network(0.9), network(0.8, seed=1)])
    assert device_pairs(comparison) == []
    # Nor are two devices that have no recipe in common.
    far = {"device": "cuda", "device_name": "cuda (fast)", "drop_rate": 0.1}
    [comparison] = compare([network(0.9), network(0.9, **far)])
    assert device_pairs(comparison) == []
