"""Views in a real store: written, renewed, left alone; and what happens where that cannot be."""

import json
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipeline.tracking import Section, Tracker, View, any_of, bar_chart, line_chart, tagged
from pipeline.tracking.views import ui

PREFIX = "mlflow.sharedViewState."
VIEW = View(
    name="Zeros, and why",
    search=tagged({"kind": "network"}),
    parameters=("drop_rate",),
    metrics=("zero/h1",),
    sections=(Section("Why?", (line_chart("zero/h1"),)),),
)
OTHER = replace(VIEW, name="Other")
ID = "why-zero-zeros-and-why"
Tags = Callable[[], dict[str, str]]


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    # Importing mlflow.pytorch sets the root logger to ERROR where nobody has set it up before.
    caplog.set_level(logging.WARNING)


@pytest.fixture
def tags(client: MlflowClient, tracker: Tracker) -> Tags:
    return lambda: dict(client.get_experiment(tracker.experiment_id).tags)


def test_a_view_is_one_tag_of_the_experiment_and_has_an_address_that_opens_its_charts(
    tracker: Tracker, tags: Tags
) -> None:
    assert tracker.save_views([VIEW]) == {
        "Zeros, and why": f"http://127.0.0.1:5000/#/experiments/{tracker.experiment_id}/runs?"
        f"viewStateShareKey={ID}&compareRunsMode=CHART&workflowType=machine_learning"
    }
    assert json.loads(tags()[PREFIX + ID])["name"] == "Zeros, and why"


def test_a_later_run_renews_the_view_and_adds_no_second_one(tracker: Tracker, tags: Tags) -> None:
    tracker.save_views([VIEW, OTHER])
    before = tags()
    tracker.save_views([replace(VIEW, search="params.seed = '1'"), OTHER])
    after = tags()
    assert after.keys() == before.keys()
    old, new = (json.loads(each[PREFIX + ID]) for each in (before, after))
    assert new["state"] != old["state"]
    assert new["createdAt"] == old["createdAt"]


def test_the_menu_which_lists_the_youngest_first_has_the_views_in_their_order(
    tracker: Tracker, tags: Tags
) -> None:
    tracker.save_views([VIEW, OTHER])
    first, second = (json.loads(tags()[f"{PREFIX}{view.id}"]) for view in (VIEW, OTHER))
    assert first["createdAt"] > second["createdAt"]


def test_a_view_that_a_person_deleted_stays_deleted(
    client: MlflowClient, tracker: Tracker, tags: Tags
) -> None:
    tracker.save_views([VIEW, OTHER])
    client.delete_experiment_tag(tracker.experiment_id, PREFIX + ID)
    assert list(tracker.save_views([VIEW, OTHER])) == ["Other"]
    assert PREFIX + ID not in tags()


@pytest.mark.parametrize("key", ["name", "state", "createdAt", "digest"])
def test_a_view_that_a_person_changed_is_left_as_it_is_and_opens(
    key: str, client: MlflowClient, tracker: Tracker, tags: Tags
) -> None:
    tracker.save_views([VIEW])
    changed = json.loads(tags()[PREFIX + ID])
    changed[key] = changed[key] + 1 if key == "createdAt" else changed[key] + "!"
    client.set_experiment_tag(tracker.experiment_id, PREFIX + ID, json.dumps(changed))
    kept = tracker.save_views([replace(VIEW, search="params.seed = '1'")])
    assert json.loads(tags()[PREFIX + ID]) == changed
    assert list(kept) == ([] if key == "name" else [VIEW.name])


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}", '{"name": 1}'])
def test_whatever_else_stands_in_its_place_is_left_as_it_is(
    text: str, client: MlflowClient, tracker: Tracker, tags: Tags
) -> None:
    client.set_experiment_tag(tracker.experiment_id, PREFIX + ID, text)
    assert tracker.save_views([VIEW]) == {}
    assert tags()[PREFIX + ID] == text


def test_a_persons_own_view_of_the_same_name_is_the_one_that_opens(
    client: MlflowClient, tracker: Tracker, tags: Tags
) -> None:
    theirs = json.dumps({"name": VIEW.name, "createdAt": 1, "updatedAt": 1, "state": "{}"})
    client.set_experiment_tag(tracker.experiment_id, PREFIX + "0123", theirs)
    assert "viewStateShareKey=0123&" in tracker.save_views([VIEW])[VIEW.name]
    assert set(tags()) == {PREFIX + "0123"}


# Never worth a run


def the_warning(caplog: pytest.LogCaptureFixture) -> str:
    [record] = [each for each in caplog.records if each.name.startswith("pipeline")]
    assert record.levelno == logging.WARNING
    assert len(record.getMessage().splitlines()) == 1
    return record.getMessage()


def test_a_store_that_refuses_costs_one_warning(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise MlflowException("tags are closed")

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", refuse)
    assert tracker.save_views([VIEW, OTHER]) == {}
    assert "tags are closed" in the_warning(caplog)


def test_a_view_that_is_longer_than_a_tag_may_be_costs_one_warning(
    tracker: Tracker, caplog: pytest.LogCaptureFixture
) -> None:
    # 1,000 ids of runs are 16,000 bytes that nothing can compress, and base64 makes 21,333 of them.
    source = random.Random(0)  # noqa: S311
    ids = [f"{source.getrandbits(128):032x}" for _ in range(1000)]
    assert tracker.save_views([replace(VIEW, search=any_of(ids))]) == {}
    assert "exceeds" in the_warning(caplog)


def test_a_store_that_keeps_another_text_costs_one_warning(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write = MlflowClient.set_experiment_tag

    def cut(self: MlflowClient, experiment: str, key: str, text: str) -> None:
        write(self, experiment, key, text[:250])

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", cut)
    assert tracker.save_views([VIEW]) == {}
    assert ID in the_warning(caplog)


def test_a_ui_that_knows_the_format_no_more_costs_one_warning_and_gets_no_views(
    tracker: Tracker,
    tags: Tags,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    newer = read_installed().replace("compareRunCharts", "chartsOfComparedRuns")
    monkeypatch.setattr(ui, "_installed", lambda: newer)
    assert tracker.save_views([VIEW]) == {}
    assert "'compareRunCharts'" in the_warning(caplog)
    assert tags() == {}


def test_where_no_ui_is_installed_the_views_are_written_all_the_same(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ui, "_CODE", "none.*.js")
    assert list(tracker.save_views([VIEW])) == [VIEW.name]


def test_the_installed_ui_knows_every_word_of_a_chart(tracker: Tracker) -> None:
    code = read_installed()
    fields = [*line_chart("zero/h1"), *bar_chart("zero/h1")]
    assert [field for field in fields if field not in code] == []
    assert ui.words_it_lacks(tracker.uri, ["compareRunCharts", "no such word"]) == ["no such word"]


def read_installed() -> str:
    import mlflow.server  # noqa: PLC0415 - a second, which the other tests need not wait for

    [path] = Path(mlflow.server.__file__).parent.glob("js/build/static/js/main.*.js")
    return path.read_text(encoding="utf-8")
