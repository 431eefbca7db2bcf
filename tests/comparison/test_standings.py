"""Which group is chosen, and how pairs of groups differ."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from pipeline.comparison.groups import contests
from pipeline.comparison.standings import Standings, standings
from pipeline.records.result import Result

Network = Callable[..., Result]
Sweep = Callable[..., list[Result]]

ACCURACIES = {
    0.0: (0.90, 0.91, 0.89, 0.90),
    0.2: (0.95, 0.96, 0.93, 0.95),
    0.5: (0.94, 0.97, 0.93, 0.94),
}


def compare(results: list[Result]) -> Standings:
    [contest] = contests(results)
    return standings(contest)


def test_pairs_are_compared_seed_by_seed(sweep: Sweep) -> None:
    found = compare(sweep(ACCURACIES))
    assert found.chosen is found.contest.groups[1]
    worse, near = found.against
    assert (worse.one.label, worse.other.label) == ("0.2", "0")
    # 0.05, 0.05, 0.04, 0.05: mean 0.0475, s = 0.005, t(0.975; 3) = 3.1824.
    assert worse.difference.estimate.mean == pytest.approx(0.0475)
    assert worse.difference.estimate.half_width == pytest.approx(3.1824 * 0.0025, abs=1e-6)
    reference = stats.ttest_rel(ACCURACIES[0.2], ACCURACIES[0.0]).pvalue
    assert worse.difference.p_value == pytest.approx(reference)
    # The smallest of three pairs.
    assert worse.corrected == pytest.approx(3 * reference)
    assert worse.is_told
    assert not near.is_told
    assert found.judged == 3


def test_neighbours_are_the_higher_rate_against_the_lower(sweep: Sweep) -> None:
    found = compare(sweep(ACCURACIES))
    pairs = [(pair.one.label, pair.other.label) for pair in found.neighbours]
    assert pairs == [("0.2", "0"), ("0.5", "0.2")]
    assert found.neighbours[0].difference.estimate.mean == pytest.approx(0.0475)


def test_neighbours_stay_within_a_combination(network: Network) -> None:
    results = [
        network(0.9, drop_rate=rate, learning_rate=step)
        for rate in (0.0, 0.5)
        for step in (0.01, 0.1)
    ]
    pairs = [(pair.one.label, pair.other.label) for pair in compare(results).neighbours]
    assert pairs == [
        ("p=0.5 · learning rate 0.01", "p=0 · learning rate 0.01"),
        ("p=0.5 · learning rate 0.1", "p=0 · learning rate 0.1"),
    ]


def test_of_equal_accuracies_the_smaller_loss_is_chosen(network: Network) -> None:
    results = [network(0.9, drop_rate=0.0, loss=0.4), network(0.9, drop_rate=0.5, loss=0.3)]
    chosen = compare(results).chosen
    assert chosen is not None
    assert chosen.label == "0.5"


def test_nothing_is_chosen_by_the_test_set(sweep: Sweep) -> None:
    found = compare(sweep(ACCURACIES, holdout=0))
    assert found.chosen is None
    assert [(pair.one.label, pair.other.label) for pair in found.against] == [
        ("0", "0.2"),
        ("0", "0.5"),
    ]


def test_only_seeds_that_both_have_are_paired(network: Network) -> None:
    ones = [network(accuracy, drop_rate=0.0, seed=seed) for seed, accuracy in enumerate((0.5, 0.6))]
    others = [
        network(accuracy, drop_rate=0.5, seed=seed)
        for seed, accuracy in ((1, 0.7), (2, 0.99), (5, 0.99))
    ]
    [pair] = compare(ones + others).against
    assert pair.difference.estimate.count == 1
    assert pair.difference.estimate.mean == pytest.approx(0.1)
    assert math.isnan(pair.corrected)
    assert not pair.is_told


def test_a_hundred_groups_are_corrected_for_all_their_pairs(sweep: Sweep) -> None:
    source = np.random.default_rng(0)
    rates = [round(index / 100, 2) for index in range(100)]
    found = compare(sweep({rate: source.normal(0.9, 0.01, 5) for rate in rates}))
    assert found.judged == 100 * 99 // 2
    assert len(found.against) == len(found.neighbours) == 99
    assert not any(pair.is_told for pair in found.against)
