"""The step `compact`: the smaller network is a network like any other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from pipeline.cli import commands
from pipeline.config.recipe import Recipe
from pipeline.config.settings import parsed
from pipeline.data import as_input, prepared
from pipeline.runs.load import load_result
from pipeline.tracking import connect

pytestmark = pytest.mark.slow
Runs = Callable[..., list[Run]]
# Behind a hidden layer nothing is negative, so some units are born dead.
SETTINGS = (
    *("--epochs", "1", "--widths", "8,32,24", "--mask-passes", "0", "--batch-size", "10"),
    *("--drop-rate", "0.2", "--output-dropout", "false", "--data", "mine"),
)


@dataclass(frozen=True)
class Pair:
    """A trained network and what became of it.

    Attributes:
        folder: the working folder.
        original: the run of the trained network.
        smaller: the run of the compacted one.
    """

    folder: Path
    original: Run
    smaller: Run

    def weights(self, run: Run) -> dict[str, Tensor]:
        return load_file(connect().artifact(run.info.run_id, "state_dict.safetensors"))


def entering(folder: Path, store: str, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(folder)
    patch.setenv("MLFLOW_TRACKING_URI", store)
    patch.setenv("MLFLOW_EXPERIMENT_NAME", "compacting")
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        patch.delenv(name, raising=False)


def runs_of(store: str, **tags: str) -> list[Run]:
    client = MlflowClient(store)
    found = client.get_experiment_by_name("compacting")
    assert found is not None
    search = " and ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
    return list(client.search_runs([found.experiment_id], search))


def section(card: str) -> str:
    """What a card says of compacting."""
    return card.split("### What was removed")[1].split("###", maxsplit=1)[0]


@pytest.fixture(scope="module")
def pair(store: str, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A network with dead units, whose data set is at hand by its name, and the smaller one."""
    folder = tmp_path_factory.mktemp("compacting")
    with pytest.MonkeyPatch.context() as patch:
        entering(folder, store, patch)
        assert commands.run(["prepare", "--dataset", "mine", "--source", str(small)]) == 0
        assert commands.run(["mnist", *SETTINGS, "--holdout", "50"]) == 0
        [original] = runs_of(store, kind="network")
        assert commands.run(["compact", "--from", f"run:{original.info.run_id}"]) == 0
        [smaller] = runs_of(store, kind="compacted")
    return Pair(folder, original, smaller)


@pytest.fixture
def here(pair: Pair, store: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    entering(pair.folder, store, monkeypatch)
    return pair


def test_the_smaller_network_has_the_rows_and_columns_that_are_not_dead(here: Pair) -> None:
    before, after = here.weights(here.original), here.weights(here.smaller)
    layers = load_result(connect().run(here.original.info.run_id), connect()).chosen.layers
    alive = [~layer.states.dead for layer in layers if layer.states]
    assert all(0 < states.sum() < len(states) for states in alive)
    inputs, outputs = np.ones(30, bool), np.ones(3, bool)
    ends = [inputs, *alive, outputs]
    for number in range(1, 5):
        rows, columns = ends[number], ends[number - 1]
        weight = before[f"linear{number}.weight"][torch.from_numpy(rows)]
        assert torch.equal(after[f"linear{number}.weight"], weight[:, torch.from_numpy(columns)])
    widths = ",".join(str(states.sum()) for states in alive)
    assert here.smaller.data.params == here.original.data.params | {"widths": widths}


def test_both_sizes_scores_and_differences_are_in_its_run(here: Pair) -> None:
    metrics = here.smaller.data.metrics
    # 30-8-32-24-3: 240 + 256 + 768 + 72 products, 8 + 32 + 24 + 3 biases.
    assert metrics["compact/multiplications_before"] == 1336
    assert metrics["compact/parameters_before"] == 1336 + 67
    first, second, third = parsed(Recipe, here.smaller.data.params).widths
    products = 30 * first + first * second + second * third + third * 3
    assert metrics["compact/multiplications_after"] == products
    assert metrics["compact/parameters_after"] == products + first + second + third + 3
    test = {key: here.original.data.metrics[f"test/{key}"] for key in ("accuracy", "loss")}
    for key, value in test.items():
        assert metrics[f"compact/test_{key}_before"] == value
        assert metrics[f"test/{key}"] == pytest.approx(value, rel=1e-5)
        expected = here.original.data.metrics[f"val/{key}"]
        assert metrics[f"val/{key}"] == pytest.approx(expected, rel=1e-5)
    assert metrics["compact/largest_difference"] < 1e-5
    assert {"compact/held_out_difference", "compact/held_out_changed"} <= metrics.keys()
    described = here.smaller.data.tags["mlflow.note.content"]
    assert f"{metrics['compact/parameters_after']:,.0f}" in described
    assert here.original.info.run_id in described


def test_it_is_not_counted_among_the_trained_networks(here: Pair, store: str) -> None:
    assert here.smaller.data.tags["compacted_from"] == here.original.info.run_id
    assert [run.info.run_id for run in runs_of(store, kind="network")] == [
        here.original.info.run_id
    ]


def test_its_records_are_those_of_the_units_that_are_left(here: Pair) -> None:
    tracker = connect()
    before, after = (
        load_result(tracker.run(run.info.run_id), tracker) for run in (here.original, here.smaller)
    )
    assert [record.epoch for record in after.history] == [0, 1]
    for old, new in zip(before.history, after.history, strict=True):
        for was, layer in zip(old.layers[:-1], new.layers, strict=False):
            dead = before.chosen.layers[int(was.name[1:]) - 1].states.dead
            assert layer.states.fired.tolist() == was.states.fired[~dead].tolist()
            assert layer.causes.active.tolist() == was.causes.active[~dead].tolist()
    assert not any(layer.states.dead.any() for layer in after.chosen.layers[:-1])


def test_it_is_registered_asked_and_exported_like_any_other(
    here: Pair, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = here.smaller.info.run_id
    assert commands.run(["register", "--from", f"run:{run_id}", "--name", "smaller"]) == 0
    card = MlflowClient(store).get_model_version_by_alias("smaller", "champion").description
    accuracy = f"{100 * here.original.data.metrics['test/accuracy']:.2f}"
    assert section(card).count(accuracy) == 2
    data = prepared("mine")
    answers = mlflow.pyfunc.load_model("models:/smaller@champion").predict(
        as_input(data.test_images).numpy()
    )
    original = mlflow.pyfunc.load_model(connect().run(here.original.info.run_id).model)
    expected = original.predict(as_input(data.test_images).numpy())
    assert np.abs(answers - expected).max() < 1e-5
    Image.fromarray(data.test_images[0].numpy()).save(tmp_path / "image.png")
    capsys.readouterr()
    command = ["predict", "--model", "models:/smaller@champion", "--why", "true", "--format"]
    assert commands.run([*command, "json", "--passes", "3", str(tmp_path / "image.png")]) == 0
    assert f'"label": "{expected[0].argmax()}"' in capsys.readouterr().out
    out = tmp_path / "smaller.zip"
    command = ["export", "--model", "models:/smaller@champion", "--out", str(out)]
    assert commands.run(command) == 0
    with ZipFile(out) as bundle:
        [name] = [name for name in bundle.namelist() if name.endswith("model_card.md")]
        assert section(bundle.read(name).decode()) == section(card)
    assert commands.run(["import", "--bundle", str(out), "--to", f"sqlite:///{tmp_path}/b.db"]) == 0


def test_what_was_compacted_is_not_compacted_again_unless_forced(
    here: Pair, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compact", "--from", f"run:{here.original.info.run_id}"]
    before = len(runs_of(store, kind="compacted"))
    assert commands.run(command) == 0
    assert "already compacted" in capsys.readouterr().out
    assert len(runs_of(store, kind="compacted")) == before
    assert commands.run([*command, "--force", "true"]) == 0
    assert len(runs_of(store, kind="compacted")) == before + 1


def test_a_network_without_dead_units_stays_one(
    here: Pair, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(runs_of(store, kind="compacted"))
    assert commands.run(["compact", "--from", f"run:{here.smaller.info.run_id}"]) == 0
    assert "no dead units to remove" in capsys.readouterr().out
    assert len(runs_of(store, kind="compacted")) == before


def test_a_linear_network_that_the_test_set_validated_has_nothing_to_remove(
    here: Pair, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert here
    settings = (*SETTINGS, "--holdout", "0", "--activation", "none")
    assert commands.run(["mnist", *settings]) == 0
    [linear] = [r for r in runs_of(store, kind="network") if r.data.params["holdout"] == "0"]
    capsys.readouterr()
    assert commands.run(["compact", "--from", f"run:{linear.info.run_id}"]) == 0
    assert "no dead units to remove" in capsys.readouterr().out
    MlflowClient(store).delete_run(linear.info.run_id)


def test_a_run_that_is_no_networks_is_refused_in_a_line(
    here: Pair, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert here
    step = runs_of(store, step="prepare")[0].info.run_id
    assert commands.run(["compact", "--from", f"run:{step}"]) == 1
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "must be a finished network's" in shown
