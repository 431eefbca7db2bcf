"""Which group is chosen, and how pairs of groups differ."""

import itertools
import math
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.comparison.compare import Comparison, compare
from pipeline.comparison.headline import headline
from pipeline.comparison.verdict import verdict
from pipeline.records.result import Failure, Result

Network = Callable[..., Result]
Sweep = Callable[..., list[Result]]
Failed = Callable[..., Failure]

ACCURACIES = {
    0.0: (0.90, 0.91, 0.89, 0.90),
    0.2: (0.95, 0.96, 0.93, 0.95),
    0.5: (0.94, 0.97, 0.93, 0.94),
}


def only(results: list[Result]) -> Comparison:
    [comparison] = compare(results)
    return comparison


def test_groups_are_compared_by_welch_s_test_with_holm_s_correction(sweep: Sweep) -> None:
    found = only(sweep(ACCURACIES))
    assert found.chosen is found.groups[1]
    worse, near = found.against
    assert (worse.first.label, worse.second.label) == ("0.2", "0")
    assert worse.difference.mean == pytest.approx(0.0475)
    reference = stats.ttest_ind(ACCURACIES[0.2], ACCURACIES[0.0], equal_var=False).pvalue
    assert worse.difference.p_value == pytest.approx(reference)
    # The smallest of three pairs.
    assert worse.difference.corrected == pytest.approx(3 * reference)
    assert worse.is_told
    assert not near.is_told
    assert found.tested == 3


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


def test_groups_are_chosen_and_compared_by_the_seeds_that_all_have(network: Network) -> None:
    # By its own seeds 0.2 would be best with a mean of 0.965; by those in common it is behind.
    rows = {0.1: {0: 0.95, 1: 0.96}, 0.2: {0: 0.94, 1: 0.95, 2: 0.99, 3: 0.98}}
    found = only(
        [
            network(accuracy, drop_rate=rate, seed=seed)
            for rate, row in rows.items()
            for seed, accuracy in row.items()
        ]
    )
    assert found.seeds == (0, 1)
    assert found.chosen is found.groups[0]
    assert [group.accuracy.mean for group in found.groups] == pytest.approx([0.955, 0.945])
    [pair] = found.against
    assert pair.difference.mean == pytest.approx(0.01)
    assert pair.difference.count == 2


def test_one_seed_in_common_tells_who_is_ahead_and_no_more(network: Network) -> None:
    ones = [network(accuracy, drop_rate=0.0, seed=seed) for seed, accuracy in enumerate((0.5, 0.6))]
    others = [
        network(accuracy, drop_rate=0.5, seed=seed)
        for seed, accuracy in ((1, 0.7), (2, 0.99), (5, 0.99))
    ]
    [pair] = only(ones + others).against
    assert pair.difference.count == 1
    assert pair.difference.mean == pytest.approx(0.1)
    assert math.isnan(pair.difference.corrected)
    assert not pair.is_told


def test_without_a_seed_in_common_nothing_is_chosen(network: Network) -> None:
    found = only([network(0.9, drop_rate=0.0, seed=1), network(0.8, seed=2)])
    assert (found.seeds, found.chosen, found.against) == ((), None, ())


def test_a_network_that_diverged_counts_as_right_for_no_image(sweep: Sweep, failed: Failed) -> None:
    results = sweep({0.0: (0.90, 0.91), 0.2: (0.99, 0.99)})
    found = only(results)
    assert found.chosen is found.groups[1]
    [found] = compare(results[:3], [failed(results[3])])
    assert found.seeds == (0, 1)
    assert found.groups[1].diverged == (1,)
    assert found.groups[1].accuracies.tolist() == [0.99, 0]
    assert found.chosen is found.groups[0]


def test_a_network_that_failed_for_another_reason_is_missing_and_no_more(
    sweep: Sweep, failed: Failed
) -> None:
    results = sweep({0.0: (0.90, 0.91), 0.2: (0.99, 0.99)})
    [found] = compare(results[:3], [failed(results[3], "too little memory")])
    assert found.seeds == (0,)
    assert found.groups[1].diverged == ()
    assert found.chosen is found.groups[1]


def test_a_failure_that_was_made_good_is_forgotten(sweep: Sweep, failed: Failed) -> None:
    results = sweep({0.0: (0.90, 0.91), 0.2: (0.99, 0.99)})
    [found] = compare(results, [failed(results[3])])
    assert found.failures == ()
    assert found.groups[1].diverged == ()


def test_equal_means_are_tied_however_they_are_summed(sweep: Sweep) -> None:
    found = only(sweep({0.0: (0.1, 0.2, 0.3), 0.2: (0.3, 0.2, 0.1), 0.5: (0.1, 0.1, 0.2)}))
    assert [group.label for group in found.tied] == ["0", "0.2"]
    assert found.against[0].difference.mean == 0


def test_other_images_are_allowed_for_where_every_answer_is_known(sweep: Sweep) -> None:
    results = sweep({0.0: (0.90, 0.91, 0.90), 0.2: (0.99, 0.98, 0.99)})
    # 0.2 is right for eight or nine of a hundred images at which 0 errs, and wrong for no other.
    right = [np.arange(100) < 100 * result.history[-1].validation.accuracy for result in results]
    known = [
        replace(result, is_right=is_right) for result, is_right in zip(results, right, strict=True)
    ]
    [pair] = only(known).against
    assert pair.is_told
    # McNemar's exact test of one seed would say 2 / 2^8 for eight.
    assert pair.difference.corrected <= pair.beyond < 0.05
    assert pair.is_told_beyond
    # Two images of a thousand: seeds tell it, images do not.
    near = sweep({0.0: (0.900, 0.900, 0.901), 0.2: (0.902, 0.902, 0.903)}, holdout=1000)
    known_near = [
        replace(one, is_right=np.arange(1000) < 1000 * accuracy)
        for one, accuracy in zip(near, (0.9, 0.9, 0.901, 0.902, 0.902, 0.903), strict=True)
    ]
    [pair] = only(known_near).against
    assert pair.is_told
    assert pair.beyond > 0.1
    assert not pair.is_told_beyond
    [pair] = only([*known[:-1], results[-1]]).against
    assert math.isnan(pair.beyond)
    assert not pair.is_told_beyond


def test_a_network_that_diverged_is_right_for_no_image_where_answers_are_known(
    sweep: Sweep,
    failed: Failed,
) -> None:
    results = [
        replace(result, is_right=np.array([True, False, True]))
        for result in sweep({0.2: (0.9,) * 4})
    ]
    [found] = compare(results[:3], [failed(results[3])])
    [group] = found.groups
    assert group.right_by_image is not None
    assert group.right_by_image.tolist() == [0.75, 0, 0.75]


def test_images_bring_no_certainty_about_seeds(sweep: Sweep) -> None:
    # Two seeds leave one or two degrees of freedom; 5,000 images would add thousands.
    accuracies = {0.0: (0.900, 0.9028), 0.2: (0.920, 0.9228)}
    known = [
        replace(result, is_right=np.arange(5000) < 5000 * accuracy)
        for result, accuracy in zip(
            sweep(accuracies), itertools.chain(*accuracies.values()), strict=True
        )
    ]
    [pair] = only(known).against
    assert pair.beyond == pair.difference.corrected


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_no_comparison_contradicts_itself(
    network: Network, failed: Failed, data: st.DataObject
) -> None:
    """Whatever is missing, the chosen group is behind none, and the verdict says so."""
    make = st.lists(st.sampled_from([None, 0.0, 0.9, 0.91, 0.92, 0.95]), min_size=4, max_size=4)
    rows = data.draw(st.lists(make, min_size=1, max_size=4))
    results, failures = [], []
    for index, row in enumerate(rows):
        for seed, accuracy in enumerate(row):
            result = network(accuracy or 0.0, drop_rate=index / 10, seed=seed)
            if accuracy == 0:
                failures.append(failed(result))
            elif accuracy:
                results.append(result)
    for found in compare(results, failures):
        assert headline(found)
        text = " ".join(verdict(found))
        if found.chosen is None:
            assert "highest" not in text
            continue
        assert found.chosen.mean_accuracy == max(group.mean_accuracy for group in found.judged)
        for pair in found.against:
            assert pair.first is found.chosen
            assert pair.difference.mean >= 0
            gap = pair.first.accuracy.mean - pair.second.accuracy.mean
            assert pair.difference.mean == pytest.approx(gap)
        if len(found.judged) == len(found.groups) > 1:
            labels = [group.label for group in found.tied]
            is_one = len(labels) == 1
            assert text.startswith(f"Drop rate {labels[0]} has the highest") == is_one
            assert ("same accuracy" in text) != is_one


def test_a_hundred_groups_are_corrected_for_all_their_pairs(sweep: Sweep) -> None:
    source = np.random.default_rng(0)
    rates = [round(index / 100, 2) for index in range(100)]
    found = only(sweep({rate: source.normal(0.9, 0.01, 5) for rate in rates}))
    assert found.tested == 100 * 99 // 2
    assert len(found.against) == len(found.neighbours) == 99
    assert not any(pair.is_told for pair in found.against)


def test_corrected_p_values_are_those_of_every_pair_computed_one_by_one(sweep: Sweep) -> None:
    source = np.random.default_rng(0)
    rates = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    accuracies = {rate: source.normal(0.9 - rate / 5, 0.005 + rate / 50, 4) for rate in rates}
    found = only(sweep(accuracies))
    # Independently, and the rules as they are written: a fifth of a variance is the median of those
    # of the other groups; of 15 pairs at most 10 can be alike once one is not.
    variances = {rate: values.var(ddof=1) for rate, values in accuracies.items()}
    tests = {}
    for pair in itertools.combinations(rates, 2):
        typical = np.median([variances[rate] for rate in rates if rate not in pair])
        parts = np.array([*(0.8 * variances[rate] for rate in pair), 0.4 * typical])
        freedom = parts.sum() ** 2 / (parts**2).sum() * 3
        gap = abs(accuracies[pair[0]].mean() - accuracies[pair[1]].mean())
        statistic = gap / math.sqrt(parts.sum() / 4)
        tests[frozenset(pair)] = 2 * float(stats.t.sf(statistic, freedom))
    expected, least = {}, 0.0
    for rank, pair in enumerate(sorted(tests, key=lambda pair: tests[pair])):
        factor = min(len(tests) - rank, 10) if rank else len(tests)
        least = max(least, min(1.0, factor * tests[pair]))
        expected[pair] = least
    assert found.tested == len(tests) == 15
    shown = [*found.against, *found.neighbours]
    assert len(shown) == 10
    for each in shown:
        both = frozenset({each.first.drop_rate, each.second.drop_rate})
        assert each.difference.corrected == pytest.approx(expected[both])
    assert 0 < sum(pair.is_told for pair in shown) < 10


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
    assert found.tested == 2000 * 1999 // 2
    assert len(found.against) + len(found.neighbours) == 2 * 1999
