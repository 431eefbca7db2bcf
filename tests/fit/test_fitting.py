"""What becomes of every network, whatever other processes do and whatever fails."""

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient

from pipeline import spare
from pipeline.config.recipe import Recipe
from pipeline.console import Console
from pipeline.data import ImageData
from pipeline.errors import Interrupted, OutOfMemoryError, PipelineError
from pipeline.fit import FitContext, Fitted, Task, fit, fitting, members
from pipeline.plots import RenderPool
from pipeline.records import EpochRecord
from pipeline.runs.load import load_failure
from pipeline.tracking import FoundRun, connect
from pipeline.training.stack import Stack
from pipeline.workers import job

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
RECIPE = Recipe(widths=(5, 4), epochs=1, batch_size=20, holdout=10, mask_passes=0)
Publish = Callable[..., Any]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture
def context(
    store: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> FitContext:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    tracker = connect(experiment=request.node.name)
    return FitContext(tracker=tracker, console=Console(), step="t", tags={})


@pytest.fixture(scope="module")
def data() -> ImageData:
    source = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (60, 4, 4), dtype=torch.uint8, generator=source)
    labels = torch.arange(60) % 3
    return ImageData(
        name="noise",
        train_images=images[:40],
        train_labels=labels[:40],
        test_images=images[40:],
        test_labels=labels[40:],
        classes=("a", "b", "c"),
        digest="0" * 32,
        source="nowhere",
        licence="none",
    )


@pytest.fixture
def tasks(data: ImageData) -> list[Task]:
    """Three networks of one stack."""
    return [
        Task(recipe=replace(RECIPE, drop_rate=rate), data=data, device=CPU)
        for rate in (0.0, 0.3, 0.6)
    ]


def rates(fitted: Fitted) -> list[float]:
    return [result.recipe.drop_rate for result in fitted.results]


def networks(context: FitContext) -> list[FoundRun]:
    """The ended runs of networks, oldest first."""
    return context.tracker.search("tags.kind = 'network'")[::-1]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The drop rates of the networks that are published, in order."""
    publish, seen = members.publish, list[float]()

    def noted(run: object, recipe: Recipe, **rest: object) -> object:
        seen.append(recipe.drop_rate)
        return publish(run, recipe, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(members, "publish", noted)
    return seen


def refusing(publish: Publish, *refused: float, error: BaseException) -> Publish:
    """A `publish` that raises for the networks with these drop rates."""

    def publish_or_raise(run: object, recipe: Recipe, **rest: object) -> object:
        if recipe.drop_rate in refused:
            raise error
        return publish(run, recipe, **rest)

    return publish_or_raise


FULL = PipelineError("the disk must have room, got none: make room")


def overtake(
    monkeypatch: pytest.MonkeyPatch, context: FitContext, tasks: list[Task], *, is_removed: bool
) -> None:
    """Have another process finish the first of these tasks between planning and training.

    Args:
        monkeypatch: plants it.
        context: of both processes.
        tasks: of one stack.
        is_removed: whether the other process has removed the checkpoint as well.
    """
    plan = fitting._train_all

    def overtaken(stack_runs: Any, *rest: Any) -> Any:  # noqa: ANN401
        monkeypatch.setattr(fitting, "_train_all", plan)
        others = [task.recipe.drop_rate for task in tasks[1:]]
        with monkeypatch.context() as other:
            other.setattr(members, "publish", refusing(members.publish, *others, error=FULL))
            assert rates(fit(tasks, context)) == [tasks[0].recipe.drop_rate]
        if is_removed:
            [run] = stack_runs
            run.checkpoint.remove()
        return plan(stack_runs, *rest)

    monkeypatch.setattr(fitting, "_train_all", overtaken)


def scarce(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Let no more networks than these fit into memory once something has been trained."""
    epochs = job.epochs

    def limited(stack: Stack, *rest: object, **named: object) -> Iterator[tuple[EpochRecord, ...]]:
        if len(stack.recipes) > most and (any(named["so_far"]) or len(stack.recipes) == 2):
            raise torch.OutOfMemoryError("CUDA out of memory")
        yield from epochs(stack, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(job, "epochs", limited)


@pytest.mark.parametrize("is_removed", [False, True])
def test_halves_of_a_stack_leave_alone_what_another_process_has_finished(
    context: FitContext,
    tasks: list[Task],
    published: list[float],
    monkeypatch: pytest.MonkeyPatch,
    is_removed: bool,
) -> None:
    overtake(monkeypatch, context, tasks, is_removed=is_removed)
    scarce(monkeypatch, 1)
    fitted = fit(tasks, context)
    assert (rates(fitted), fitted.failures) == ([0.0, 0.3, 0.6], {})
    assert published == [0.0, 0.3, 0.6]
    finished = [run for run in networks(context) if run.tags["outcome"] == "finished"]
    assert sorted(run.parameters["drop_rate"] for run in finished) == ["0", "0.3", "0.6"]
    assert list(context.checkpoints.iterdir()) == []


@pytest.mark.parametrize("is_removed", [False, True])
@pytest.mark.parametrize("error", [FULL, OutOfMemoryError("memory must do, got none: add some")])
def test_what_another_process_has_finished_is_no_failure_of_the_stack_that_fails(
    context: FitContext,
    tasks: list[Task],
    monkeypatch: pytest.MonkeyPatch,
    is_removed: bool,
    error: PipelineError,
) -> None:
    overtake(monkeypatch, context, tasks[:2], is_removed=is_removed)
    conduct = fitting.conduct

    def fail(run: Any, *rest: Any, **named: Any) -> Any:  # noqa: ANN401
        if len(run.waiting) == 1:
            raise error
        return conduct(run, *rest, **named)

    monkeypatch.setattr(fitting, "conduct", fail)
    fitted = fit(tasks[:2], context)
    assert rates(fitted) == [0.0]
    assert fitted.failures == {tasks[1].name: str(error)}


def test_a_network_that_diverged_is_told_from_one_that_failed_otherwise(
    context: FitContext, data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Task(
        recipe=replace(RECIPE, activation="none", learning_rate=1e30), data=data, device=CPU
    )
    [failure] = fit([task], context).failed
    assert failure.has_diverged
    assert failure.recipe == task.recipe
    [run] = networks(context)
    assert load_failure(run) == failure
    monkeypatch.setattr(members, "publish", refusing(members.publish, 0.3, error=FULL))
    [other] = fit(
        [Task(recipe=replace(RECIPE, drop_rate=0.3), data=data, device=CPU)], context
    ).failed
    assert not other.has_diverged


def test_an_error_that_is_not_the_projects_own_fails_the_network_it_met_alone(
    context: FitContext,
    tasks: list[Task],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="pipeline")
    broken = RuntimeError("the graph is not\nto be had")
    monkeypatch.setattr(members, "publish", refusing(members.publish, 0.3, error=broken))
    fitted = fit(tasks, context)
    assert rates(fitted) == [0.0, 0.6]
    assert fitted.failures == {tasks[1].name: "RuntimeError: the graph is not"}
    ends = {run.parameters["drop_rate"]: run.tags for run in networks(context)}
    assert [ends[rate]["outcome"] for rate in ("0", "0.3", "0.6")] == [
        "finished",
        "failed",
        "finished",
    ]
    assert ends["0.3"]["reason"] == "RuntimeError: the graph is not"
    [record] = [one for one in caplog.records if one.name.startswith("pipeline") and one.exc_info]
    assert record.levelno == logging.DEBUG
    assert "Traceback" in caplog.text


def test_a_signal_while_a_network_is_published_ends_all(
    context: FitContext, tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    signal = Interrupted(15)
    monkeypatch.setattr(members, "publish", refusing(members.publish, 0.3, error=signal))
    with pytest.raises(Interrupted):
        fit(tasks, context)
    outcomes = {run.parameters["drop_rate"]: run.tags["outcome"] for run in networks(context)}
    assert outcomes == {"0": "finished", "0.3": "killed", "0.6": "killed"}


def test_a_network_goes_on_in_the_smallest_of_its_stacks_and_the_others_where_they_were(
    context: FitContext, tasks: list[Task]
) -> None:
    first, second, _ = tasks
    both = fitting._begin([first, second], context).checkpoint
    alone = fitting._begin([first], context).checkpoint
    smallest, rest = fitting._stack_runs([first, second], context)
    assert (smallest.checkpoint.identity, smallest.waiting) == (alone.identity, [first])
    assert (rest.checkpoint.identity, rest.waiting) == (both.identity, [second])
    # What concerns nothing but networks that go on elsewhere is left to whoever trains from it.
    fitting._begin([first], context)
    with both.locked():
        assert len(fitting._stack_runs([first], context)) == 1
        assert both.is_there


def points(context: FitContext, run_id: str) -> dict[str, list[tuple[int, float]]]:
    """Every point of a run but those of the clock, as often as the store has them."""
    client = MlflowClient(context.tracker.uri)
    return {
        key: sorted((p.step, p.value) for p in client.get_metric_history(run_id, key))
        for key in client.get_run(run_id).data.metrics
        if not key.startswith(("speed/", "system/"))
    }


def test_what_is_damaged_is_trained_anew_in_the_same_runs_with_nothing_doubled(
    context: FitContext,
    tasks: list[Task],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Two networks are stopped after epoch 1 of 2, and a bit of a file flips meanwhile."""
    two = [replace(task, recipe=replace(task.recipe, epochs=2)) for task in tasks[:2]]
    monkeypatch.setattr(members.Member, "_publish", lambda *_, **__: "published")
    undisturbed = replace(context, tracker=connect(experiment="undisturbed"))
    fit(two, replace(undisturbed, checkpoints=Path("elsewhere")))
    expected = {r.parameters["drop_rate"]: points(context, r.id) for r in networks(undisturbed)}

    def stop(records: Any, *_: object) -> None:  # noqa: ANN401
        if records.epoch == 1:
            raise Interrupted(15)

    for file in ("state.safetensors", "records-0000.safetensors", "plan.json", None):
        tracker = connect(experiment=f"damaged {file}")
        damaged = replace(context, tracker=tracker, checkpoints=Path(f"of {file}"))
        with monkeypatch.context() as first:
            first.setattr(members.Member, "log", stopping(stop))
            with pytest.raises(Interrupted):
                fit(two, damaged)
        [folder] = damaged.checkpoints.iterdir()
        if file is None:
            (folder / "state.safetensors").unlink()
        else:
            content = bytearray((folder / file).read_bytes())
            content[-3] ^= 4
            (folder / file).write_bytes(content)
        caplog.clear()
        fit(two, damaged)
        assert len(caplog.records) == (file is not None), caplog.text
        assert all("trained from scratch, in the same runs" in r.message for r in caplog.records)
        runs = networks(damaged)
        assert {r.parameters["drop_rate"]: points(context, r.id) for r in runs} == expected
        assert [run.tags["outcome"] for run in runs] == ["finished"] * 2


@pytest.mark.parametrize("when", ["while it is trained", "while it is published"])
def test_a_network_whose_run_is_deleted_fails_alone(
    context: FitContext,
    tasks: list[Task],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    when: str,
) -> None:
    client, publish = MlflowClient(context.tracker.uri), members.publish

    def delete_after_epoch(record: EpochRecord) -> None:
        if (record.epoch, record.member) == (0, 2):
            delete()

    def delete_and_publish(run: object, recipe: Recipe, **rest: object) -> object:
        if recipe.drop_rate == 0.3:
            delete()
        return publish(run, recipe, **rest)  # type: ignore[arg-type]

    def delete() -> None:
        [run] = context.tracker._stored("params.drop_rate = '0.3'")
        client.delete_run(run.info.run_id)

    with monkeypatch.context() as disturbed:
        if when == "while it is trained":
            disturbed.setattr(members.Member, "log", stopping(delete_after_epoch))
        else:
            disturbed.setattr(members, "publish", delete_and_publish)
        fitted = fit(tasks, context)
    assert rates(fitted) == [0.0, 0.6]
    [(name, reason)] = fitted.failures.items()
    assert name == tasks[1].name
    assert reason.startswith("a run must not be deleted while its network is trained, got ")
    assert caplog.text == ""
    assert [run.tags["outcome"] for run in networks(context)] == ["finished"] * 2
    for run in networks(context):
        system = points_of(client, run.id, "system/cpu_utilization_percentage")
        assert len(system) >= 2
    assert rates(fit(tasks, context)) == [0.0, 0.3, 0.6]
    assert len(networks(context)) == 3


def points_of(client: MlflowClient, run_id: str, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run_id, key)]


def test_a_model_whose_epoch_was_trained_twice_has_the_points_of_its_run(
    context: FitContext, tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(members, "publish", refusing(members.publish, 0.0, error=Interrupted(15)))
        with pytest.raises(Interrupted):
            fit(tasks[:1], context)
    [folder] = context.checkpoints.iterdir()
    (folder / "state.safetensors").unlink()
    [result] = fit(tasks[:1], context).complete()
    client = MlflowClient(context.tracker.uri)
    run = client.get_run(result.run_id)
    logged = {
        (key, point.step, point.value)
        for key in run.data.metrics
        for point in client.get_metric_history(result.run_id, key)
    }
    kinds = {(key, step) for key, step, _ in logged}
    assert ("speed/epoch_seconds", 1) in kinds
    assert len(logged) == len(kinds)  # one point a step
    [output] = run.outputs.model_outputs
    of_model = client.get_logged_model(output.model_id).metrics
    chosen = {point for point in logged if point[1] == 1 and not point[0].startswith("system/")}
    assert {(m.key, m.step, m.value) for m in of_model} == chosen


def stopping(stop: Callable[..., None]) -> Callable[..., None]:
    """`Member.log`, which may be stopped once it has logged."""
    log = members.Member.log

    def log_and_stop(self: members.Member, record: EpochRecord) -> None:
        log(self, record)
        stop(record)

    return log_and_stop


def test_networks_that_another_process_trains_are_no_failures(
    context: FitContext, tasks: list[Task]
) -> None:
    begun = fitting._begin(tasks[:2], context).checkpoint
    with begun.locked():
        fitted = fit(tasks, context)
    assert rates(fitted) == [0.6]
    assert fitted.failures == {}
    with pytest.raises(PipelineError, match="another process trains 2 of the networks"):
        fitted.complete()
    assert rates(fit(tasks, context)) == [0.0, 0.3, 0.6]


def test_a_lost_checkpoint_folder_makes_no_second_runs(
    context: FitContext, tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(members, "publish", refusing(members.publish, 0.0, error=Interrupted(15)))
        with pytest.raises(Interrupted):
            fit(tasks[:1], context)
    shutil.rmtree(context.checkpoints)
    assert rates(fit(tasks[:1], context)) == [0.0]
    [run] = networks(context)
    assert run.tags["outcome"] == "finished"
    assert [step for step, _ in points(context, run.id)["val/loss"]] == [0, 1]
    # Asked for again by force it is another network.
    assert rates(fit(tasks[:1], replace(context, is_forced=True))) == [0.0]
    assert len(networks(context)) == 2


def test_a_checkpoint_belongs_to_its_experiment_wherever_the_working_folder_is_moved(
    context: FitContext,
    tasks: list[Task],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = tmp_path_factory.mktemp("before")
    after = before.with_name("after")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{before}/mlflow.db")
    monkeypatch.chdir(before)
    first = replace(context, tracker=connect())
    begun = fitting._begin(tasks[:1], first).checkpoint
    before.rename(after)
    monkeypatch.chdir(after)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{after}/mlflow.db")
    moved = replace(context, tracker=connect())
    assert moved.tracker.identity == first.tracker.identity
    [found] = fitting._stack_runs(tasks[:1], moved)
    assert found.checkpoint.identity == begun.identity
    # Another experiment is another place for runs.
    other = replace(context, tracker=connect(experiment="another"))
    assert [one.checkpoint.identity for one in fitting._stack_runs(tasks[:1], other)] != [
        begun.identity
    ]


def test_what_publishing_needs_is_made_while_another_process_trains(
    context: FitContext,
    tasks: list[Task],
    published: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The graph, which all share, and the process that draws."""
    monkeypatch.setenv(spare.WORKERS, "1")
    made, export, begin = list[tuple[str, int]](), torch.export.export, RenderPool.begin

    def traced(*given: Any, **how: Any) -> Any:  # noqa: ANN401
        made.append(("graph", len(published)))
        return export(*given, **how)

    def begun(pool: RenderPool) -> None:
        made.append(("drawing", len(published)))
        begin(pool)

    monkeypatch.setattr(torch.export, "export", traced)
    monkeypatch.setattr(RenderPool, "begin", begun)
    assert len(fit(tasks[1:], context).results) == 2
    assert made == [("drawing", 0), ("graph", 0)]
