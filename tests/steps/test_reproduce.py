"""The step `reproduce`, on real files and a real store."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.comparison.statistics import estimate
from pipeline.config.recipe import Recipe
from pipeline.errors import PipelineError
from pipeline.steps import reproduce
from pipeline.studies import Evidence, Findings, Network, Study
from pipeline.studies.figures import Line, lines_figure
from pipeline.studies.study import Finding, Published

pytestmark = pytest.mark.slow

Runs = Callable[..., list[Run]]
Pipeline = Callable[..., int]
SCHEDULE = {"epochs": 1, "batch_size": 50, "holdout": 50, "probe_every": 1, "mask_passes": 0}


def learned(evidence: Evidence) -> Findings:
    """A row and a picture of the test accuracies, which also reads weights and data."""
    ours = estimate([100 * result.test.accuracy for result in evidence.results])
    assert {evidence.weights(r)["linear1.weight"].shape for r in evidence.results} == {(4, 30)}
    published = Published(value=0.0, where="table 1")
    row = Finding(what="test accuracy", ours=ours, published=published, rule="at least")
    figure = lines_figure(
        "A finding", "A caption", {"": [Line("ours", {1.0: ours})]}, across="x", up="y", ticks={}
    )
    return Findings(rows=[row], figures={"accuracy": figure})


def missing(_: Evidence) -> Findings:
    raise PipelineError("a data set must be available, got none")


def a_study(find: Callable[[Evidence], Findings], data: Path, rates: tuple[float, ...]) -> Study:
    networks = [
        Network(Recipe(widths=(4,), drop_rate=rate, **SCHEDULE), str(data)) for rate in rates
    ]
    return Study(title="T.", source="S.", quick="less.", find=find, networks=lambda _: networks)


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch, small: Path) -> None:
    """Two studies in the place of the published ones: one that is found, and one that fails."""
    made = {"notebook": a_study(missing, small, ()), "post": a_study(learned, small, (0.0, 0.5))}
    monkeypatch.setattr(reproduce, "STUDIES", made)


def artifacts(store: str, run: Run, folder: str | None = None) -> set[str]:
    return {item.path for item in MlflowClient(store).list_artifacts(run.info.run_id, folder)}


@pytest.mark.usefixtures("studies")
def test_a_study_is_a_run_with_its_table_figures_source_and_networks(
    pipeline: Pipeline, runs: Runs, store: str
) -> None:
    assert pipeline("reproduce", "--study", "post", "--device", "cpu") == 0
    [run] = runs(kind="step")
    assert run.data.tags["study"] == "post"
    assert run.data.tags["outcome"] == "finished"
    assert artifacts(store, run) == {"findings.md", "findings.csv", "plots", "networks.csv"}
    assert artifacts(store, run, "plots") == {"plots/accuracy.png"}
    assert run.data.metrics == {"values/compared": 1, "values/agree": 1}
    note = run.data.tags["mlflow.note.content"]
    assert "test accuracy" in note
    assert "Source: S." in note
    networks = runs(kind="network", study="post")
    assert {network.data.params["drop_rate"] for network in networks} == {"0", "0.5"}
    assert {network.data.tags["pipeline"] for network in networks} == {run.info.run_id}


@pytest.mark.usefixtures("studies")
def test_a_network_that_exists_is_not_trained_again(pipeline: Pipeline, runs: Runs) -> None:
    for _ in range(2):
        assert pipeline("reproduce", "--study", "post", "--device", "cpu") == 0
    assert len(runs(kind="step")) == 2
    assert len(runs(kind="network")) == 2


@pytest.mark.usefixtures("studies")
def test_of_all_studies_one_that_fails_does_not_stop_the_others(
    pipeline: Pipeline, runs: Runs, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pipeline("reproduce", "--device", "cpu") == 1
    assert "1 of 2 studies failed: notebook: a data set must be" in capsys.readouterr().err
    whole, failed, done = runs(kind="step")
    assert [run.data.tags["outcome"] for run in (whole, failed, done)] == [
        "failed",
        "failed",
        "finished",
    ]
    assert {run.data.tags["pipeline"] for run in (failed, done)} == {whole.info.run_id}
    page = Path(MlflowClient(store).download_artifacts(whole.info.run_id, "studies.md"))
    text = page.read_text("utf-8")
    assert "| `post` | 1 of 1 agree | – |" in text
    assert "## post" in text
    assert "`notebook` failed: a data set" in whole.data.tags["mlflow.note.content"]


def test_a_study_without_networks_runs_as_it_is_published(
    pipeline: Pipeline, runs: Runs, store: str
) -> None:
    assert pipeline("reproduce", "--study", "notebook") == 0
    [run] = runs(kind="step")
    assert run.data.metrics == {"values/compared": 28, "values/agree": 28}
    assert artifacts(store, run) == {"findings.md", "findings.csv"}


def test_a_study_that_does_not_exist_is_refused_with_the_names(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pipeline("reproduce", "--study", "potsdam") == 2
    assert "study must be one of all, notebook, post" in capsys.readouterr().err
