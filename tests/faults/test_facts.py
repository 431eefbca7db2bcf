"""What is told of a folder that differs from those of undisturbed steps."""

import pytest

from tests.faults.facts import Found, Key, Reference, plain

KEY: Key = ("network", "mnist", "f0", "metric", "val/loss", "1")
TIME: Key = ("network", "mnist", "f0", "artifact", "history.safetensors")


def found(values: dict[Key, tuple[str, ...]], **rest: object) -> Found:
    facts = {KEY: ("0.5",), TIME: ("digest",), ("file", "prepared"): ("folder",), **values}
    facts = {key: value for key, value in facts.items() if value}
    step = {("step", "toy", "artifact", "toy.html"): ("digest",)}
    given = {"steps": {"toy": [step]}, "finished": {"toy"}, "open": [], **rest}
    return Found(facts=facts, **given)  # type: ignore[arg-type]


@pytest.fixture
def reference() -> Reference:
    return Reference(found({}), found({TIME: ("another digest",)}))


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({KEY: ()}, "lost: network / mnist / f0 / metric / val/loss / 1 (0 instead of 1)"),
        ({KEY: ("0.5", "0.5")}, "doubled: network / mnist / f0 / metric / val/loss / 1 (2 inst"),
        ({KEY: ("0.4",)}, "wrong: network / mnist / f0 / metric / val/loss / 1 is ('0.4',)"),
        ({TIME: ()}, "lost: network / mnist / f0 / artifact / history.safetensors"),
        ({("file", ".a.part"): ("folder",)}, "left: file / .a.part should not be there"),
        ({("version", "x"): ("1",)}, "doubled: version / x should not be there"),
    ],
)
def test_a_difference_is_told_by_its_kind(
    reference: Reference, values: dict[Key, tuple[str, ...]], fault: str
) -> None:
    [told] = reference.faults(found(values))
    assert told.startswith(fault)


def test_what_differs_between_undisturbed_ones_may_be_anything_but_must_be_there(
    reference: Reference,
) -> None:
    assert reference.faults(found({TIME: ("a third",)})) == []


def test_of_several_runs_of_a_step_one_must_hold_all_and_one_must_have_finished(
    reference: Reference,
) -> None:
    whole = {("step", "toy", "artifact", "toy.html"): ("digest",)}
    assert reference.faults(found({}, steps={"toy": [{}, whole]})) == []
    [lost] = reference.faults(found({}, steps={"toy": [{}]}))
    assert lost.startswith("lost: step / toy / artifact / toy.html")
    [unfinished] = reference.faults(found({}, finished=set()))
    assert unfinished == "lost: no run of the step toy has finished"
    [none] = reference.faults(found({}, steps={}))
    assert none == "lost: the run of the step toy"


def test_a_run_that_is_left_open_is_told(reference: Reference) -> None:
    assert reference.faults(found({}, open=["run a is RUNNING"])) == ["left: run a is RUNNING"]


def test_ids_and_the_times_of_images_say_nothing() -> None:
    run, image = "0123456789abcdef" * 2, "6f36fe1c-c7ff-4fd1-8a5c-0a2e1d4f9b7a"
    assert plain(f"models:/m-{run} of {run}") == "models:/<id> of <id>"
    assert plain(f"film+step+3+timestamp+1700000000000+{image}.png") == "film+step+3+<id>+<id>.png"
