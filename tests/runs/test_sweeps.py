"""Which run `latest` or an id stands for, and which networks it holds."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.errors import PipelineError
from pipeline.runs.sweeps import (
    find_sweep,
    finished_networks,
    newest_comparison,
    search_in,
    source_of,
)
from pipeline.tracking import Tracker, connect


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def tracker(
    store: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Tracker:
    monkeypatch.chdir(store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}/mlflow.db")
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return connect(experiment=request.node.name)


@pytest.fixture
def alone(tmp_path: Path, tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    """A tracker on a store without any other test's runs."""
    del tracker
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return connect()


def network(tracker: Tracker, outcome: str = "finished") -> str:
    with tracker.start_network("a network", {}, step="sweep", tags={}) as run:
        run.end(outcome)  # type: ignore[arg-type]
    return run.id


def sweep(
    tracker: Tracker, text: str | None, outcome: str = "finished", step: str = "sweep"
) -> str:
    """The id of a step's run, with this text as networks.csv."""
    with tracker.start_step(step, "the step", parameters={}) as run:
        if text is not None:
            run.text(text, "networks.csv")
        run.end(outcome)  # type: ignore[arg-type]
    return run.id


def file_of(*ids: str) -> str:
    return "name,run_id\n" + "".join(f"n,{run_id}\n" for run_id in ids)


def refusal(which: str, tracker: Tracker) -> str:
    with pytest.raises(PipelineError) as caught:
        finished_networks(find_sweep(which, tracker), tracker)
    [line] = str(caught.value).splitlines()
    return line


def test_the_latest_sweep_is_the_newest_that_ended_and_compared_its_networks(
    tracker: Tracker,
) -> None:
    sweep(tracker, file_of("older"))
    failed = sweep(tracker, file_of("some of its networks"), "failed")
    sweep(tracker, None, "failed")  # before it trained anything
    sweep(tracker, file_of("cut short"), "killed")
    sweep(tracker, file_of("no sweep"), step="compare")
    assert find_sweep("latest", tracker).id == failed


def test_an_id_may_be_that_of_any_step_that_has_compared_networks(tracker: Tracker) -> None:
    compared = sweep(tracker, file_of("a"), step="main")
    sweep(tracker, file_of("b"))
    assert find_sweep(compared, tracker).id == compared


def test_the_own_experiment_comes_before_those_that_are_named(tracker: Tracker) -> None:
    elsewhere = connect(experiment=f"not {tracker.experiment_id}")
    there = sweep(elsewhere, file_of("there"))
    name = MlflowClient().get_experiment(elsewhere.experiment_id).name
    assert find_sweep("latest", tracker, experiments=(name,)).id == there
    assert find_sweep("latest", tracker, experiments=("auto", name)).id == there
    here = sweep(tracker, file_of("here"))
    assert find_sweep("latest", tracker, experiments=(name, "auto")).id == here
    found = search_in((name, "auto", name), "tags.kind = 'step'", tracker)
    assert [run.id for run in found] == [here, there]


def test_its_networks_come_in_its_order_without_those_that_failed_or_are_gone(
    tracker: Tracker, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [network(tracker) for _ in range(4)]
    MlflowClient().delete_run(ids[1])
    failed = network(tracker, "failed")
    # As a spreadsheet may leave it: a row twice, and one without an id.
    text = file_of(ids[3], ids[0], failed, ids[3], "", ids[1], ids[2])
    run = find_sweep(sweep(tracker, text), tracker)
    assert [found.id for found in finished_networks(run, tracker)] == [ids[3], ids[0], ids[2]]
    assert "1 of the sweep's 5 networks no longer exist" in caplog.text


def test_where_the_experiment_has_no_sweep_the_newest_of_the_store_is_meant(
    alone: Tracker,
) -> None:
    """As after a sweep in an experiment with a name, or by an older version."""
    elsewhere = connect(experiment="elsewhere")
    trained = network(elsewhere)
    there = sweep(elsewhere, file_of(trained))
    found = find_sweep("latest", alone)
    assert found.id == there
    assert [run.id for run in finished_networks(found, alone)] == [trained]
    assert source_of(found, alone) == f"'the step' (run {there}, experiment 'elsewhere')"
    assert f"experiments/{elsewhere.experiment_id}/runs/{there}" in found.page
    here = sweep(alone, file_of("here"))
    sweep(elsewhere, file_of("newer, but elsewhere"))
    assert find_sweep("latest", alone).id == here


def test_without_a_sweep_the_newest_main_is_meant(alone: Tracker) -> None:
    """So that a network can be registered after the README's first command."""
    sweep(alone, file_of("older"), step="main")
    main = sweep(alone, file_of("newer"), step="main")
    assert find_sweep("latest", alone).id == main
    swept = sweep(connect(experiment="elsewhere"), file_of("there"))
    assert find_sweep("latest", alone).id == main
    assert newest_comparison(alone) is not None
    here = sweep(alone, file_of("here"))
    later = sweep(alone, file_of("newest"), step="main")
    assert find_sweep("latest", alone).id == here
    comparison = newest_comparison(alone)
    assert comparison is not None
    assert comparison.id == later
    assert swept != here


def test_a_sweep_is_found_by_its_id_in_any_experiment(alone: Tracker) -> None:
    there = sweep(connect(experiment="elsewhere"), file_of("there"))
    assert find_sweep(there, alone).id == there


def test_where_there_is_no_such_sweep_one_line_says_so(alone: Tracker) -> None:
    assert newest_comparison(alone) is None
    assert "got none that has in the store: run sweep or main first" in refusal("latest", alone)
    assert "got 'abc', which does not exist or was deleted" in refusal("abc", alone)
    empty = sweep(alone, None)
    assert f"a sweep that has compared its networks, got {empty!r}" in refusal(empty, alone)
    with pytest.raises(PipelineError, match="an experiment must exist, got 'nowhere'"):
        find_sweep("latest", alone, experiments=("nowhere",))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name\nn\n", "must name its networks, got no column run_id in"),
        ("", "must name its networks, got no column run_id in"),
        (file_of(), "must have finished networks, got none of 0 in networks.csv of 'the step'"),
        (file_of("gone"), "must have finished networks, got none of 1 in networks.csv"),
    ],
)
def test_a_sweep_without_a_network_is_one_line(tracker: Tracker, text: str, line: str) -> None:
    sweep(tracker, text)
    assert line in refusal("latest", tracker)
