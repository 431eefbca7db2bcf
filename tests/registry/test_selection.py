"""Which network a sweep or an id stands for, from runs that only say what they would have been."""

import os
from collections.abc import Callable

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput

from pipeline.errors import PipelineError
from pipeline.registry.selection import Selection, select
from pipeline.tracking import Tracker, connect


@pytest.fixture
def place(request: pytest.FixtureRequest, client: MlflowClient) -> Tracker:
    """An experiment of the test's own."""
    del client
    return connect(experiment=request.node.name)


def network(
    place: Tracker,
    name: str,
    points: dict[int, float],
    *,
    chosen: int = 1,
    holdout: int = 10,
    metric: str = "val/accuracy",
    ends: bool = True,
) -> str:
    """The id of a network's run with these points of a metric by epoch."""
    with place.start_network(name, {"holdout": str(holdout)}, step="sweep", tags={}) as run:
        for epoch, value in points.items():
            run.metrics({metric: value}, step=epoch)
        run.tags({"chosen_epoch": str(chosen)})
        client = MlflowClient()
        model = client.create_logged_model(place.experiment_id, source_run_id=run.id)
        client.log_outputs(run.id, [LoggedModelOutput(model.model_id, chosen)])
        if not ends:
            run.end("failed", "it diverged")
    return run.id


def sweep(place: Tracker, *ids: str, outcome: str = "finished") -> str:
    with place.start_step("sweep", "sweep", parameters={}) as step:
        # As a spreadsheet might leave it: other columns first, and a row for what failed.
        step.text("name,run_id\n" + "".join(f"n,{one}\n" for one in ids) + "n,\n", "networks.csv")
        if outcome != "finished":
            step.end(outcome)  # type: ignore[arg-type]
    return step.id


def latest(place: Tracker, metric: str = "val/accuracy") -> Selection:
    return select("sweep:latest", metric, tracker=place)


def test_accuracy_chooses_the_highest_and_loss_the_lowest(place: Tracker) -> None:
    ids = [
        network(place, name, {1: accuracy})
        for name, accuracy in (("a", 0.91), ("b", 0.95), ("c", 0.93))
    ]
    for one, loss in zip(ids, (0.2, 0.3, 0.4), strict=True):
        MlflowClient().log_metric(one, "val/loss", loss, step=1)
    sweep(place, *ids)
    assert (latest(place).run.name, latest(place).value, latest(place).compared) == ("b", 0.95, 3)
    assert latest(place, "val/loss").run.name == "a"


def test_what_counts_is_the_epoch_that_was_kept_and_not_the_last_or_the_best(
    place: Tracker,
) -> None:
    kept = network(place, "kept", {1: 0.90, 2: 0.80}, chosen=1)
    late = network(place, "late", {1: 0.99, 2: 0.85}, chosen=2)
    sweep(place, late, kept)
    assert (latest(place).run.name, latest(place).value) == ("kept", 0.90)


def test_of_equals_the_first_in_the_sweeps_order_is_taken_and_the_others_are_named(
    place: Tracker,
) -> None:
    third, first, second = (network(place, name, {1: 0.9}) for name in "cab")
    sweep(place, first, network(place, "worse", {1: 0.8}), second, third)
    assert latest(place).run.name == "a"
    assert [run.name for run in latest(place).tied] == ["b", "c"]


def test_networks_that_failed_or_were_deleted_do_not_take_part(place: Tracker) -> None:
    good = network(place, "good", {1: 0.5})
    failed = network(place, "failed", {1: 0.9}, ends=False)
    deleted = network(place, "deleted", {1: 0.9})
    MlflowClient().delete_run(deleted)
    sweep(place, failed, deleted, good, outcome="failed")
    assert (latest(place).run.name, latest(place).compared) == ("good", 1)


def test_the_latest_sweep_is_the_newest_that_was_not_killed(place: Tracker) -> None:
    old = sweep(place, network(place, "old", {1: 0.9}))
    sweep(place, network(place, "new", {1: 0.8}))
    sweep(place, network(place, "killed", {1: 0.99}), outcome="killed")
    assert latest(place).run.name == "new"
    assert select(f"sweep:{old}", "val/accuracy", tracker=place).run.name == "old"


def test_a_run_stands_for_itself_whatever_its_experiment(place: Tracker) -> None:
    one = network(place, "alone", {1: 0.9})
    elsewhere = connect(experiment="elsewhere")
    assert select(f"run:{one}", "val/accuracy", tracker=elsewhere).run.id == one


def a_step(place: Tracker) -> str:
    with place.start_step("mnist", "mnist", parameters={}) as step:
        pass
    return f"run:{step.id}"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: f"sweep:{os.urandom(16).hex()}", "sweep must be latest or the id of a run"),
        (lambda _: f"run:{os.urandom(16).hex()}", "a run must exist and not be deleted"),
        (a_step, "must be a finished network's"),
        (lambda place: f"run:{network(place, 'n', {1: 0.9}, ends=False)}", "a finished network's"),
        (lambda place: f"run:{network(place, 'n', {}, chosen=1)}", "at its chosen epoch"),
        (lambda place: f"sweep:{sweep(place)}", "a sweep must have finished networks"),
    ],
)
def test_what_holds_no_network_is_refused(
    place: Tracker, make: Callable[[Tracker], str], words: str
) -> None:
    source = make(place)
    with pytest.raises(PipelineError, match=words) as caught:
        select(source, "val/accuracy", tracker=place)
    assert len(str(caught.value).splitlines()) == 1


def test_a_network_that_was_validated_on_the_test_set_is_refused_with_the_reason(
    place: Tracker,
) -> None:
    one = network(place, "posts protocol", {1: 0.99}, holdout=0)
    sweep(place, network(place, "held out", {1: 0.5}), one)
    for source in ("sweep:latest", f"run:{one}"):
        with pytest.raises(PipelineError, match=r"got holdout=0 in 'posts protocol'.*test set"):
            select(source, "val/accuracy", tracker=place)
