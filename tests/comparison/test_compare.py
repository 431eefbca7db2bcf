"""Which group is chosen, and how pairs of groups differ."""

import itertools
import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from pipeline.comparison.compare import Comparison, compare
from pipeline.records.result import Result

Network = Callable[..., Result]
Sweep = Callable[..., list[Result]]

ACCURACIES = {
    0.0: (0.90, 0.91, 0.89, 0.90),
    0.2: (0.95, 0.96, 0.93, 0.95),
    0.5: (0.94, 0.97, 0.93, 0.94),
}


def only(results: list[Result]) -> Comparison:
    [comparison] = compare(results)
    return comparison


def test_pairs_are_compared_seed_by_seed(sweep: Sweep) -> None:
    found = only(sweep(ACCURACIES))
    assert found.chosen is found.groups[1]
    worse, near = found.against
    assert (worse.first.label, worse.second.label) == ("0.2", "0")
    # 0.05, 0.05, 0.04, 0.05: mean 0.0475, s = 0.005, t(0.975; 3) = 3.1824.
    assert worse.difference.mean == pytest.approx(0.0475)
    assert worse.difference.half_width == pytest.approx(3.1824 * 0.0025, abs=1e-6)
    reference = stats.ttest_rel(ACCURACIES[0.2], ACCURACIES[0.0]).pvalue
    assert worse.difference.p_value == pytest.approx(reference)
    # The smallest of three pairs.
    assert worse.corrected == pytest.approx(3 * reference)
    assert worse.is_told
    assert not near.is_told
    assert found.judged == 3


def test_neighbours_are_the_higher_rate_against_the_lower(sweep: Sweep) -> None:
    found = only(sweep(ACCURACIES))
    pairs = [(pair.first.label, pair.second.label) for pair in found.neighbours]
    assert pairs == [("0.2", "0"), ("0.5", "0.2")]
    assert found.neighbours[0].difference.mean == pytest.approx(0.0475)


def test_neighbours_stay_within_a_combination(network: Network) -> None:
    results = [
        network(0.9, drop_rate=rate, learning_rate=step)
        for rate in (0.0, 0.5)
        for step in (0.01, 0.1)
    ]
    pairs = [(pair.first.label, pair.second.label) for pair in only(results).neighbours]
    assert pairs == [
        ("p=0.5 · learning rate 0.01", "p=0 · learning rate 0.01"),
        ("p=0.5 · learning rate 0.1", "p=0 · learning rate 0.1"),
    ]


def test_of_equal_accuracies_the_smaller_loss_is_chosen(network: Network) -> None:
    results = [network(0.9, drop_rate=0.0, loss=0.4), network(0.9, drop_rate=0.5, loss=0.3)]
    chosen = only(results).chosen
    assert chosen is not None
    assert chosen.label == "0.5"


def test_nothing_is_chosen_by_the_test_set(sweep: Sweep) -> None:
    found = only(sweep(ACCURACIES, holdout=0))
    assert found.chosen is None
    assert [(pair.first.label, pair.second.label) for pair in found.against] == [
        ("0", "0.2"),
        ("0", "0.5"),
    ]


def test_only_seeds_that_both_have_are_paired(network: Network) -> None:
    ones = [network(accuracy, drop_rate=0.0, seed=seed) for seed, accuracy in enumerate((0.5, 0.6))]
    others = [
        network(accuracy, drop_rate=0.5, seed=seed)
        for seed, accuracy in ((1, 0.7), (2, 0.99), (5, 0.99))
    ]
    [pair] = only(ones + others).against
    assert pair.difference.count == 1
    assert pair.difference.mean == pytest.approx(0.1)
    assert math.isnan(pair.corrected)
    assert not pair.is_told


def test_a_hundred_groups_are_corrected_for_all_their_pairs(sweep: Sweep) -> None:
    source = np.random.default_rng(0)
    rates = [round(index / 100, 2) for index in range(100)]
    found = only(sweep({rate: source.normal(0.9, 0.01, 5) for rate in rates}))
    assert found.judged == 100 * 99 // 2
    assert len(found.against) == len(found.neighbours) == 99
    assert not any(pair.is_told for pair in found.against)


def test_corrected_p_values_are_those_of_every_pair_computed_one_by_one(network: Network) -> None:
    source = np.random.default_rng(0)
    accuracies = {
        rate: {seed: source.normal(0.9 - rate / 5, 0.005) for seed in range(index % 2, 4)}
        for index, rate in enumerate((0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.9))
    }
    accuracies[0.9] = {7: 0.5}  # no seed in common with any other
    found = only(
        [
            network(accuracy, drop_rate=rate, seed=seed)
            for rate, row in accuracies.items()
            for seed, accuracy in row.items()
        ]
    )
    # Independently: scipy's paired test of every pair, and Holm's rule as it is written.
    tests: dict[frozenset[float], float] = {}
    for one, other in itertools.combinations(accuracies, 2):
        seeds = sorted(accuracies[one].keys() & accuracies[other].keys())
        if len(seeds) > 1:
            rows = ([accuracies[rate][seed] for seed in seeds] for rate in (one, other))
            tests[frozenset({one, other})] = float(stats.ttest_rel(*rows).pvalue)
    expected, least = {}, 0.0
    for rank, pair in enumerate(sorted(tests, key=lambda pair: tests[pair])):
        least = max(least, min(1.0, (len(tests) - rank) * tests[pair]))
        expected[pair] = least
    assert found.judged == len(tests) == 15
    shown = [*found.against, *found.neighbours]
    assert len(shown) == 12
    for shown_pair in shown:
        rates = frozenset({shown_pair.first.drop_rate, shown_pair.second.drop_rate})
        assert shown_pair.corrected == pytest.approx(expected.get(rates, math.nan), nan_ok=True)
    assert 0 < sum(pair.is_told for pair in shown) < 12


@pytest.mark.slow
def test_two_thousand_groups_are_compared_in_less_than_80_megabytes(sweep: Sweep) -> None:
    # A number for each of their two million pairs is 16 MB.
    source = np.random.default_rng(0)
    results = sweep({index / 2000: source.normal(0.9, 0.01, 2) for index in range(2000)})
    tracemalloc.start()
    found = only(results)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80e6
    assert found.judged == 2000 * 1999 // 2
    assert len(found.against) + len(found.neighbours) == 2 * 1999
