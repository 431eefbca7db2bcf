"""The steps `export` and `import`: from SQLite through a bundle to a server on PostgreSQL."""

import hashlib
import json
import math
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import URLError

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException
from safetensors.numpy import load_file, save_file

from pipeline.bundle.digests import sums_text
from pipeline.cli import commands
from pipeline.tracking import connect
from pipeline.tracking.address import run_page

pytestmark = pytest.mark.slow

Pipeline = Callable[..., int]
ADDRESS = "models:/small@champion"
SETTINGS = ("--epochs", "1", "--holdout", "50", "--widths", "8", "--mask-passes", "0")


@pytest.fixture(scope="module")
def trained(store: str, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a network that the step `mnist` has trained and that is registered."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", store)
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "on its way")
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
            patch.delenv(name, raising=False)
        assert commands.run(["mnist", "--data", str(small), *SETTINGS]) == 0
        tracker = connect()
        [network] = tracker.search("tags.kind = 'network'")
        assert network.model is not None
        # Points that share a step, as after a run was resumed, and a value that is none.
        odd = [("resumed", 3.0, 1000, 7), ("resumed", 3.0, 1001, 7), ("none", math.nan, 1002, 8)]
        MlflowClient(store).log_batch(network.id, metrics=[Metric(*point) for point in odd])
        tags = {"drop_rate": "0.2", "data_digest": network.parameters["dataset_digest"]}
        card = f"# Card\n\nBy [a run]({tracker.link(network.id)})."
        version = tracker.registry.create(
            "small", network.model, run_id=network.id, tags=tags, description=card
        )
        tracker.registry.point("champion", version)
        tracker.registry.point("first", version)
        out = folder / "small.zip"
        command = ["export", "--model", ADDRESS, "--out", str(out), "--data", str(small)]
        assert commands.run(command) == 0
    return out


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store to copy: making one costs more than a second."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def target(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Another store, empty, with artifacts of its own."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty, tmp_path / "target.db")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return f"sqlite:///{tmp_path}/target.db"


@pytest.fixture
def bring(target: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the step `import` in a folder of its own and returns what it said."""
    del target

    def run(bundle: Path, to: str, *arguments: str) -> str:
        capsys.readouterr()
        assert commands.run(["import", "--bundle", str(bundle), "--to", to, *arguments]) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture(scope="module")
def original(trained: Path, store: str) -> dict[str, object]:
    """What a person can see of the network in the store that it comes from."""
    assert trained.exists()
    return everything(store)


def network_of(client: MlflowClient, experiment: str = "on its way") -> Run:
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    [run] = client.search_runs([found.experiment_id], "tags.kind = 'network'")
    return run


def everything(uri: str) -> dict[str, object]:
    """What a person can see of the network in a store, but for ids and places."""
    client = MlflowClient(uri)
    run = network_of(client)
    run_id = run.info.run_id
    version = client.get_model_version_by_alias("small", "champion")
    model = client.get_logged_model(version.source.removeprefix("models:/"))
    files = Path(download_artifacts(run_id=run_id, artifact_path="", tracking_uri=uri))
    made_by_import = {"imported_from", "bundle_digest"}
    return {
        "name, status": (run.info.run_name, run.info.status),
        "times": (run.info.start_time, run.info.end_time),
        "params": run.data.params,
        "tags": {k: v for k, v in run.data.tags.items() if k not in made_by_import},
        "metrics": {
            key: sorted(
                (p.step, p.timestamp, repr(p.value)) for p in client.get_metric_history(run_id, key)
            )
            for key in run.data.metrics
        },
        "latest": {key: repr(value) for key, value in run.data.metrics.items()},
        "inputs": [
            (i.dataset.to_dictionary(), [(t.key, t.value) for t in i.tags])
            for i in run.inputs.dataset_inputs
        ],
        "outputs": [output.step for output in run.outputs.model_outputs],
        "artifacts": {
            p.relative_to(files).as_posix(): p.read_bytes() for p in files.rglob("*") if p.is_file()
        },
        "model": (model.name, model.params, model.status),
        "model's metrics": sorted((m.key, m.step, m.timestamp, m.value) for m in model.metrics),
        "version": (
            version.description.replace(run_page("", run.info.experiment_id, run_id), "its page"),
            {k: v for k, v in version.tags.items() if k != "imported_from"},
        ),
        "aliases": sorted(version.aliases),
        "of this run": version.run_id == run_id == model.source_run_id,
    }


def rows(uri: str) -> dict[str, int]:
    """How many rows each table of a SQLite store has."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        names = [
            n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        return {n: connection.execute(f"SELECT count(*) FROM '{n}'").fetchone()[0] for n in names}  # noqa: S608


def test_another_store_gets_the_same_in_all_but_ids(
    trained: Path, original: dict[str, object], target: str, bring: Callable[..., str]
) -> None:
    said = bring(trained, target)
    assert "[a run](its page)" in str(original["version"])
    for part in (
        "experiment on its way: created",
        "version models:/small/1: created",
        " metric points",
    ):
        assert part in said
    assert everything(target) == original


def test_a_second_import_changes_nothing(
    trained: Path, target: str, bring: Callable[..., str]
) -> None:
    bring(trained, target)
    before = rows(target)
    said = bring(trained, target)
    assert rows(target) == before
    assert "made" not in said
    assert said.count("already there") == 6  # experiment, run, logged model, version, two aliases


def test_importing_into_the_store_that_it_comes_from_changes_nothing(
    trained: Path, store: str, bring: Callable[..., str]
) -> None:
    before = rows(store)
    assert "made" not in bring(trained, store)
    assert rows(store) == before


@pytest.mark.parametrize(
    "write",
    [
        "create_experiment", "create_run", "log_batch", "log_inputs", "set_terminated",
        "create_logged_model", "log_outputs", "log_model_artifacts", "create_registered_model",
        "create_model_version", "set_registered_model_alias",
    ],
)  # fmt: skip
def test_an_import_that_breaks_off_after_a_write_is_completed_by_the_next_without_doubles(
    write: str, trained: Path, original: dict[str, object], target: str, bring: Callable[..., str]
) -> None:
    whole = getattr(MlflowClient, write)

    def break_off(*arguments: object, **named: object) -> None:
        whole(*arguments, **named)
        raise MlflowException("the line is dead")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MlflowClient, write, break_off)
        assert commands.run(["import", "--bundle", str(trained), "--to", target]) == 1
    bring(trained, target)
    after = rows(target)
    assert (after["runs"], after["logged_models"], after["model_versions"]) == (1, 1, 1)
    assert everything(target) == original


def test_an_alias_that_points_elsewhere_stays_unless_forced(
    trained: Path, target: str, bring: Callable[..., str]
) -> None:
    client = MlflowClient(target)
    client.create_registered_model("small")
    client.create_model_version("small", "file:///elsewhere")
    client.set_registered_model_alias("small", "champion", "1")
    said = bring(trained, target)
    assert "version models:/small/2: created" in said
    assert "alias champion: stays at version 1; force=true moves it" in said
    assert "alias first: set to version 2" in said
    assert int(client.get_model_version_by_alias("small", "champion").version) == 1
    assert "moved from version 1" in bring(trained, target, "--force", "true")
    assert int(client.get_model_version_by_alias("small", "champion").version) == 2


def test_a_refused_bundle_makes_no_store_at_all(
    trained: Path, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "target.db").unlink()
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(trained.read_bytes()[:-100])
    assert commands.run(["import", "--bundle", str(damaged), "--to", target]) == 1
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert str(damaged) in shown
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.zip"]


def test_under_mlflow_run_a_refusal_is_the_reason_in_the_run_that_it_opened(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient(target)
    opened = client.create_run(client.create_experiment("of mlflow run")).info.run_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", target)
    monkeypatch.setenv("MLFLOW_RUN_ID", opened)
    assert commands.run(["import", "--bundle", str(tmp_path / "nowhere.zip")]) == 1
    run = client.get_run(opened)
    assert (run.info.status, run.data.tags["outcome"]) == ("FAILED", "mistake")
    assert "nowhere.zip" in run.data.tags["reason"]


def changed(bundle: Path, to: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The bundle with other records, by their names without `.json`, and the right digests."""
    names = ("run", "metrics", "model", "version", "bundle")
    with zipfile.ZipFile(bundle) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if name != "SHA256SUMS"}
    records = {name: json.loads(files[f"{name}.json"]) for name in names}
    change(records)
    files |= {f"{name}.json": json.dumps(record).encode() for name, record in records.items()}
    sums = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    with zipfile.ZipFile(to, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr("SHA256SUMS", "".join(sums))
    return to


def better(records: dict[str, Any]) -> None:
    for metrics in (records["metrics"], records["model"]["metrics"]):
        for point in metrics["test/accuracy"]:
            point[2] = 0.999


def borrowed(records: dict[str, Any]) -> None:
    """A model of its own, and the claim that it comes from the run that is there."""
    records["model"]["id"] = "m-" + "0" * 32


def other_data(records: dict[str, Any]) -> None:
    records["run"]["datasets"][0]["digest"] = "0" * 32


def disguised(records: dict[str, Any]) -> None:
    """A run of its own that says it was made from the one that is there."""
    better(records)
    records["run"]["tags"]["imported_from"] = records["run"]["id"]
    records["run"]["id"] = records["bundle"]["run"] = "1" * 32


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (better, "another metric 'test/accuracy'"),
        (disguised, "another metric 'test/accuracy'"),
        (borrowed, "another model"),
        (other_data, "other data"),
        (lambda r: r["run"].update(end_ms=r["run"]["end_ms"] + 1), "another status or time"),
        (lambda r: r["run"]["tags"].update(fingerprint="f" * 32), "another tag 'fingerprint'"),
        (
            lambda r: [r[of]["parameters"].update(seed="1") for of in ("run", "model")],
            "other parameters",
        ),
    ],
)
@pytest.mark.parametrize("where", ["where it comes from", "where it was imported"])
def test_a_bundle_that_says_something_else_of_a_run_that_is_there_is_refused(
    *,
    trained: Path,
    store: str,
    target: str,
    tmp_path: Path,
    bring: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, Any]], None],
    said: str,
    where: str,
) -> None:
    to = store if where == "where it comes from" else target
    if to == target:
        bring(trained, target)
    before = rows(to)
    lie = changed(trained, tmp_path / "lie.zip", change)
    assert commands.run(["import", "--bundle", str(lie), "--to", to, "--force", "true"]) == 1
    assert f"must say the same of a run that is there, got {said}" in capsys.readouterr().err
    assert rows(to) == before


def test_a_bundle_with_other_weights_of_a_run_that_is_there_is_refused(
    trained: Path, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "lie"
    with zipfile.ZipFile(trained) as archive:
        archive.extractall(folder)
    weights = folder / "artifacts/state_dict.safetensors"
    save_file({key: value + 1 for key, value in load_file(weights).items()}, weights)
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    )
    (folder / "SHA256SUMS").write_text(sums_text(folder, names))
    before = rows(store)
    assert commands.run(["import", "--bundle", str(folder), "--to", store]) == 1
    assert "another artifact 'state_dict.safetensors'" in capsys.readouterr().err
    assert rows(store) == before


def test_an_import_is_not_completed_with_another_bundle(
    trained: Path, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = MlflowClient.log_artifacts

    def break_off(*_: object, **__: object) -> None:
        raise MlflowException("the line is dead")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifacts", break_off)
        assert commands.run(["import", "--bundle", str(trained), "--to", target]) == 1
    assert MlflowClient.log_artifacts is whole
    lie = changed(trained, tmp_path / "lie.zip", better)
    assert commands.run(["import", "--bundle", str(lie), "--to", target]) == 1
    assert "must be completed with the bundle that it was begun with" in capsys.readouterr().err


def test_a_network_that_came_by_a_bundle_is_no_result_of_ours(
    trained: Path, target: str, small: Path, bring: Callable[..., str]
) -> None:
    bring(trained, target)
    imported = network_of(MlflowClient(target)).info.run_id
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", target)
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "on its way")
        assert commands.run(["mnist", "--data", str(small), *SETTINGS]) == 0
    client = MlflowClient(target)
    found = client.get_experiment_by_name("on its way")
    assert found is not None
    runs = client.search_runs([found.experiment_id], "tags.kind = 'network'")
    [own] = [run for run in runs if run.info.run_id != imported]
    assert own.info.status == "FINISHED"
    assert own.data.tags["fingerprint"] == client.get_run(imported).data.tags["fingerprint"]


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MLflow server on it, which keeps the artifacts too."""
    folder = tmp_path_factory.mktemp("server")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = ["server", "--backend-store-uri", database, "--port", str(port), "--workers", "1"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command, "--artifacts-destination", str(folder)],
            cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{uri}/health", timeout=1):  # noqa: S310
                    break
            except (URLError, OSError):
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.2)
        yield uri
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


@pytest.mark.server
def test_a_server_on_postgresql_serves_the_model_with_the_same_logits(
    trained: Path, original: dict[str, object], store: str, server: str, bring: Callable[..., str]
) -> None:
    bring(trained, server)
    images = torch.from_numpy(np.random.default_rng(0).random((60, 1, 6, 5), np.float32))
    logits = []
    for uri in (store, server):
        with pytest.MonkeyPatch.context() as patch, torch.no_grad():
            patch.setenv("MLFLOW_TRACKING_URI", uri)
            logits.append(mlflow.pytorch.load_model(ADDRESS)(images).numpy())
    np.testing.assert_array_equal(*logits)
    assert everything(server) == original
    assert "made" not in bring(trained, server)
    assert len(MlflowClient(server).search_model_versions("name = 'small'")) == 1
