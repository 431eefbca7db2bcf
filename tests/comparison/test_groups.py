"""Who is compared with whom."""

from collections.abc import Callable

import pytest

from pipeline.comparison.compare import compare
from pipeline.comparison.outcome import outcome_metrics
from pipeline.comparison.tables import pair_label
from pipeline.comparison.verdict import verdict
from pipeline.config.recipe import Recipe
from pipeline.config.settings import ByLayer, parsed
from pipeline.records.result import Result

Network = Callable[..., Result]
Sweep = Callable[..., list[Result]]


def test_seeds_are_replicates_and_rates_are_groups_by_rising_rate(sweep: Sweep) -> None:
    [comparison] = compare(sweep({0.5: (0.9, 0.8), 0.0: (0.7,), 0.2: (0.6, 0.5)})[::-1])
    assert [group.label for group in comparison.groups] == ["0", "0.2", "0.5"]
    assert [group.seeds for group in comparison.groups] == [(0,), (0, 1), (0, 1)]
    assert comparison.differing == ("drop_rate",)
    assert list(comparison.combinations) == [""]


def test_a_half_is_one_value_however_it_was_typed(network: Network) -> None:
    rates = [parsed(Recipe, {"drop_rate": text}).drop_rate for text in ("0.5", "0.50", ".5")]
    results = [network(0.9, drop_rate=rate, seed=seed) for seed, rate in enumerate(rates)]
    [comparison] = compare(results)
    assert [len(group.results) for group in comparison.groups] == [3]


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ({"learning_rate": 0.01}, ["p=0.2 · learning rate 0.001", "p=0.5 · learning rate 0.01"]),
        ({"widths": (8, 4)}, ["p=0.2 · widths 4", "p=0.5 · widths 8-4"]),
        ({"activation": "none"}, ["p=0.5 · linear", "p=0.2 · ReLU"]),
        ({"output_dropout": False}, ["p=0.5 · logits kept", "p=0.2 · logits dropped"]),
        ({"optimizer": "sgd", "momentum": 0.9}, ["p=0.2 · momentum 0 · adam", "p=0.5 · momentum 0.9 · sgd"]),  # noqa: E501
        ({"device": "cuda", "device_name": "cuda (fast)"}, ["p=0.2 · on cpu", "p=0.5 · on cuda"]),
        ({"device_name": "cpu (fast)"}, ["p=0.5 · on cpu (fast)", "p=0.2 · on cpu (slow)"]),
    ],
)  # fmt: skip
def test_groups_are_labelled_by_what_differs(
    network: Network, settings: dict[str, object], labels: list[str]
) -> None:
    [comparison] = compare([network(0.9, drop_rate=0.2), network(0.9, **settings)])
    assert [group.label for group in comparison.groups] == labels
    assert len(comparison.combinations) == 2


def test_one_group_is_called_what_its_networks_are_called(network: Network) -> None:
    [comparison] = compare([network(0.9, seed=3), network(0.8, seed=1)])
    assert [group.label for group in comparison.groups] == ["p=0.5 w=4 epochs=1"]
    assert comparison.groups[0].seeds == (1, 3)


@pytest.mark.parametrize("change", [{"digest": "other"}, {"holdout": 1000}, {"holdout": 0}])
def test_networks_that_other_images_judge_are_never_compared(
    network: Network, change: dict[str, object]
) -> None:
    found = compare([network(0.9, drop_rate=0.2), network(0.9, drop_rate=0.5, **change)])
    assert [len(comparison.groups) for comparison in found] == [1, 1]


@pytest.mark.parametrize("change", [{"probe_every": 7}, {"mask_passes": 0}])
def test_how_a_network_was_measured_makes_no_group(
    network: Network, change: dict[str, object]
) -> None:
    [comparison] = compare([network(0.9, seed=0), network(0.8, seed=1, **change)])
    assert len(comparison.groups) == 1


def test_of_equal_recipes_on_one_device_the_first_counts(network: Network) -> None:
    newer, older = network(0.9, run_id="newer"), network(0.1, run_id="older")
    [comparison] = compare([newer, older, network(0.8, seed=1)])
    assert comparison.groups[0].first.run_id == "newer"
    assert comparison.repeated == 1
    assert len(comparison.groups[0].results) == 2


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ({"input_drop_rate": 0.2}, ["inputs p=0", "inputs p=0.2"]),
        ({"recycle_every": 1}, ["never recycled", "recycled every epoch"]),
        (
            {"recycle_every": 2, "recycle_below": 0.1},
            ["never recycled", "recycled every 2 epochs · threshold 0.1"],
        ),
    ],
)
def test_groups_are_told_apart_by_input_dropout_and_recycling(
    network: Network, settings: dict[str, object], labels: list[str]
) -> None:
    [comparison] = compare([network(0.9, **settings), network(0.9)])
    assert [group.label for group in comparison.groups] == labels


def test_rates_by_layer_make_groups_and_no_axis(network: Network) -> None:
    """By the mean of the hidden layers, and of equal means by name."""
    rates = [0.5, ByLayer((0.5, 0.1)), 0.1, ByLayer((0.1, 0.5))]
    results = [
        network(0.8 + 0.01 * place, drop_rate=rate, seed=seed)
        for place, rate in enumerate(rates)
        for seed in (0, 1)
    ]
    [comparison] = compare(results)
    assert [group.label for group in comparison.groups] == ["0.1", "0.1-0.5", "0.5", "0.5-0.1"]
    assert comparison.differing == ("drop_rate",)
    assert not comparison.has_rates
    assert comparison.neighbours == ()
    assert len(comparison.against) == 3
    [sentence, *_] = verdict(comparison)
    assert sentence.startswith("Drop rate 0.1-0.5 has the highest accuracy")
    assert "chosen/drop_rate" not in outcome_metrics([comparison])


def test_pairs_of_one_combination_name_their_rates_by_layer(network: Network) -> None:
    results = [
        network(0.8, drop_rate=rate, input_drop_rate=inputs, seed=seed)
        for rate in (ByLayer((0.5, 0.1)), 0.1)
        for inputs in (0.0, 0.2)
        for seed in (0, 1)
    ]
    [comparison] = compare(results)
    labels = [pair_label(pair, is_common=False) for pair in comparison.against]
    assert labels[0] == "p=0.1 against p=0.5-0.1 · inputs p=0"
