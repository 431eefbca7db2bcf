"""Models on a real temporary SQLite store: the same numbers, for any batch, without pickle."""

import copy
import math
import multiprocessing
import resource
import shutil
import signal
from collections import OrderedDict
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow.models import Model, get_model_info
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.tracking import (
    Run,
    SavedModels,
    Tracker,
    connect,
    log_model,
    models,
    save_weights,
)
from pipeline.training.stack import PixelScale, Stack, plain


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> "tuple[Tracker, Run, nn.Sequential, str]":
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        tracker = connect(experiment="models")
        torch.manual_seed(0)
        network = nn.Sequential(
            OrderedDict(
                linear1=nn.Linear(6, 8),
                relu1=nn.ReLU(),
                dropout1=nn.Dropout(0.5),
                linear2=nn.Linear(8, 3),
                dropout2=nn.Dropout(0.5),
            )
        )
        with tracker.start_network("a", {"seed": "0"}, step="t", tags={"fingerprint": "f"}) as run:
            at_ms = run.series([(0, {"val/loss": 2.0}), (1, {"val/loss": 1.0})])
            measured = {"val/loss": 1.0, "gap": math.nan}
            address = log_model(
                run, network, example=rows(4), metrics=measured, step=1, at_ms=at_ms
            )
            save_weights(network, folder)
            run.file(folder / "state_dict.safetensors")
            status_inside = mlflow.MlflowClient().get_run(run.id).info.status
        assert status_inside == "RUNNING"
    return tracker, run, network, address


@pytest.fixture(autouse=True)
def _store(
    logged: tuple[Tracker, Run, nn.Sequential, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", logged[0].uri)
    monkeypatch.delenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", raising=False)


def rows(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(count).random((count, 6), dtype=np.float32)


def evaluated(network: nn.Sequential, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    first, last = network[0], network[3]
    hidden = np.maximum(batch @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0)
    output: NDArray[np.float32] = (
        hidden @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    )
    return output


@pytest.mark.parametrize("count", [1, 2, 7, 10_000])
def test_a_loaded_model_gives_the_networks_outputs_without_dropout_for_any_batch(
    logged: tuple[Tracker, Run, nn.Sequential, str], count: int
) -> None:
    _, _, network, address = logged
    with torch.no_grad():
        given = mlflow.pytorch.load_model(address)(torch.from_numpy(rows(count))).numpy()
    np.testing.assert_allclose(given, evaluated(network, rows(count)), rtol=1e-5, atol=1e-6)


def test_the_generic_flavour_predicts_from_numpy(
    logged: tuple[Tracker, Run, nn.Sequential, str],
) -> None:
    _, _, network, address = logged
    given = mlflow.pyfunc.load_model(address).predict(rows(7))
    np.testing.assert_allclose(given, evaluated(network, rows(7)), rtol=1e-5, atol=1e-6)


def test_the_network_given_stays_as_it_was(
    logged: tuple[Tracker, Run, nn.Sequential, str],
) -> None:
    network = logged[2]
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_the_signature_leaves_the_batch_open_and_the_example_is_kept(
    logged: tuple[Tracker, Run, nn.Sequential, str],
) -> None:
    info = get_model_info(logged[3])
    assert [spec.shape for spec in info.signature.inputs.inputs] == [(-1, 6)]
    assert [spec.shape for spec in info.signature.outputs.inputs] == [(-1, 3)]
    assert {"pytorch", "python_function"} <= info.flavors.keys()
    example = Model.load(logged[3]).load_input_example()
    np.testing.assert_array_equal(example, rows(4))


def test_the_requirements_are_the_running_versions_and_no_more(
    logged: tuple[Tracker, Run, nn.Sequential, str], tmp_path: Path
) -> None:
    folder = mlflow.artifacts.download_artifacts(logged[3], dst_path=str(tmp_path))
    running = torch.__version__.partition("+")[0]
    assert set(Path(folder, "requirements.txt").read_text().split()) == {
        f"mlflow=={mlflow.__version__}",
        f"numpy=={np.__version__}",
        f"torch=={running}",
    }


def test_the_state_dict_is_an_artifact_that_rebuilds_the_network(
    logged: tuple[Tracker, Run, nn.Sequential, str],
) -> None:
    tracker, run, network, _ = logged
    stored = load_file(tracker.artifact(run.id, "state_dict.safetensors"))
    assert stored.keys() == network.state_dict().keys()
    assert all(torch.equal(stored[key], value) for key, value in network.state_dict().items())


def test_a_model_belongs_to_its_run_and_has_its_parameters_and_the_steps_metrics(
    logged: tuple[Tracker, Run, nn.Sequential, str],
) -> None:
    tracker, run, _, address = logged
    model = mlflow.MlflowClient().get_logged_model(address.removeprefix("models:/"))
    assert (model.experiment_id, model.source_run_id) == (tracker.experiment_id, run.id)
    assert model.status.name == "READY"
    assert model.params == {"seed": "0"}
    assert [(metric.key, metric.value) for metric in model.metrics] == [("val/loss", 1.0)]
    assert tracker.history(run.id, "val/loss") == [(0, 2.0), (1, 1.0)]
    found = tracker.finished("f")
    assert found is not None
    assert found.model == address


def test_logging_a_model_leaves_no_active_run() -> None:
    assert mlflow.active_run() is None


def test_an_example_of_one_row_is_refused(
    logged: tuple[Tracker, Run, nn.Sequential, str],
) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        log_model(logged[1], logged[2], example=rows(1), metrics={}, step=0, at_ms=0)


@pytest.mark.parametrize("value", [-0.01, 1.01, 255, np.nan, np.inf, -np.inf])
def test_the_graph_refuses_what_is_no_number_within_its_bounds(
    logged: tuple[Tracker, Run, nn.Sequential, str], value: float
) -> None:
    batch = rows(3)
    batch[1, 2] = value
    model = mlflow.pytorch.load_model(logged[3])
    with pytest.raises(RuntimeError, match=r"every input must be a number in \[0, 1\]"):
        model(torch.from_numpy(batch))
    model(torch.from_numpy(np.array([[0, 1, 0, 1, 0, 1]], np.float32)))


def test_bounds_can_be_others(logged: tuple[Tracker, Run, nn.Sequential, str]) -> None:
    tracker, _, network, _ = logged
    with tracker.start_network("b", {}, step="t", tags={}) as run:
        address = log_model(
            run, network, example=rows(2), metrics={}, step=0, at_ms=0, bounds=(-2.0, 2.0)
        )
    model = mlflow.pytorch.load_model(address)
    batch = 4 * rows(2) - 2
    np.testing.assert_allclose(
        model(torch.from_numpy(batch)).detach(), evaluated(network, batch), rtol=1e-5, atol=1e-6
    )
    with pytest.raises(RuntimeError, match=r"a number in \[-2, 2\]"):
        model(torch.full((1, 6), 2.5))


class Dead(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("lost", ["the weights", "the artifacts"])
def test_a_finished_run_without_its_weights_does_not_count_and_says_so(
    logged: tuple[Tracker, Run, nn.Sequential, str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    lost: str,
) -> None:
    tracker, _, network, _ = logged
    save_weights(network, tmp_path)
    with tracker.start_network("lost", {}, step="t", tags={"fingerprint": lost}) as run:
        run.folder(tmp_path)
    assert tracker.finished(lost) is not None  # it needs no model
    weights = tracker.artifact(run.id, "state_dict.safetensors")
    if lost == "the weights":
        weights.unlink()
    else:
        shutil.rmtree(weights.parent)
    assert caplog.text == ""
    assert tracker.finished(lost) is None
    [record] = caplog.records
    assert "a finished run must have its files, got none at" in record.message
    assert run.id in record.message


def test_a_model_whose_files_were_lost_is_written_again_and_has_one_address(
    logged: tuple[Tracker, Run, nn.Sequential, str],
) -> None:
    tracker, _, network, _ = logged
    with tracker.start_network("bare", {}, step="t", tags={"fingerprint": "bare"}) as run:
        address = log_model(run, network, example=rows(2), metrics={}, step=0, at_ms=0)
    assert tracker.has_model(tracker.run(run.id))
    model = mlflow.MlflowClient().get_logged_model(address.removeprefix("models:/"))
    shutil.rmtree(str(model.artifact_location).removeprefix("file://"))
    assert not tracker.has_model(tracker.run(run.id))
    adding = tracker.adding_to(tracker.run(run.id))
    again = log_model(adding, network, example=rows(2), metrics={}, step=0, at_ms=0)
    assert again == address
    assert tracker.has_model(tracker.run(run.id))
    assert mlflow.pytorch.load_model(address)(torch.zeros(5, 6)).shape == (5, 3)
    assert mlflow.MlflowClient().get_run(run.id).info.status == "FINISHED"


WRITES = (
    "create_logged_model", "log_outputs", "log_batch", "log_model_artifacts",
    "finalize_logged_model",
)  # fmt: skip


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", WRITES)
def test_a_model_whose_process_died_at_a_write_is_completed_without_a_double(
    logged: tuple[Tracker, Run, nn.Sequential, str],
    monkeypatch: pytest.MonkeyPatch,
    write: str,
    is_done: bool,
) -> None:
    tracker, _, network, _ = logged
    client, whole = mlflow.MlflowClient(), getattr(mlflow.MlflowClient, write)

    def die(*given: object, **named: object) -> None:
        if is_done:
            whole(*given, **named)
        raise Dead

    run = tracker.start_network("killed", {"seed": "1"}, step="t", tags={})
    at_ms = run.metrics({"val/loss": 1.5, "zero/h1": 0.5}, step=3)
    # As it happens: the number of a sample of the system is that of the epoch.
    run.metrics({"system/cpu_utilization_percentage": 9.0}, step=3)
    measured = {"val/loss": 1.5, "zero/h1": 0.5}
    monkeypatch.setattr(mlflow.MlflowClient, write, die)
    with pytest.raises(Dead):
        log_model(run, network, example=rows(2), metrics=measured, step=3, at_ms=at_ms)
    monkeypatch.setattr(mlflow.MlflowClient, write, whole)
    again = tracker.reopen(run.id, "killed")
    address = log_model(again, network, example=rows(2), metrics=measured, step=3, at_ms=at_ms)
    again.end("finished")
    of_run = f"source_run_id = '{run.id}'"
    [model] = client.search_logged_models([tracker.experiment_id], of_run)
    assert (model.model_uri, model.status.name) == (address, "READY")
    assert {(metric.key, metric.value) for metric in model.metrics} == set(measured.items())
    outputs = client.get_run(run.id).outputs.model_outputs
    assert [(output.model_id, output.step) for output in outputs] == [(model.model_id, 3)]
    for key, value in measured.items():
        assert tracker.history(run.id, key) == [(3, value)]
    assert mlflow.pytorch.load_model(address)(torch.zeros(5, 6)).shape == (5, 3)


def test_a_creation_that_was_repeated_as_its_answer_was_lost_leaves_one_model(
    logged: tuple[Tracker, Run, nn.Sequential, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker, _, network, _ = logged
    create = mlflow.MlflowClient.create_logged_model

    def twice(*given: object, **named: object) -> object:
        create(*given, **named)
        return create(*given, **named)

    monkeypatch.setattr(mlflow.MlflowClient, "create_logged_model", twice)
    with tracker.start_network("doubled", {}, step="t", tags={}) as run:
        address = log_model(run, network, example=rows(2), metrics={}, step=0, at_ms=0)
    of_run = f"source_run_id = '{run.id}'"
    models = mlflow.MlflowClient().search_logged_models([tracker.experiment_id], of_run)
    assert [model.model_uri for model in models] == [address]


def test_networks_of_one_architecture_are_traced_once_and_keep_their_own_numbers(
    logged: tuple[Tracker, Run, nn.Sequential, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They differ in weights and in drop rates, which do nothing when a model answers."""
    tracker, _, network, _ = logged
    traced, export = [], torch.export.export
    monkeypatch.setattr(
        torch.export, "export", lambda *given, **how: traced.append(1) or export(*given, **how)
    )
    other = copy.deepcopy(network)
    other.dropout1 = nn.Dropout(0.1)
    with torch.no_grad():
        other.linear1.weight.add_(0.5)
    without = copy.deepcopy(network)
    del without.dropout1
    wider = nn.Sequential(OrderedDict(linear1=nn.Linear(6, 9), linear2=nn.Linear(9, 3)))
    saved, addresses = SavedModels(), []
    for number, each in enumerate((network, other, without, wider)):
        with tracker.start_network(f"{number}", {}, step="t", tags={}) as run:
            at_ms = run.metrics({"a": 1.0}, step=0)
            given = {"example": rows(2), "metrics": {"a": 1.0}, "step": 0, "at_ms": at_ms}
            addresses.append(log_model(run, each, saved=saved, **given))
    assert len(traced) == 2
    for each, address in zip((network, other, without, wider), addresses, strict=True):
        model = mlflow.pytorch.load_model(address)
        batch = torch.from_numpy(rows(5))
        torch.testing.assert_close(model(batch), copy.deepcopy(each).eval()(batch))
        with pytest.raises(RuntimeError, match=r"a number in \[0, 1\]"):
            model(torch.full((1, 6), 2.0))
        assert all(parameter.requires_grad for parameter in model.parameters())
    first, second = (Model.load(address).to_dict() for address in addresses[:2])
    own = {"artifact_path", "model_uuid", "model_id", "run_id", "utc_time_created"}
    assert {name for name in first if first[name] != second[name]} == own
    files = [folder_of(address) for address in addresses[:2]]
    assert {name for name in files[0] if files[0][name] != files[1][name]} == {
        "MLmodel", "data/model.pt2"
    }  # fmt: skip


def _save_on_a_disk_that_fills_up(network: nn.Sequential, folder: Path, is_known: bool) -> None:
    """Full once there was room for everything: no file may grow any more."""
    saved, example = SavedModels(), np.zeros((2, 6), np.float32)
    if is_known:
        saved.trace(network, example=example)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill(*_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))

    models.prove_room = fill
    with pytest.raises(OSError, match="too large"):
        saved.save(network, folder / "model", example=example, of=Model())


@pytest.mark.parametrize("is_known", [False, True])
def test_a_disk_that_fills_up_while_a_graph_is_written_ends_no_process(
    tmp_path: Path, is_known: bool
) -> None:
    network = nn.Sequential(nn.Linear(6, 999), nn.ReLU(), nn.Linear(999, 2))
    saving = multiprocessing.get_context("fork").Process(
        target=_save_on_a_disk_that_fills_up, args=(network, tmp_path, is_known)
    )
    saving.start()
    saving.join()
    assert saving.exitcode == 0


def test_networks_that_scale_their_inputs_keep_their_own_numbers_too(
    logged: tuple[Tracker, Run, nn.Sequential, str],
) -> None:
    """A data set's mean is no parameter: with another's, every answer would be another one."""
    tracker, _, _, _ = logged
    recipe = Recipe(widths=(4,), scaling="standard")
    saved = SavedModels()
    for number, pixels in enumerate((PixelScale(0.1, 0.3), PixelScale(0.6, 0.2))):
        network = plain(recipe, Stack([recipe], inputs=6, classes=3, pixels=pixels).state(0))
        with tracker.start_network(f"scaled {number}", {}, step="t", tags={}) as run:
            given = {"example": rows(2), "metrics": {}, "step": 0, "at_ms": 0}
            address = log_model(run, network, saved=saved, **given)
        model = mlflow.pytorch.load_model(address)
        batch = torch.from_numpy(rows(5))
        torch.testing.assert_close(model(batch), copy.deepcopy(network).eval()(batch))


def folder_of(address: str) -> dict[str, bytes]:
    """The files of a model by their places."""
    model = mlflow.MlflowClient().get_logged_model(address.removeprefix("models:/"))
    folder = Path(str(model.artifact_location).removeprefix("file://"))
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
