"""Registered models on a real store: versions, aliases, and what a failure leaves behind."""

import mlflow
import pytest
from mlflow import MlflowClient

from pipeline.errors import PipelineError, UsageError
from pipeline.tracking import Registry, Tracker, Version


@pytest.fixture
def registry(tracker: Tracker) -> Registry:
    return tracker.registry


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A registered model of the test's own."""
    return str(request.node.name)


def created(registry: Registry, name: str, tracker: Tracker, run_id: str) -> Version:
    model = tracker.run(run_id).model
    assert model is not None
    return registry.create(name, model, run_id=run_id, tags={"arm": "relu"}, description="*card*")


def test_a_version_has_what_it_was_made_with(
    registry: Registry, name: str, tracker: Tracker, good_id: str
) -> None:
    made = created(registry, name, tracker, good_id)
    assert made == Version(
        name=name,
        version=1,
        run_id=good_id,
        source=str(tracker.run(good_id).model),
        tags={"arm": "relu"},
        aliases=(),
        description="*card*",
    )
    assert registry.find(made.address) == made


def test_versions_are_counted_up_and_listed_newest_first(
    registry: Registry, name: str, tracker: Tracker, good_id: str
) -> None:
    assert registry.versions(name) == []
    first, second = (created(registry, name, tracker, good_id) for _ in range(2))
    assert [one.version for one in registry.versions(name)] == [2, 1]
    assert registry.of_run(name, good_id) == second
    assert registry.of_run(name, "0" * 32) is None
    assert first.version == 1


def test_an_alias_moves_and_is_never_held_twice(
    registry: Registry, name: str, tracker: Tracker, good_id: str
) -> None:
    first, second = (created(registry, name, tracker, good_id) for _ in range(2))
    assert registry.holder(name, "champion") is None
    for version in (first, second):
        registry.point("champion", version)
        registry.point("newest", version)
        held = registry.find(f"models:/{name}@champion")
        assert held.version == version.version
        assert sorted(held.aliases) == ["champion", "newest"]
    assert registry.find(first.address).aliases == ()


def test_a_registered_model_loads_by_its_alias(
    registry: Registry, name: str, tracker: Tracker, good_id: str
) -> None:
    registry.point("champion", created(registry, name, tracker, good_id))
    assert mlflow.pytorch.load_model(f"models:/{name}@champion").state_dict().keys()


def test_tags_are_set_over_their_old_values(
    registry: Registry, name: str, tracker: Tracker, good_id: str
) -> None:
    registry.tag(created(registry, name, tracker, good_id), {"arm": "linear", "seed": "0"})
    assert registry.versions(name)[0].tags == {"arm": "linear", "seed": "0"}


def test_what_is_too_long_for_a_database_is_cut(
    registry: Registry, name: str, tracker: Tracker, good_id: str
) -> None:
    model = str(tracker.run(good_id).model)
    long = "x" * 6000
    made = registry.create(name, model, run_id=good_id, tags={"a": long}, description=long)
    assert (len(made.description), len(made.tags["a"])) == (5000, 5000)


@pytest.mark.parametrize("which", ["@other", "/7"])
def test_a_version_that_is_not_there_is_refused_with_those_that_are(
    registry: Registry, name: str, tracker: Tracker, good_id: str, which: str
) -> None:
    name = name.partition("[")[0]
    registry.point("champion", created(registry, name, tracker, good_id))
    with pytest.raises(PipelineError, match=r"has .*1, @champion"):
        registry.find(f"models:/{name}{which}")


def test_a_model_that_nobody_registered_is_refused(registry: Registry) -> None:
    with pytest.raises(PipelineError, match="register it first"):
        registry.find("models:/nobody@champion")
    with pytest.raises(UsageError, match="models:/NAME@ALIAS"):
        registry.find("models:/nobody")


def test_a_version_that_cannot_be_made_leaves_no_registered_model(
    registry: Registry, name: str, client: MlflowClient, good_id: str
) -> None:
    with pytest.raises(PipelineError, match="not found"):
        registry.create(name, f"models:/m-{'0' * 32}", run_id=good_id, tags={}, description="")
    assert client.search_registered_models(f"name = '{name}'") == []


def test_a_version_that_cannot_be_made_leaves_the_others(
    registry: Registry, name: str, tracker: Tracker, good_id: str
) -> None:
    made = created(registry, name, tracker, good_id)
    with pytest.raises(PipelineError):
        registry.create(name, f"models:/m-{'0' * 32}", run_id=good_id, tags={}, description="")
    assert registry.versions(name) == [made]


def test_a_version_is_made_in_its_own_store_whatever_the_environment_names(
    registry: Registry,
    name: str,
    tracker: Tracker,
    good_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = str(tracker.run(good_id).model)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere/at/all.db")
    assert registry.create(name, model, run_id=good_id, tags={}, description="").version == 1
