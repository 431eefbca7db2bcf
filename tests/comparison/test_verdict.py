"""The verdict in words: what it claims follows from the numbers, and it says when they fail."""

from collections.abc import Callable

import numpy as np

from pipeline.comparison.compare import compare
from pipeline.comparison.verdict import chosen_on_the_test_set, verdict
from pipeline.records.result import Result

Network = Callable[..., Result]
Sweep = Callable[..., list[Result]]


def read(results: list[Result]) -> str:
    [comparison] = compare(results)
    return " ".join(verdict(comparison)).replace("\u00a0", " ")


def test_it_says_who_is_better_by_how_much_and_who_cannot_be_told_apart(sweep: Sweep) -> None:
    accuracies = {
        0.0: (0.90, 0.91, 0.89, 0.90),
        0.2: (0.95, 0.96, 0.93, 0.95),
        0.5: (0.94, 0.97, 0.93, 0.94),
    }
    # 0.2 less 0: mean 4.75 points, half width 3.1824 x 0.5 / 2 = 0.80; 0.2 less 0.5: 1, -1, 0, 1
    # points, mean 0.25, s = 0.957, half width 1.52. 0.2 alone: s = 1.2583, 3.1824 x 0.6291 = 2.00.
    assert read(sweep(accuracies)) == (
        "Drop rate 0.2 has the highest accuracy on the held-out images: 94.75 ± 2.00 % over 4 "
        "seeds. "
        "0.2 is better than 0 by 4.75 ± 0.80 points over 4 seeds; four seeds cannot decide between "
        "0.5 and 0.2 (0.25 ± 1.52 points)."
    )


def test_what_many_pairs_make_by_chance_is_not_called_better(sweep: Sweep) -> None:
    # 0.2 less 0: 2, 3, 4 points; p = 0.035 alone, 0.10 among three pairs.
    accuracies = {0.0: (0.90, 0.90, 0.90), 0.2: (0.92, 0.93, 0.94), 0.5: (0.93, 0.90, 0.92)}
    text = read(sweep(accuracies))
    assert (
        "0.2 looks better than 0 by 3.00 ± 2.48 points over 3 seeds, but not by more than "
        "chance allows among 3 pairs" in text
    )
    assert "is better" not in text


def test_one_seed_gives_no_interval_and_no_claim(sweep: Sweep) -> None:
    assert read(sweep({0.0: (0.9,), 0.5: (0.8,)})) == (
        "Drop rate 0 has the highest accuracy on the held-out images: 90.00 % with one seed. "
        "One seed cannot decide between 0.5 and 0, since it gives no interval: 0 is ahead of 0.5 "
        "by 10.00 points, which may be chance; train several seeds, such as 0-4."
    )


def test_one_network_alone_is_compared_with_nothing(network: Network) -> None:
    assert read([network(0.9)]) == (
        "p=0.5 w=4 epochs=1: 90.00 % of the held-out images correct with one seed; there is "
        "nothing to compare it with. One seed gives no interval."
    )


def test_groups_without_a_common_seed_are_not_paired(network: Network) -> None:
    text = read([network(0.9, drop_rate=0.0, seed=1), network(0.8, seed=2)])
    assert "between 0.5 and 0 there is no seed in common, so no paired difference" in text.replace(
        "Between", "between"
    )


def test_differences_that_are_all_alike_are_no_proof(sweep: Sweep) -> None:
    text = read(sweep({0.0: (0.90, 0.92), 0.5: (0.88, 0.90)}))
    assert "two seeds cannot decide between 0.5 and 0 (2.00 points)" in text.lower()


def test_without_held_out_images_nothing_is_chosen_and_it_says_why(sweep: Sweep) -> None:
    results = sweep({0.0: (0.90, 0.91), 0.5: (0.95, 0.97)}, holdout=0)
    text = read(results)
    assert "Nothing was held out (holdout=0)" in text
    assert "nothing is chosen" in text
    assert "highest" not in text
    [comparison] = compare(results)
    assert "Nothing is chosen" in chosen_on_the_test_set(comparison)


def test_the_test_accuracy_is_that_of_the_chosen_group_alone(sweep: Sweep) -> None:
    best = sweep({0.2: (0.95, 0.96)}, test=0.625)
    [comparison] = compare([*best, *sweep({0.5: (0.90, 0.91)}, test=0.125)])
    sentence = chosen_on_the_test_set(comparison).replace("\u00a0", " ")
    assert sentence == ("Test accuracy of the chosen group, 0.2: 62.50 % (mean of two networks).")


def test_of_many_groups_a_few_are_named_and_the_others_counted(sweep: Sweep) -> None:
    source = np.random.default_rng(0)
    rates = [round(index / 100, 2) for index in range(60)]
    accuracies = {rate: source.normal(0.9 - rate, 0.0001, 5) for rate in rates}
    text = read(sweep(accuracies))
    assert "0 is better than 0.01 by" in text
    assert "56 others by more" in text
    assert len(text) < 900


def test_the_nearest_of_many_undecided_groups_are_named(sweep: Sweep) -> None:
    rates = {0.1: 0.90, 0.2: 0.80, 0.3: 0.95, 0.4: 0.70, 0.5: 0.94, 0.6: 0.93}
    text = read(sweep({rate: (mean, mean) for rate, mean in rates.items()}))
    assert (
        "two seeds cannot decide between 0.3 and each of 0.5, 0.6, 0.1 and 2 more" in text.lower()
    )


def test_a_step_between_drop_rates_is_told_where_the_best_has_no_part_in_it(sweep: Sweep) -> None:
    noise = np.array([0.001, -0.001, 0.0, 0.001])
    accuracies = {0.0: 0.97 + noise, 0.2: 0.97 - noise, 0.5: 0.90 + noise, 0.7: 0.80 - noise}
    text = read(sweep(accuracies))
    assert text.endswith(
        "Of neighbouring drop rates, 0.5 is better than 0.7 by 10.05 ± 0.30 points and 0.2 is "
        "better than 0.5 by 6.95 ± 0.30 points."
    ), text


def test_a_long_name_is_said_once(network: Network) -> None:
    results = [
        network(0.9 + 0.01 * seed * rate, seed=seed, drop_rate=rate, learning_rate=speed)
        for seed in range(3)
        for rate in (0.0, 0.5)
        for speed in (0.001, 0.002)
    ]
    text = read(results)
    assert text.count("p=0.5 · learning rate 0.001") == 1
    assert "the chosen group" in text
