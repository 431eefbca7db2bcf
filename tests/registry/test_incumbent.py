"""The gate that compares a network with the present holder of the alias."""

import math
from dataclasses import replace

import pytest

from pipeline.registry.gates import GateError, Incumbent
from pipeline.registry.gates.incumbent import not_worse
from pipeline.registry.selection import Selection
from pipeline.tracking import FoundRun, Version

RUN = FoundRun(
    id="b" * 32,
    experiment_id="1",
    name="p=0.5 s1",
    parameters={"dataset_digest": "d1", "holdout": "5000"},
    tags={},
    metrics={},
    last_at={},
    model="models:/m-1",
)
VERSION = Version(
    name="m",
    version=4,
    run_id="a" * 32,
    source="models:/m-0",
    tags={},
    aliases=("champion",),
    description="",
)


def selected(value: float, metric: str = "val/accuracy") -> Selection:
    return Selection(run=RUN, metric=metric, value=value, compared=1, tied=(), source="")


def holder(value: float) -> Incumbent:
    return Incumbent(version=VERSION, alias="champion", run=RUN, value=value)


def passes(selection: Selection, present: Incumbent | None, margin: float = 0.002) -> bool:
    try:
        return not not_worse(selection, present, margin=margin, is_forced=False).is_forced
    except GateError:
        return False


@pytest.mark.parametrize(
    ("metric", "new", "old", "is_let_through"),
    [
        ("val/accuracy", 0.98, 0.97, True),
        ("val/accuracy", 0.97, 0.97, True),
        # 0.972 - 0.97 is a little above 0.002 in floats, and not worse by more than the margin.
        ("val/accuracy", 0.97, 0.972, True),
        ("val/accuracy", 0.97, 0.9721, False),
        ("val/loss", 0.10, 0.20, True),
        ("val/loss", 0.102, 0.10, True),
        ("val/loss", 0.1021, 0.10, False),
    ],
)
def test_more_accuracy_and_less_loss_are_better_and_the_margin_is_allowed(
    metric: str, new: float, old: float, *, is_let_through: bool
) -> None:
    assert passes(selected(new, metric), holder(old)) is is_let_through


def test_where_nobody_holds_the_alias_any_network_will_do() -> None:
    assert passes(selected(0.1), None)


def test_a_worse_network_is_refused_with_both_numbers_and_who_holds_the_alias() -> None:
    with pytest.raises(GateError) as caught:
        not_worse(selected(0.9), holder(0.95), margin=0.01, is_forced=False)
    assert str(caught.value) == (
        "gate 'not worse': val/accuracy must not be worse by more than 0.01 than that of version "
        "4, the current champion, got 0.9 against 0.95: register a better network, or give "
        "force=true"
    )


def test_force_lets_a_worse_network_through_and_says_so() -> None:
    verdict = not_worse(selected(0.9), holder(0.95), margin=0.01, is_forced=True)
    assert verdict.is_forced
    assert "got 0.9 against 0.95" in verdict.found


def test_force_is_not_mentioned_where_it_was_not_needed() -> None:
    assert not not_worse(selected(0.96), holder(0.95), margin=0.0, is_forced=True).is_forced


@pytest.mark.parametrize(
    ("present", "words"),
    [
        (
            replace(holder(0.5), run=replace(RUN, parameters=RUN.parameters | {"holdout": "100"})),
            "holdout 5000 against 100: different validation images",
        ),
        (
            replace(
                holder(0.5),
                run=replace(RUN, parameters=RUN.parameters | {"dataset_digest": "d2"}),
            ),
            "dataset_digest d1 against d2: different validation images",
        ),
        (replace(holder(0.5), run=None), f"no run {'a' * 32} in this store"),
        (holder(math.nan), f"none in its run {'b' * 32}"),
    ],
)
def test_numbers_that_cannot_be_compared_need_force_however_good(
    present: Incumbent, words: str
) -> None:
    with pytest.raises(GateError) as caught:
        not_worse(selected(0.99), present, margin=1.0, is_forced=False)
    assert words in str(caught.value)
    assert not_worse(selected(0.99), present, margin=1.0, is_forced=True).is_forced
