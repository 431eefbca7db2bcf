"""The step `register` on a real store; but for one test no fresh process is started."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from pipeline.cli import commands
from pipeline.errors import PipelineError
from pipeline.registry import gates
from pipeline.registry.gates import Candidate, GateResult
from pipeline.registry.gates.isolation import Answers
from pipeline.registry.model_card import model_card
from pipeline.runs.publish import EXAMPLES
from pipeline.tracking import Registry

pytestmark = pytest.mark.slow

Register = Callable[..., int]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A registered model of the test's own."""
    return re.sub(r"\W", "-", request.node.name)


@pytest.fixture
def register(
    name: str, asked: Callable[[Candidate], Answers], monkeypatch: pytest.MonkeyPatch
) -> Register:
    """Runs the step in this process, where the model is asked as well, and gives its code."""

    def waved_through(given: Answers, *, isolation: str) -> GateResult:
        del given
        return GateResult(gate="loads alone", found=isolation)

    monkeypatch.setattr(gates, "ask", lambda one, **_: asked(one))
    monkeypatch.setattr(gates, "loads_alone", waved_through)
    return lambda *arguments: commands.run(["register", "--name", name, *map(str, arguments)])


@pytest.fixture
def versions(name: str, client: MlflowClient) -> Callable[[], list[ModelVersion]]:
    """The registered model's versions, oldest first."""
    return lambda: sorted(
        client.search_model_versions(f"name = '{name}'"), key=lambda one: int(one.version)
    )


@pytest.fixture
def step(name: str, client: MlflowClient) -> Callable[[], Run]:
    """The newest run of the step for this model."""

    def newest() -> Run:
        experiment = client.get_experiment_by_name("register")
        assert experiment is not None
        search = f"tags.step = 'register' and params.name = '{name}'"
        runs = client.search_runs(
            [experiment.experiment_id], search, order_by=["attributes.start_time DESC"]
        )
        return runs[0]

    return newest


Versions = Callable[[], list[ModelVersion]]
Step = Callable[[], Run]


def note(run: Run) -> str:
    return str(run.data.tags["mlflow.note.content"])


def test_the_best_network_of_a_sweep_is_registered_once_after_all_gates(
    *,
    good_id: str,
    name: str,
    versions: Versions,
    step: Step,
    client: MlflowClient,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["register", "--name", name, "--alias", "first"]
    assert commands.run(command) == 0
    [version] = versions()
    assert version.run_id == good_id
    network = client.get_run(good_id).data
    expected = {
        "arm": "relu+dropout",
        "drop_rate": "0.2",
        "seed": "0",
        "dataset": "mine",
        "dataset_digest": network.params["dataset_digest"],
        "run": good_id,
        "forced": "no",
    }
    assert {key: version.tags[key] for key in expected} == expected
    assert version.tags["test/accuracy"] == f"{network.metrics['test/accuracy']:.6g}"
    assert {key for key in version.tags if key.startswith("gate/")} == {
        "gate/loads_alone",
        "gate/no_dropout_left",
        "gate/same_logits",
        "gate/same_accuracy",
        "gate/signature_holds",
        "gate/not_worse",
    }
    assert "in a fresh process without this package" in version.tags["gate/loads_alone"]
    answer = mlflow.pyfunc.load_model(f"models:/{name}@first").predict(
        np.zeros((2, 1, 6, 5), np.float32)
    )
    assert answer.shape == (2, 3)
    registering = step()
    assert registering.data.tags["model_version"] == f"models:/{name}/1"
    assert note(registering).count("| passed") == 6

    capsys.readouterr()
    assert commands.run(command) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert len(versions()) == 1
    assert "Nothing to do" in note(step())
    assert step().info.run_id != registering.info.run_id
    assert step().data.tags["model_version"] == f"models:/{name}/1"


def test_all_is_told_before_the_alias_moves(
    name: str,
    versions: Versions,
    step: Step,
    client: MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that is killed later leaves nothing to do, and so nothing to tell."""
    command = ["register", "--name", name, "--alias", "first"]

    def refuse(*_: object) -> None:
        raise PipelineError("locked")

    with monkeypatch.context() as refusing:
        refusing.setattr(Registry, "point", refuse)
        assert commands.run(command) == 1
    refused = step()
    assert refused.data.tags["model_version"] == f"models:/{name}/1"
    assert note(refused).count("| passed") == 6
    assert commands.run(command) == 0
    [version] = versions()
    assert client.get_model_version_by_alias(name, "first").version == version.version


def test_the_model_card_says_what_a_stranger_must_know(
    register: Register, versions: Versions, step: Step, client: MlflowClient, good_id: str
) -> None:
    assert register() == 0
    [version] = versions()
    card = version.description
    accuracy = client.get_run(good_id).data.metrics["test/accuracy"]
    assert card.startswith(f"{100 * accuracy:.2f}\u00a0% of mine's test images correct: p=0.2 s0")
    assert re.findall(r"^### (.*)$", card, re.MULTILINE) == [
        "What it is",
        "How to use it",
        "How it was trained",
        "How well it does",
        "Most frequent mistakes",
        "Why its activations are zero",
        "Limits",
        "The data",
    ]
    right = round(60 * accuracy)
    assert f"**{100 * accuracy:.2f}\u00a0%** correct ({right} of 60)" in card
    for words in ("30-8-3", "(a, b, c)", "p = 0.2 on hidden layers", "Wilson", "seed 0", good_id):
        assert words in card, words
    assert "Licence: unknown" in card
    assert re.search(r"\| h1.* of 8", card)
    [path] = [
        item.path
        for item in client.list_artifacts(step().info.run_id)
        if item.path == "model_card.md"
    ]
    assert Path(client.download_artifacts(step().info.run_id, path)).read_text() == card


def test_a_registered_model_says_what_it_is_and_its_lines_run(
    register: Register,
    versions: Versions,
    name: str,
    client: MlflowClient,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert register() == 0
    model, [version] = client.get_registered_model(name), versions()
    assert model.description.startswith("Tells 3 classes (a, b, c) apart in grey images of 6 x 5")
    for text in (model.description, version.description):
        [lines] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        capsys.readouterr()
        exec(lines, {})  # noqa: S102 - the very lines that people copy
        labels = re.findall(r"\d", capsys.readouterr().out)
        assert len(labels) == EXAMPLES
        assert set(labels) <= {"0", "1", "2"}


def test_what_somebody_wrote_about_a_model_is_kept(
    register: Register, name: str, client: MlflowClient
) -> None:
    client.create_registered_model(name, description="Ours.")
    assert register() == 0
    assert client.get_registered_model(name).description == "Ours."


def test_the_card_of_a_network_without_dropout_or_relu_speaks_of_neither(good: Candidate) -> None:
    recipe = replace(good.result.recipe, drop_rate=0.0, activation="none")
    card = model_card(
        replace(good.result, recipe=recipe),
        good.confusion,
        classes=good.data.classes,
        shape=(6, 5),
        licence="CC BY-SA 3.0",
        commit=None,
        metric="val/loss",
        compared=1,
        address="models:/linear/1",
    )
    for words in ("no dropout", "it is linear", "commit unknown", "Licence: CC BY-SA 3.0"):
        assert words in card, words
    assert "dropout acted" not in card
    assert "the best of" not in card


def test_another_alias_for_the_same_network_makes_no_second_version(
    register: Register, versions: Versions, name: str, client: MlflowClient
) -> None:
    assert register("--alias", "champion") == 0
    assert register("--alias", "second") == 0
    assert len(versions()) == 1
    assert client.get_registered_model(name).aliases == {"champion": 1, "second": 1}


def test_a_better_network_takes_the_alias_from_a_worse_one(
    *,
    register: Register,
    versions: Versions,
    name: str,
    bad_id: str,
    client: MlflowClient,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert register("--from", f"run:{bad_id}") == 0
    assert register("--from", "sweep:latest") == 0
    assert len(versions()) == 2
    assert client.get_registered_model(name).aliases == {"champion": 2}
    assert "previously held by version 1" in capsys.readouterr().out


def test_a_worse_network_changes_nothing_and_the_gate_is_named(
    *,
    register: Register,
    versions: Versions,
    name: str,
    bad_id: str,
    client: MlflowClient,
    step: Step,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert register() == 0
    before = versions()
    assert register("--from", f"run:{bad_id}") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: gate 'not worse': val/accuracy must not be worse by more than")
    assert error.count("\n") == 1
    assert [dict(one) for one in versions()] == [dict(one) for one in before]
    assert client.get_registered_model(name).aliases == {"champion": 1}
    assert step().info.status == "FAILED"
    assert step().data.tags["gate"] == "not worse"
    assert (note(step()).count("| passed"), note(step()).count("| refused")) == (5, 1)


def test_force_moves_the_alias_to_a_worse_network_and_a_tag_says_so(
    register: Register, versions: Versions, name: str, bad_id: str, client: MlflowClient
) -> None:
    assert register() == 0
    assert register("--from", f"run:{bad_id}", "--force", "true") == 0
    assert client.get_registered_model(name).aliases == {"champion": 2}
    assert versions()[1].tags["forced"].startswith("forced: val/accuracy must not be worse")


@pytest.fixture
def tampered(good_id: str, client: MlflowClient) -> Iterator[None]:
    """The good network's run says one more image right, for as long as the test lasts."""
    said = client.get_run(good_id).data.metrics["test/accuracy"]
    client.log_metric(good_id, "test/accuracy", said - 1 / 60, step=2)
    yield
    client.log_metric(good_id, "test/accuracy", said, step=2)


@pytest.mark.usefixtures("tampered")
def test_a_gate_that_refuses_the_first_network_leaves_no_registered_model_behind(
    register: Register,
    name: str,
    client: MlflowClient,
    step: Step,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert register() == 1
    assert "gate 'same accuracy'" in capsys.readouterr().err
    assert client.search_registered_models(f"name = '{name}'") == []
    assert note(step()).count("| passed") == 3


def test_data_that_are_not_here_are_asked_for_with_the_command_that_brings_them(
    register: Register,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert register() == 1
    assert "prepare it with `prepare --dataset mine --source FOLDER`" in capsys.readouterr().err


def test_other_data_by_the_same_name_are_refused_with_both_digests(
    register: Register,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    other_data: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert register() == 1
    assert f"got {other_data} in 'mine'" in capsys.readouterr().err


def test_the_isolation_asked_for_is_the_one_that_is_used(
    register: Register, versions: Versions
) -> None:
    assert register("--isolation", "env") == 0
    assert versions()[0].tags["gate/loads_alone"] == "env"


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("metric", "test/accuracy", "not the test set"),
        ("metric", "test/loss", "not the test set"),
        ("metric", "train/accuracy", "chosen on held-out images"),
        ("from", "latest", "sweep:latest, sweep:RUN_ID or run:RUN_ID"),
        ("from", "run:latest", "run:RUN_ID"),
        ("from", "run:", "run:RUN_ID"),
        ("alias", "v1", "nor v and a number"),
        ("alias", "latest", "not latest"),
        ("alias", "a.b", "letters, digits"),
        ("margin", "-0.1", "at least 0"),
        ("name", "a/b", "without any of /"),
    ],
)
def test_a_setting_that_breaks_its_rule_is_refused_before_anything_starts(
    setting: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.run(["register", f"--{setting}", value]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert repr(value) in error
