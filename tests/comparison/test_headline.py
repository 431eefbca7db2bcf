"""The sentence above the figure of accuracies: the verdict's judgements, and no other."""

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.comparison.compare import compare
from pipeline.comparison.figures import accuracy_panel, sweep_figure
from pipeline.comparison.headline import headline
from pipeline.comparison.outcome import outcome_metrics
from pipeline.plots import to_png
from pipeline.records.result import Result

Network = Callable[..., Result]
Sweep = Callable[..., list[Result]]
NOISE = np.array([0.001, -0.001, 0.0, 0.001])


def read(results: list[Result]) -> str:
    [comparison] = compare(results)
    return headline(comparison).replace("\u00a0", " ")


def test_one_seed_cannot_tell(sweep: Sweep) -> None:
    assert read(sweep({0.0: (0.9,), 0.5: (0.8,)})) == (
        "Drop rate 0 is ahead, but one seed cannot tell"
    )


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        (
            {0.0: 0.97 + NOISE, 0.2: 0.97 - NOISE, 0.5: 0.90 - NOISE, 0.7: 0.80 - NOISE},
            "Drop rate 0 is better than 0.5 and 0.7; four seeds cannot tell it from 0.2",
        ),
        (
            {0.0: 0.97 + NOISE, 0.5: 0.90 - NOISE},
            "Drop rate 0 is better than 0.5",
        ),
        (
            {0.0: (0.9, 0.8), 0.5: (0.8, 0.89)},
            "Drop rate 0 is ahead, but two seeds cannot tell it from 0.5",
        ),
    ],
)
def test_it_names_the_best_and_those_the_seeds_cannot_tell_it_from(
    accuracies: dict[float, np.ndarray], expected: str, sweep: Sweep
) -> None:
    assert read(sweep(accuracies)) == expected


def test_many_others_are_counted(sweep: Sweep) -> None:
    rates = {index / 10: (0.9 - index / 100, 0.8 + index / 1000) for index in range(8)}
    assert read(sweep(rates)).endswith("two seeds cannot tell it from seven others")


def test_without_a_common_seed_it_says_so(network: Network) -> None:
    results = [network(0.9, drop_rate=0.0, seed=1), network(0.8, seed=2)]
    assert read(results) == (
        "Accuracy of groups that share no seed, so none is compared with another"
    )


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ({0.0: (0.9, 0.8), 0.5: (0.8, 0.9)}, "Both groups have the same accuracy"),
        ({0.0: (0.9,), 0.2: (0.9,), 0.5: (0.9,)}, "All three groups have the same accuracy"),
        (
            {0.0: (0.9, 0.8), 0.2: (0.8, 0.9), 0.5: (0.1, 0.2)},
            "Drop rates 0 and 0.2 have the same accuracy, the highest",
        ),
    ],
)
def test_equal_groups_have_no_winner(
    accuracies: dict[float, tuple[float, ...]], expected: str, sweep: Sweep
) -> None:
    assert read(sweep(accuracies)) == expected


def test_a_group_alone_and_the_test_set_have_no_winner(sweep: Sweep) -> None:
    assert read(sweep({0.2: (0.9, 0.9)})) == (
        "90.00 % of the held-out images are predicted correctly"
    )
    nothing_held_out = sweep({0.0: (0.9, 0.8), 0.5: (0.8, 0.9)}, holdout=0)
    assert read(nothing_held_out) == "Accuracy on the test set, by which nothing is chosen"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"fired": None, "born": None, "activation": "none", "counts": (10, 0, 0, 0)},
        {"counts": (0, 0, 0, 0), "probe_every": 0},
        {"holdout": 0},
        {"layers": ("h1", "h2", "h3"), "widths": (4, 4, 4)},
    ],
    ids=["plain", "no zeros", "nothing watched", "nothing held out", "three layers"],
)
@pytest.mark.parametrize("seeds", [1, 3])
def test_the_figure_of_a_sweep_is_drawn_for_every_kind_of_network(
    changes: dict[str, object], seeds: int, sweep: Sweep
) -> None:
    rows = {0.0: (0.9, 0.91, 0.92)[:seeds], 0.5: (0.8, 0.85, 0.86)[:seeds]}
    for results in (sweep(rows, **changes), [*sweep(rows), *sweep(rows, learning_rate=0.1)]):
        [comparison] = compare(results)
        figure = sweep_figure(comparison, title="networks")
        assert to_png(figure).startswith(b"\x89PNG")
        joined = [line.get_linestyle() for line in figure.axes[0].lines if line.get_marker() == "o"]
        assert ("-" in joined) == (seeds > 1)


def test_the_panel_of_the_report_says_it_to_those_who_do_not_see_it(sweep: Sweep) -> None:
    [comparison] = compare(sweep({0.0: (0.9,), 0.5: (0.8,)}))
    name, _ = accuracy_panel(comparison)
    assert name == (
        "accuracy on the held-out images (%): Drop rate 0 is ahead, but one seed cannot tell"
    )


def test_a_step_s_run_has_what_was_chosen_as_metrics(sweep: Sweep) -> None:
    # One of four units is dead in every network.
    results = sweep({0.2: (0.9, 0.8), 0.5: (0.6, 0.5)})
    assert outcome_metrics(compare(results)) == {
        "networks": 4.0,
        "chosen/drop_rate": 0.2,
        "chosen/val_accuracy": pytest.approx(0.85),
        "chosen/dead_share": 0.25,
    }


def test_several_comparisons_have_numbered_metrics_and_the_test_set_chooses_none(
    sweep: Sweep,
) -> None:
    rows = {0.2: (0.9, 0.8), 0.5: (0.6, 0.5)}
    found = outcome_metrics(compare([*sweep(rows), *sweep(rows, digest="other")]))
    assert {name for name in found if "drop_rate" in name} == {
        "chosen/drop_rate/1",
        "chosen/drop_rate/2",
    }
    assert outcome_metrics(compare(sweep(rows, holdout=0))) == {"networks": 4.0}
