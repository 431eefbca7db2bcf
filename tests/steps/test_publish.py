"""What a sweep with keep=chosen leaves out, and the step `publish`, which makes it later."""

import io
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from safetensors.torch import load_file

from pipeline.cli import commands
from pipeline.config.recipe import Recipe
from pipeline.fit import stack_run
from pipeline.runs import complete
from pipeline.tracking import Tracker, connect
from pipeline.training.stack import plain, read_weights

pytestmark = pytest.mark.slow

RATES, SEEDS = "0,0.2,0.3,0.4,0.5,0.6,0.7", "0-3"
QUICK = (
    *("--devices", "cpu", "--epochs", "1", "--widths", "6,4", "--batch-size", "50"),
    *("--holdout", "50", "--probe-every", "1", "--mask-passes", "1", "--data", "small"),
)
ALWAYS = {
    "history.safetensors", "state_dict.safetensors", "confusion.csv",
    "validation_right.safetensors",
}  # fmt: skip
# Beside these the summary, nine pictures, two frames of the film and their small copies.
WHOLE = len(ALWAYS) + 1 + 9 + 4
# The name of a frame ends in the time and a random number.
NAMELESS = re.compile(r"(\+step\+\d+).*?((\+compressed)?\.\w+)$")


@dataclass
class Swept:
    """What a sweep of 28 networks with keep=chosen has left; each test takes what it changes.

    Attributes:
        shown: what it has printed.
        bare: the run ids of networks that have no pictures and no model.
    """

    shown: str
    bare: list[str]

    def take(self, many: int) -> list[str]:
        """Some that no other test has."""
        return [self.bare.pop() for _ in range(many)]


def run(*arguments: str) -> int:
    return commands.run(arguments)


def entering(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Work in this folder, on its store, in one experiment."""
    patch.chdir(folder)
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    patch.setenv("MLFLOW_EXPERIMENT_NAME", "publish")
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        patch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("publish")


@pytest.fixture(scope="module")
def swept(folder: Path, small: Path) -> Swept:
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as said:
        entering(folder, patch)
        assert run("prepare", "--dataset", "small", "--source", str(small)) == 0
        axes = ("--drop-rates", RATES, "--seeds", SEEDS)
        assert run("sweep", *QUICK, *axes, "--keep", "chosen") == 0
        tracker = connect()
        networks = tracker.search("tags.kind = 'network'")
        bare = [one.id for one in networks if contents(tracker, one.id).keys() == ALWAYS]
    return Swept(said.getvalue(), bare)


@pytest.fixture(autouse=True)
def _place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entering(folder, monkeypatch)


@pytest.fixture
def bare(swept: Swept) -> list[str]:
    """The run ids of two networks without pictures and model."""
    return swept.take(2)


def again(run_id: str, *arguments: str) -> int:
    """Ask once more for this one network."""
    recipe = connect().run(run_id).parameters
    axes = ("--drop-rates", recipe["drop_rate"], "--seeds", recipe["seed"])
    return run("sweep", *QUICK, *axes, *arguments)


def contents(tracker: Tracker, run_id: str) -> dict[str, bytes]:
    """The files of a run by their places; it must not hold two for one place."""
    files = tracker.files(run_id)
    by_place = {NAMELESS.sub(r"\1\2", path): tracker.artifact(run_id, path) for path in files}
    assert len(by_place) == len(files)
    return {place: file.read_bytes() for place, file in by_place.items()}


def models(run_id: str) -> list[Any]:
    client = MlflowClient()
    return list(
        client.search_logged_models(
            [client.get_run(run_id).info.experiment_id], f"source_run_id = '{run_id}'"
        )
    )


def points(run_id: str) -> dict[str, list[tuple[int, float]]]:
    """Every point of a run that does not depend on the clock, as often as the store has it."""
    client = MlflowClient()
    return {
        key: sorted((p.step, p.value) for p in client.get_metric_history(run_id, key))
        for key in client.get_run(run_id).data.metrics
        if not key.startswith(("speed/", "system/"))
    }


def test_the_networks_that_the_report_names_have_all_and_the_others_what_cannot_be_made_again(
    folder: Path, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del folder
    with pytest.MonkeyPatch.context() as patch:
        entering(tmp_path, patch)
        axes = ("--drop-rates", "0,0.3,0.6", "--seeds", "0-1")
        assert run("sweep", *QUICK, *axes, "--data", str(small), "--keep", "chosen") == 0
        tracker = connect()
        networks = tracker.search("tags.kind = 'network'")
        [step] = tracker.search("tags.kind = 'step'")
        counts = {one.id: len(contents(tracker, one.id)) for one in networks}
        of_models = {one.id: [model.status.name for model in models(one.id)] for one in networks}
    chosen = step.metrics["chosen/drop_rate"]
    whole = [one for one in networks if counts[one.id] == WHOLE]
    assert sorted(counts.values()) == [len(ALWAYS)] * 3 + [WHOLE] * 3
    assert [float(one.parameters["drop_rate"]) for one in whole].count(chosen) == 2
    assert all(of_models[one.id] == ["READY"] * (one in whole) for one in networks)
    assert all("mlflow.note.content" in one.tags for one in networks)
    shown = capsys.readouterr().out
    assert "keep=chosen: 3 of 6 networks with pictures and model" in shown
    assert f"why-zero publish sweep:{step.id}" in shown


def test_what_is_made_later_is_to_the_byte_what_is_made_at_once(
    bare: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("publish", ",".join(bare)) == 0
    made = "2 of 2 networks: pictures and model made from history and weights, without training"
    assert made in capsys.readouterr().out
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "at once")
    # The same stack: in another one losses agree to rounding alone.
    assert run("sweep", *QUICK, "--drop-rates", RATES, "--seeds", SEEDS) == 0
    tracker = connect()
    at_once = {one.name: one.id for one in tracker.search("tags.kind = 'network'")}
    for run_id in bare:
        later = tracker.run(run_id)
        expected = at_once[later.name]
        files, others = contents(tracker, run_id), contents(tracker, expected)
        assert len(files) == WHOLE
        assert files.keys() == others.keys()
        # It holds seconds.
        assert {place for place in files if files[place] != others[place]} == {
            "history.safetensors"
        }
        assert points(run_id) == points(expected)
        [values], [of_other] = (
            [{m.key: (m.step, m.value) for m in model.metrics} for model in models(one)]
            for one in (run_id, expected)
        )
        assert values.keys() == of_other.keys()
        assert all(values[key] == of_other[key] for key in values if "speed/" not in key)
        assert values["speed/epoch_seconds"] == (1, later.metrics["speed/epoch_seconds"])
        assert later.tags["outcome"] == "finished"


def test_the_graph_that_is_made_later_has_the_networks_bits(
    bare: list[str],
) -> None:
    assert run("publish", *bare) == 0
    tracker = connect()
    for run_id in bare:
        [model] = models(run_id)
        folder = Path(str(model.artifact_location).removeprefix("file://"))
        graph = torch.export.load(folder / "data" / "model.pt2")
        file = tracker.artifact(run_id, "state_dict.safetensors")
        weights = load_file(file)
        assert graph.state_dict.keys() == weights.keys()
        assert all(torch.equal(graph.state_dict[key], weights[key]) for key in weights)
        recipe = Recipe(widths=(6, 4))
        images = torch.rand(7, 1, 6, 5)
        network = plain(recipe, read_weights(file, recipe)).eval()
        torch.testing.assert_close(graph.module()(images), network(images))


def test_published_again_there_is_nothing_to_do(
    bare: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("publish", bare[0]) == 0
    tracker = connect()
    before = tracker.files(bare[0])
    capsys.readouterr()
    assert run("publish", bare[0], f"run:{bare[0]}") == 0
    assert "nothing to do: 1 network, nothing is missing" in capsys.readouterr().out
    assert tracker.files(bare[0]) == before
    assert len(models(bare[0])) == 1


def test_a_server_is_asked_for_no_history_of_a_network_whose_last_epoch_is_kept(
    bare: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    ask = MlflowClient.get_metric_history

    def noted(client: MlflowClient, run_id: str, key: str) -> Any:  # noqa: ANN401
        asked.append(key)
        return ask(client, run_id, key)

    monkeypatch.setattr(MlflowClient, "get_metric_history", noted)
    assert run("publish", *bare) == 0
    assert asked == []
    assert [len(models(run_id)) for run_id in bare] == [1, 1]


class Dead(BaseException):
    """The process ends here."""


WRITES = (
    (MlflowClient, "create_logged_model", True), (MlflowClient, "log_outputs", True),
    (MlflowClient, "log_model_artifacts", False), (MlflowClient, "finalize_logged_model", False),
    (LocalArtifactRepository, "log_artifact", False),
)  # fmt: skip


def test_killed_again_and_again_and_begun_once_more_it_makes_the_rest_without_a_double(
    bare: list[str],
) -> None:
    """At last a picture of the film is lost as well: then all of it is made again."""
    tracker, run_id = connect(), bare[0]
    for owner, write, is_done in WRITES:
        whole = getattr(owner, write)

        def die(*given: Any, **named: Any) -> None:  # noqa: ANN401
            if is_done:  # noqa: B023 - called in this turn alone
                whole(*given, **named)  # noqa: B023
            raise Dead

        with pytest.MonkeyPatch.context() as dying:
            dying.setattr(owner, write, die)
            with pytest.raises(Dead):
                run("publish", run_id)
        # It still counts as finished, whatever it lacks: it is not trained again.
        found = tracker.finished(tracker.run(run_id).tags["fingerprint"])
        assert found is not None
        assert found.id == run_id
    assert run("publish", run_id) == 0
    small, _ = [path for path in tracker.files(run_id) if path.endswith(".webp")]
    tracker.artifact(run_id, small).unlink()
    assert run("publish", run_id) == 0
    assert len(contents(tracker, run_id)) == WHOLE
    [model] = models(run_id)
    assert model.status.name == "READY"
    outputs = MlflowClient().get_run(run_id).outputs.model_outputs
    assert [output.model_id for output in outputs] == [model.model_id]
    assert all(len({step for step, _ in one}) == len(one) for one in points(run_id).values())


def test_asked_for_all_what_a_finished_network_lacks_is_made_and_nothing_is_trained(
    bare: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing is to be trained")

    monkeypatch.setattr(stack_run, "Job", refuse)
    capsys.readouterr()
    assert again(bare[0]) == 0
    shown = capsys.readouterr().out
    tracker = connect()
    name = tracker.run(bare[0]).name
    assert f"{name}: already trained (run {bare[0]})" in shown
    assert f"{name}: pictures and model made from history and weights, without training" in shown
    assert len(contents(tracker, bare[0])) == WHOLE
    assert len(models(bare[0])) == 1


def test_other_data_are_refused_and_the_run_stays_as_it_was(
    bare: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("publish", bare[0], bare[1], "--data", "mnist") == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "2 of 2 networks could not be published" in line
    assert "a network must be published with the data it was trained on" in line
    tracker = connect()
    assert contents(tracker, bare[0]).keys() == ALWAYS
    assert models(bare[0]) == []


def test_a_network_whose_weights_are_lost_fails_alone(
    bare: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = connect()
    tracker.artifact(bare[0], "state_dict.safetensors").unlink()
    assert run("publish", *bare) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert f"1 of 2 networks could not be published: {bare[0]}: an artifact must exist" in line
    assert [len(models(run_id)) for run_id in bare] == [0, 1]


def test_a_picture_that_somebody_has_removed_is_drawn_again_and_no_other(
    bare: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("publish", bare[0]) == 0
    tracker = connect()
    before = contents(tracker, bare[0])
    tracker.artifact(bare[0], "plots/units.png").unlink()
    drawn: list[list[str]] = []
    draw = complete.draw
    monkeypatch.setattr(
        complete,
        "draw",
        lambda *given, **named: drawn.append([*named["wanted"]]) or draw(*given, **named),
    )
    assert run("publish", bare[0]) == 0
    assert drawn == [["units"]]
    assert contents(tracker, bare[0]) == before


def test_a_network_without_pictures_is_registered_explored_and_compacted(
    bare: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = connect()
    name = tracker.run(bare[0]).name
    assert run("explore", bare[1], "--out", "page.html") == 0
    assert run("compact", "--from", f"run:{bare[1]}") == 0
    assert models(bare[1]) == []  # neither needs one
    capsys.readouterr()
    assert run("register", "--from", f"run:{bare[0]}", "--force", "true") == 0
    shown = capsys.readouterr().out
    assert f"{name}: pictures and model made from history and weights, without training" in shown
    assert "gate loads alone" in shown
    [model] = models(bare[0])
    version = tracker.registry.of_run("dropout-mnist", bare[0])
    assert version is not None
    assert version.run_id == bare[0]
    assert model.status.name == "READY"


def test_a_network_without_relu_has_no_film_and_lacks_nothing(
    tmp_path: Path, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        entering(tmp_path, patch)
        axes = ("--drop-rates", "0,0.5", "--seeds", "0", "--activations", "none")
        assert run("sweep", *QUICK, *axes, "--data", str(small)) == 0
        assert run("publish", "sweep:latest") == 0
    assert "nothing to do: 2 networks, nothing is missing" in capsys.readouterr().out
