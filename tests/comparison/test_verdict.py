"""The verdict in words: what it claims follows from the numbers, and it says when they fail."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pipeline.comparison.compare import compare
from pipeline.comparison.verdict import chosen_on_the_test_set, verdict
from pipeline.records.result import Failure, Result

Network = Callable[..., Result]
Sweep = Callable[..., list[Result]]
Failed = Callable[..., Failure]


def read(results: list[Result], failures: Sequence[Failure] = ()) -> str:
    [comparison] = compare(results, failures)
    return " ".join(verdict(comparison)).replace("\u00a0", " ")


NOT_KEPT = (
    ' "Better" is meant for these 5,000 images; other images are not tested, since answers were '
    "not kept image by image."
)


def test_it_says_who_is_better_by_how_much_and_who_cannot_be_told_apart(sweep: Sweep) -> None:
    accuracies = {
        0.0: (0.90, 0.91, 0.89, 0.90),
        0.2: (0.95, 0.96, 0.93, 0.95),
        0.5: (0.94, 0.97, 0.93, 0.94),
    }
    # 0.2 alone: s = 1.2583, t(1 - 0.05 / 4; 3) = 4.1765, half width 2.63. 0.2 less 0: mean 4.75,
    # s² / 4 = 0.39583 + 0.16667 = 0.5625, f = 0.5625² / ((0.39583² + 0.16667²) / 3) = 5.146; with
    # the error 0.05 / 3 t = 3.4911, half width 2.62.
    assert read(sweep(accuracies)) == (
        "Drop rate 0.2 has the highest accuracy on the held-out images: 94.75 ± 2.63 % over 4 "
        "seeds. "
        "0.2 is better than 0 by 4.75 ± 2.62 points over 4 seeds; four seeds cannot tell 0.2 from "
        f"0.5 (0.25 ± 2.68 points behind).{NOT_KEPT}"
    )


def test_what_many_pairs_make_by_chance_is_not_called_better(sweep: Sweep) -> None:
    # 0.2 less 0: p = 0.04 alone, more among three pairs.
    accuracies = {0.0: (0.90, 0.90, 0.91), 0.2: (0.92, 0.93, 0.94), 0.5: (0.93, 0.90, 0.92)}
    text = read(sweep(accuracies))
    assert "better" not in text
    assert "three seeds cannot tell 0.2 from 0.5 (1.33 ±" in text.lower()


def test_of_thirty_equal_groups_none_is_said_to_be_or_look_better(sweep: Sweep) -> None:
    source = np.random.default_rng(0)
    text = read(sweep({index / 100: source.normal(0.9, 0.001, 5) for index in range(30)}))
    assert "better" not in text
    assert "five seeds cannot tell" in text.lower()


def test_one_seed_gives_no_interval_and_no_claim(sweep: Sweep) -> None:
    assert read(sweep({0.0: (0.9,), 0.5: (0.8,)})) == (
        "Drop rate 0 has the highest accuracy on the held-out images: 90.00 % with one seed. "
        "One seed cannot tell 0 from 0.5 (10.00 points behind), since it gives no interval: train "
        "several, such as 0-4."
    )


def test_equal_groups_have_no_winner_and_it_says_why_one_is_taken(network: Network) -> None:
    def two(loss: float) -> str:
        return read([network(0.9, drop_rate=0.0, loss=0.5), network(0.9, drop_rate=0.5, loss=loss)])

    assert two(0.4) == (
        "Both groups have the same accuracy on the held-out images: 90.00 % with one seed. 0.5 is "
        "chosen for its smaller loss. One seed cannot tell 0.5 from 0 (equal), since it gives no "
        "interval: train several, such as 0-4."
    )
    assert "Their losses are the same as well, so the first of them, 0, is taken." in two(0.5)


def test_some_that_share_the_highest_accuracy_are_named(sweep: Sweep) -> None:
    text = read(sweep({0.0: (0.9, 0.8), 0.2: (0.8, 0.9), 0.5: (0.1, 0.2)}))
    assert text.startswith(
        "Drop rates 0 and 0.2 have the same accuracy on the held-out images, the highest: 85.00"
    )


def with_answers(results: list[Result], images: int) -> list[Result]:
    """Networks that are right for the first images, and for no others."""
    return [
        replace(result, is_right=np.arange(images) < images * result.chosen.validation.accuracy)
        for result in results
        if result.chosen.validation
    ]


def test_it_says_for_which_images_better_is_meant(sweep: Sweep) -> None:
    accuracies = {
        0.0: (0.950, 0.951, 0.952, 0.953),
        0.2: (0.980, 0.981, 0.982, 0.983),
        0.5: (0.977, 0.978, 0.979, 0.980),
    }
    results = sweep(accuracies, holdout=1000)
    assert read(with_answers(results, 1000)).endswith(
        '"Better" is meant for these 1,000 images; a test that allows for chance in the choice of '
        "images as well confirms 1 of 2 differences, but not 0.2 over 0.5."
    )
    two = [result for result in results if result.recipe.drop_rate != 0]
    assert read(with_answers(two, 1000)).endswith(
        '"Better" is meant for these 1,000 images; a test that allows for chance in the choice of '
        "images as well cannot confirm it."
    )
    two = [result for result in results if result.recipe.drop_rate != 0.2]
    assert read(with_answers(two, 1000)).endswith(
        "seeds. A test that allows for chance in the choice of images as well confirms it."
    )
    assert read(two).endswith("since answers were not kept image by image.")


def test_it_says_what_diverged_and_what_that_counts(sweep: Sweep, failed: Failed) -> None:
    results = sweep({0.0: (0.90, 0.91), 0.2: (0.99, 0.99)})
    text = read(results[:3], [failed(results[3])])
    assert text.startswith("Drop rate 0 has the highest accuracy")
    assert text.endswith("A network that diverged counts as right for no image: seed 1 of 0.2.")
    odd = read(results[:3], [failed(result) for result in sweep({0.2: (0.9,) * 3})[1:]])
    assert odd.endswith(
        "Accuracies are over seeds 0 and 1 alone, which all groups compared have: 0 lacks seed 2. "
        "A network that diverged counts as right for no image: seed 1 of 0.2. "
        "Diverged, but not among the seeds compared: seed 2 of 0.2."
    )
    every = read(results[:2], [failed(result) for result in results[2:]])
    assert every.endswith(
        "Of these settings every network failed, so they are not compared: p=0.2 w=4 epochs=1 "
        "(seeds 0 and 1)."
    )


def test_it_says_which_seeds_are_missing_where(sweep: Sweep, network: Network) -> None:
    rising = (0.90, 0.91, 0.92, 0.93)
    results = sweep({0.0: rising, 0.2: (0.99, 0.99, 0.98, 0.98), 0.5: rising})
    text = read([result for place, result in enumerate(results) if place not in {1, 10}])
    assert (
        "Accuracies are over seeds 0 and 3 alone, which all groups compared have: 0 lacks seed 1 "
        "and 0.5 lacks seed 2."
    ) in text
    odd = read([*results, network(0.999, drop_rate=0.7, seed=7)])
    assert odd.startswith("Of three groups that can be compared, drop rate 0.2 has the highest")
    assert odd.endswith(
        "Groups that share too few seeds with the others are not compared with them: 0.7 has seed "
        "7, the others seeds 0-3."
    )


def test_a_network_that_collapsed_is_named(sweep: Sweep) -> None:
    accuracies = {0.0: (0.974, 0.975, 0.976), 0.5: (0.964, 0.1135, 0.966)}
    assert read(sweep(accuracies)).endswith(
        "One network lies far below the others of the same group: seed 1 of 0.5 (11.35 %). The "
        "group's mean, interval and tests describe no typical network of it."
    )
    assert "far below" not in read(sweep(accuracies | {0.5: (0.964, 0.965, 0.966)}))


def test_one_network_alone_is_compared_with_nothing(network: Network) -> None:
    assert read([network(0.9)]) == (
        "p=0.5 w=4 epochs=1: 90.00 % of the held-out images correct with one seed; there is "
        "nothing to compare it with. One seed gives no interval."
    )


def test_groups_without_a_common_seed_are_not_compared(network: Network) -> None:
    assert read([network(0.9, drop_rate=0.0, seed=1), network(0.8, seed=2)]) == (
        "No two groups share a seed, so none is compared with another and none is chosen: train "
        "the same seeds for each, such as 0-4."
    )


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
        "two seeds cannot tell 0.3 from 0.5 (1.00 points behind), 0.6 (2.00 points behind), 0.1 "
        "(5.00 points behind) and 2 more" in text.lower()
    )


def test_a_step_between_drop_rates_is_told_where_the_best_has_no_part_in_it(sweep: Sweep) -> None:
    noise = np.array([0.001, -0.001, 0.0, 0.001])
    accuracies = {0.0: 0.97 + noise, 0.2: 0.97 - noise, 0.5: 0.90 + noise, 0.7: 0.80 - noise}
    text = read(sweep(accuracies))
    # s² = 0.9167e-6 in each: half widths t(1 - 0.025 / 3; 6) 0.000677. Of six pairs at most
    # three can be alike once one is not.
    assert text.endswith(
        "Of neighbouring drop rates, 0.5 is better than 0.7 by 10.05 ± 0.22 points and 0.2 is "
        f"better than 0.5 by 6.95 ± 0.22 points.{NOT_KEPT}"
    ), text


def test_a_long_name_is_said_once(network: Network) -> None:
    results = [
        network(0.9 + 0.01 * seed * rate - speed, seed=seed, drop_rate=rate, learning_rate=speed)
        for seed in range(3)
        for rate in (0.0, 0.5)
        for speed in (0.001, 0.002)
    ]
    text = read(results)
    assert text.count("p=0.5 · learning rate 0.001") == 1
    assert "the chosen group" in text
