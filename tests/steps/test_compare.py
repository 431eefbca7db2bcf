"""The step `compare`, over networks that were really trained and stored."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline import comparison
from pipeline.config.recipe import Recipe
from pipeline.console import Console
from pipeline.data import prepared
from pipeline.fit import FitContext, Task, fit
from pipeline.records.result import DIVERGED
from pipeline.tracking import connect

pytestmark = pytest.mark.slow

Runs = Callable[..., list[Run]]
Pipeline = Callable[..., int]
SWEPT = "swept"


@pytest.fixture(scope="module")
def swept(store: str, small: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The ids of four networks of a sweep, in an experiment with runs that are no such thing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("swept"))
        patch.setenv("MLFLOW_TRACKING_URI", store)
        tracker = connect(experiment=SWEPT)
        console = Console()
        with tracker.start_step("sweep", "the sweep", parameters={}) as step:
            context = FitContext(
                tracker=tracker,
                console=console,
                step="sweep",
                tags={"sweep": step.id},
            )
            common = {"widths": (8,), "epochs": 1, "holdout": 100, "batch_size": 50}
            recipes = [
                Recipe(drop_rate=rate, seed=seed, **common)
                for rate in (0.0, 0.5)
                for seed in (0, 1)
            ]
            data = prepared(str(small))
            tasks = [
                Task(recipe=recipe, data=data, device=torch.device("cpu")) for recipe in recipes
            ]
            results = fit(tasks, context).complete()
            comparison.publish(
                step,
                results,
                comparison.compare(results),
                console=console,
                origin="this sweep",
                failures={"relu seed 7": "NaN"},
            )
            lost = replace(recipes[-1], seed=2)
            where = {
                "device": "cpu",
                "dataset": data.name,
                "dataset_digest": data.digest,
            }
            tags = {"sweep": step.id, "device_name": results[0].device_name}
            run = tracker.start_network("lost", lost.parameters | where, step="sweep", tags=tags)
            run.end("failed", f"{DIVERGED}, got NaN")
        with tracker.start_step("sweep", "killed", parameters={}) as step:
            step.end("killed")
        tracker.start_network("relu", {}, step="sweep", tags={}).end("failed", "NaN")
        tracker.start_network("toy", {}, step="toy", tags={}).end("finished")
        tracker.start_network("foreign", {}, step="mnist", tags={}).end("finished")
    return [result.run_id for result in results]


def networks_of(run: Run, store: str) -> list[str]:
    path = MlflowClient(store).download_artifacts(run.info.run_id, "networks.csv")
    rows = csv.DictReader(io.StringIO(Path(path).read_text(encoding="utf-8")))
    return [row["run_id"] for row in rows]


def test_the_newest_sweep_that_came_to_an_end_is_compared(
    pipeline: Pipeline, runs: Runs, store: str, swept: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert pipeline("compare", "--experiments", SWEPT) == 0
    [run] = runs(step="compare")
    assert networks_of(run, store) == swept
    client = MlflowClient(store)
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {
        "networks.csv",
        "comparison.csv",
        "plots",
        "report",
    }
    [picture] = client.list_artifacts(run.info.run_id, "plots")
    assert picture.path == "plots/drop_rates.png"
    assert run.data.metrics["networks"] == 4
    assert run.data.metrics["chosen/drop_rate"] in {0.0, 0.5}
    [page] = client.list_artifacts(run.info.run_id, "report")
    assert page.path == "report/comparison.html"
    described = run.data.tags["mlflow.note.content"]
    assert f"runs/{run.info.run_id}/artifacts/report/comparison.html" in described
    assert all(network in described for network in swept)
    shown = capsys.readouterr()
    assert "accuracy on the held-out images" in shown.out
    for text in (shown.out, described):
        words = " ".join(text.split())
        assert "over seeds 0 and 1 alone, which all groups compared have: 0 lacks seed 2." in words
        assert "Diverged, but not among the seeds compared: seed 2 of 0.5." in words
    assert f"runs/{run.info.run_id}" in shown.out.splitlines()[-1]
    assert shown.err == ""


def test_a_sweep_that_failed_before_it_compared_is_not_the_latest(
    pipeline: Pipeline, runs: Runs, store: str, swept: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with connect().start_step("sweep", "a sweep", parameters={}) as failed:
        failed.end("failed", "the disk is full")
    assert pipeline("compare", "--experiments", f"auto,{SWEPT}") == 0
    [run] = runs(step="compare")
    assert networks_of(run, store) == swept
    assert pipeline("compare", "--sweep", failed.id) == 1
    assert "the id of a sweep that has compared its networks" in capsys.readouterr().err


def test_links_lead_to_the_experiment_that_a_network_is_in(
    pipeline: Pipeline, runs: Runs, swept: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert pipeline("compare", "--experiments", SWEPT) == 0
    assert f"experiment '{SWEPT}')" in capsys.readouterr().out
    [run] = runs(step="compare")
    described = run.data.tags["mlflow.note.content"]
    there = MlflowClient().get_run(swept[0]).info.experiment_id
    assert there != run.info.experiment_id
    assert all(f"#/experiments/{there}/runs/{network}" in described for network in swept)


def test_a_sweep_is_found_by_its_id(
    pipeline: Pipeline, runs: Runs, store: str, swept: list[str]
) -> None:
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name(SWEPT)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], "tags.`mlflow.runName` = 'the sweep'")
    sweep = found[0].info.run_id
    assert pipeline("compare", "--sweep", sweep, "--experiments", f"auto,{SWEPT}") == 0
    [run] = runs(step="compare")
    assert networks_of(run, store) == swept


def test_a_search_takes_finished_networks_alone_and_says_what_it_skips(
    pipeline: Pipeline, runs: Runs, store: str, swept: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    search = "attributes.status != 'RUNNING'"
    assert pipeline("compare", "--search", search, "--experiments", SWEPT) == 0
    [run] = runs(step="compare")
    assert sorted(networks_of(run, store)) == sorted(swept)
    # The two sweeps; the failed networks; the toy's; and one without a history.
    assert "skipped 6 of 10 runs" in caplog.text
    for reason in ("2 not networks", "2 failed", "1 from the toy", "1 unreadable"):
        assert reason in caplog.text


def test_part_of_a_sweep_is_found_by_parameter(
    pipeline: Pipeline, runs: Runs, store: str, swept: list[str]
) -> None:
    search = "params.drop_rate = '0.5'"
    assert pipeline("compare", "--search", search, "--experiments", SWEPT) == 0
    [run] = runs(step="compare")
    assert sorted(networks_of(run, store)) == sorted(swept[2:])


@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize(
    ("search", "is_warned_of"),
    [
        ("metrics.`val/accuracy` >= 0", True),
        ("params.drop_rate = '0.5' and metric.`val/loss` > 0", True),
        ("params.drop_rate = '0.5'", False),
        ("tags.arm != 'metrics.loss > 0' and tags.`kind` = 'network'", False),
        ("attributes.run_name != 'metric'", False),
    ],
)
def test_a_search_is_warned_of_if_and_only_if_it_is_by_a_metric(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture, search: str, is_warned_of: bool
) -> None:
    assert pipeline("compare", "--search", search, "--experiments", SWEPT) == 0
    assert ("selects networks by their results" in caplog.text) == is_warned_of


@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--search", "nonsense"), "a search must be a filter that MLflow understands, got 'nons"),
        (("--search", "params.drop_rate = 0.5"), "such as params.drop_rate = '0.5'"),
        (
            ("--search", "params.drop_rate = '0.77'"),
            "got 0 runs for the search params.drop_rate = '0.77'",
        ),
        (("--search", "tags.kind = 'step'"), "must be finished networks to compare, got 2 runs"),
        (("--sweep", "abc"), "sweep must be latest or the id of a run, got 'abc'"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    pipeline: Pipeline,
    runs: Runs,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    line: str,
) -> None:
    assert pipeline("compare", *arguments, "--experiments", SWEPT) == 1
    shown = capsys.readouterr().err
    assert line in shown
    assert shown.count("\n") == 1
    assert runs() == []


def test_a_store_without_a_sweep_is_one_line(
    pipeline: Pipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/empty.db")
    assert pipeline("compare") == 1
    assert "the latest sweep must have compared its networks" in capsys.readouterr().err


def test_a_sweep_and_a_search_together_are_refused(
    pipeline: Pipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pipeline("compare", "--sweep", "abc", "--search", "tags.kind = 'network'") == 2
    assert "sweep must stay at latest with a search" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
