"""Runs on a real temporary SQLite store: what is logged, how they end, how a store is asked."""

import contextlib
import errno
import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from PIL import Image

from pipeline.errors import PipelineError, UsageError
from pipeline.tracking import (
    Run,
    Tracker,
    address,
    any_of,
    connect,
    connectivity,
    end_opened_run,
    source,
    tagged,
    watching_system,
)
from pipeline.tracking.store import Store, open_at

PARAMETERS = {"drop_rate": "0.5", "widths": "256,256"}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(autouse=True)
def _store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def client() -> MlflowClient:
    return MlflowClient()


@pytest.fixture
def tracker(request: pytest.FixtureRequest) -> Tracker:
    return connect(experiment=request.node.name)


def a_network(tracker: Tracker, **tags: str) -> Run:
    return tracker.start_network("relu seed 0", PARAMETERS, step="mnist", tags=tags)


# Where runs go


def test_without_a_word_runs_go_where_mlflow_run_puts_them(client: MlflowClient) -> None:
    assert client.get_experiment(connect().experiment_id).name == "Default"
    assert connect().experiment_id == "0"  # what `mlflow run` takes


def test_the_experiment_named_in_the_environment_is_used_and_made_where_it_is_new(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of the environment")
    first, second = connect(), connect()
    assert client.get_experiment(first.experiment_id).name == "of the environment"
    assert first.experiment_id == second.experiment_id


def test_the_experiment_of_the_run_that_mlflow_run_opened_comes_before_the_environments(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = client.create_experiment("of mlflow run")
    opened = client.create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", opened)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    assert connect().experiment_id == experiment


def test_a_later_connection_stays_in_the_experiment_of_mlflow_run(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = client.create_experiment("of both")
    monkeypatch.setenv("MLFLOW_RUN_ID", client.create_run(experiment).info.run_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    connect().start_step("toy", "toy", parameters={})
    assert connect().experiment_id == experiment


@pytest.mark.parametrize("variable", ["MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"])
@pytest.mark.parametrize("identifier", ["77", "x", "../x"])
def test_an_id_in_the_environment_that_the_store_does_not_know_is_named_with_its_variable(
    variable: str, identifier: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(variable, identifier)
    message = refused(f"sqlite:///{tmp_path}/mlflow.db", monkeypatch)
    assert message == (
        f"{variable} must be an id that the store knows, got {identifier!r}: correct or unset it, "
        "or MLFLOW_TRACKING_URI"
    )


def test_a_deleted_experiment_is_refused_with_the_command_that_restores_it(
    client: MlflowClient,
) -> None:
    experiment = client.create_experiment("deleted")
    client.delete_experiment(experiment)
    with pytest.raises(PipelineError, match=f"restore --experiment-id {experiment}"):
        connect(experiment="deleted")


# A store that cannot be used


def refused(uri: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(PipelineError) as caught:
        connect()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize(
    ("place", "package"),
    [("s3://bucket/runs", "boto3"), ("gs://bucket", "google-cloud-storage")],
)
def test_artifacts_without_their_driver_are_refused_before_anything_is_trained(
    place: str, package: str, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow would find out at the first upload, after training."""

    def version(name: str) -> str:
        if name == package:
            raise connectivity.PackageNotFoundError(name)
        return "1"

    client.create_experiment(f"in {package}", artifact_location=place)
    monkeypatch.setattr(connectivity, "version", lambda _: "1")
    connect(experiment=f"in {package}")
    monkeypatch.setattr(connectivity, "version", version)
    with pytest.raises(PipelineError, match=f"got no {package}: pip install {package}$"):
        connect(experiment=f"in {package}")


def test_a_server_that_refuses_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    message = refused(f"http://127.0.0.1:{port}", monkeypatch)
    assert f"http://127.0.0.1:{port}" in message
    assert "MLFLOW_TRACKING_URI" in message


def test_a_server_that_goes_away_meanwhile_is_told_with_the_cause_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        uri = f"http://127.0.0.1:{listener.getsockname()[1]}"
    store = Store(MlflowClient(uri), uri, "")
    with pytest.raises(PipelineError) as caught:
        store.ask(lambda: store.client.get_run("x"))
    number = errno.ECONNREFUSED
    assert str(caught.value) == (
        f"the tracking store must work, and {uri} refused ([Errno {number}] {os.strerror(number)})"
        ": check MLFLOW_TRACKING_URI, its server and the free disk space"
    )


def test_a_server_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectivity, "ANSWER_SECONDS", 0.3)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        assert "no answer" in refused(f"http://127.0.0.1:{port}", monkeypatch)


def test_a_store_has_less_than_ten_seconds_to_answer() -> None:
    assert connectivity.ANSWER_SECONDS < 10


def test_a_database_server_that_refuses_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    message = refused(f"postgresql://someone:secret@127.0.0.1:{port}/runs", monkeypatch)
    assert "ConnectionRefusedError" in message
    assert "secret" not in message


def test_a_database_whose_driver_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    message = refused("postgresql+pg8000://", monkeypatch)
    assert "needs its driver" in message
    assert "No module named 'pg8000'" in message


class Unwelcoming(BaseHTTPRequestHandler):
    """Lets nobody in, and says so as MLflow's server does."""

    def do_GET(self) -> None:
        is_open = self.path.startswith("/health")
        self.send_response(200 if is_open else 401)
        self.end_headers()
        self.wfile.write(b"OK" if is_open else b"You are not authenticated.")

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def answering(authority: Path | None = None) -> Iterator[int]:
    """A server of this kind on a port of its own, with TLS where a certificate is given."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Unwelcoming)
    if authority:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_who_is_not_let_in_is_told_which_variables_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with answering() as port:
        message = refused(f"http://127.0.0.1:{port}", monkeypatch)
    assert "401" in message
    assert "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in message
    assert "disk" not in message


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that 127.0.0.1 has signed itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "signed.pem"
    path.write_bytes(signed.public_bytes(pem) + private)
    return path


def test_a_certificate_that_nobody_vouches_for_is_one_line_with_the_variable_that_helps(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(certificate) as port:
        uri = f"https://127.0.0.1:{port}"
        message = refused(uri, monkeypatch)
        assert f"got self-signed certificate from {uri}: set MLFLOW_TRACKING_SERVER_CERT" in message
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
        connectivity.check(uri)
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", "nowhere.pem")
        assert "must be a file, got 'nowhere.pem'" in refused(uri, monkeypatch)


@pytest.mark.parametrize("uri", ["nonsense://there", "http://", "sqlite://two-slashes"])
def test_an_address_that_is_none_is_refused(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert uri in refused(uri, monkeypatch)


@pytest.mark.parametrize("uri", ["./mlruns", "file:///runs", "~nobody/x", "ftp://a/b", "s3://a/b"])
def test_what_is_neither_a_database_nor_a_server_is_refused_with_what_is(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(uri, monkeypatch) == (
        f"a store must be a database or a server, got {uri}: give sqlite:///FILE or "
        "http://HOST:PORT; `mlflow migrate-filestore` makes a database of a folder"
    )


def test_a_sqlite_file_in_a_place_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert "writable" in refused(f"sqlite:///{tmp_path}/file/mlflow.db", monkeypatch)


def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("not a database" * 100)
    assert "not a database" in refused(f"sqlite:///{tmp_path}/notes.txt", monkeypatch)
    assert (tmp_path / "notes.txt").read_text() == "not a database" * 100


def test_a_database_that_another_process_is_writing_can_be_written(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/busy.db"
    with closing(sqlite3.connect(tmp_path / "busy.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        connectivity.check(uri)


def test_artifacts_that_cannot_be_written_are_refused_before_anything_starts(
    tmp_path: Path, client: MlflowClient
) -> None:
    (tmp_path / "file").write_text("not a folder")
    client.create_experiment("no place", artifact_location=f"{tmp_path}/file/artifacts")
    with pytest.raises(PipelineError, match="artifact folder must be writable"):
        connect(experiment="no place")


def test_a_folder_with_a_space_in_its_name_holds_the_store_and_gets_no_other_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my project").mkdir()
    monkeypatch.chdir(tmp_path / "my project")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    tracker = connect()
    with tracker.start_step("toy", "toy", parameters={}) as run:
        run.text("a note", "note.txt")
    assert tracker.artifact(run.id, "note.txt").is_relative_to(tmp_path / "my project")
    assert [path.name for path in tmp_path.iterdir()] == ["my project"]
    assert tracker.ui_command == "mlflow ui"


def test_a_folder_without_room_for_artifacts_is_refused_before_there_is_an_experiment(
    tmp_path: Path, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its artifacts would be meant for that folder for good."""
    (tmp_path / "mlruns").write_text("not a folder")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match=f"must be writable, got {tmp_path}/mlruns: ") as caught:
        connect(experiment="never made")
    assert client.get_experiment_by_name("never made") is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other/mlflow.db")
    with pytest.raises(PipelineError, match="must be writable"):
        connect()
    assert (tmp_path / "other/mlflow.db").stat().st_size == 0  # nothing was made in it
    # What the message says to do.
    assert "--artifact-location FOLDER`, and set MLFLOW_EXPERIMENT_NAME=NAME" in str(caught.value)
    MlflowClient().create_experiment("mine", artifact_location=f"{tmp_path}/elsewhere")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    with connect().start_step("toy", "toy", parameters={}) as run:
        run.text("it is kept", "note.txt")
    assert list((tmp_path / "elsewhere").rglob("note.txt"))


# How a run ends


def leave(error: BaseException | None) -> None:
    if error is not None:
        raise error


@pytest.mark.parametrize(
    ("error", "status", "tags"),
    [
        (None, "FINISHED", {"outcome": "finished"}),
        (
            PipelineError("loss must be finite\nmore"),
            "FAILED",
            {"outcome": "failed", "reason": "loss must be finite"},
        ),
        (
            UsageError("holdout must be less"),
            "FAILED",
            {"outcome": "mistake", "reason": "holdout must be less"},
        ),
        (ValueError("bug"), "FAILED", {"outcome": "failed", "reason": "ValueError: bug"}),
        (KeyboardInterrupt(), "KILLED", {"outcome": "killed"}),
        (SystemExit(143), "KILLED", {"outcome": "killed"}),
    ],
)
def test_a_run_ends_as_its_block_is_left(
    error: BaseException | None,
    status: str,
    tags: dict[str, str],
    client: MlflowClient,
) -> None:
    run = a_network(connect())
    with contextlib.suppress(BaseException), run:
        leave(error)
    ended = client.get_run(run.id)
    assert ended.info.status == status
    assert ended.info.end_time >= ended.info.start_time
    assert {key: ended.data.tags.get(key) for key in ("outcome", "reason")} == {
        "outcome": tags["outcome"],
        "reason": tags.get("reason"),
    }


@pytest.mark.parametrize("write", ["log_batch", "set_terminated"])
@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
def test_a_run_whose_process_died_while_it_ended_is_finished_or_still_open(
    tracker: Tracker,
    client: MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
    write: str,
    is_done: bool,
) -> None:
    """One that has ended without an outcome would count neither as a result nor as begun."""
    whole, mark = getattr(MlflowClient, write), f"{write} {is_done}"
    run = a_network(tracker, fingerprint=mark)
    run.text("x", "state_dict.safetensors")

    def die(*given: object, **named: object) -> None:
        if is_done:
            whole(*given, **named)
        raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr(MlflowClient, write, die)
        with pytest.raises(SystemExit):
            run.end("finished")
    is_finished = tracker.finished(mark) is not None
    assert is_finished == (write == "set_terminated" and is_done)
    assert client.get_run(run.id).info.status == ("FINISHED" if is_finished else "RUNNING")


def test_a_second_end_changes_nothing(tracker: Tracker, client: MlflowClient) -> None:
    with a_network(tracker) as run:
        run.end("failed", "by hand")
    assert client.get_run(run.id).info.status == "FAILED"
    run.end("killed")
    assert client.get_run(run.id).data.tags["outcome"] == "failed"


def test_a_store_that_refuses_the_end_never_hides_the_error(
    tracker: Tracker, client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    lost, other = a_network(tracker), a_network(tracker)
    client.delete_run(lost.id)
    with pytest.raises(ZeroDivisionError), other, lost:
        raise ZeroDivisionError
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "left open" in caplog.text
    assert client.get_run(other.id).info.status == "FAILED"


def test_a_run_whose_end_the_store_refused_is_not_called_finished_afterwards(
    tracker: Tracker, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("no more writes")

    with a_network(tracker) as run, monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", refuse)
        run.end_after(ValueError("bug"))
    assert client.get_run(run.id).info.status == "RUNNING"


def test_a_server_gone_silent_is_waited_for_once_and_not_for_every_run(
    tracker: Tracker, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        store = Store(MlflowClient(uri), uri, tracker.experiment_id)
        first, second = Run(store, "a" * 32, "first"), Run(store, "b" * 32, "second")
        with contextlib.suppress(KeyboardInterrupt), second, first:
            raise KeyboardInterrupt
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "'first'" in caplog.text


def test_a_store_that_refuses_what_is_logged_fails_with_one_line(
    tracker: Tracker, client: MlflowClient
) -> None:
    run = a_network(tracker)
    client.delete_run(run.id)
    with pytest.raises(PipelineError) as caught:
        run.metrics({"val/loss": 1.0}, 0)
    assert len(str(caught.value).splitlines()) == 1


def test_a_databases_own_word_is_told_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/broken.db")
    run = a_network(connect())
    with closing(sqlite3.connect(tmp_path / "broken.db")) as database:
        database.execute("DROP TABLE latest_metrics")
        database.execute("DROP TABLE metrics")
    with pytest.raises(PipelineError, match=r"refused \(no such table: \w*metrics\)"):
        run.metrics({"val/loss": 1.0}, 0)
    assert "Traceback" not in capsys.readouterr().err


def test_a_database_that_can_no_longer_be_written_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that is mounted anew for reading alone."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/gone.db")
    run = a_network(connect())
    (tmp_path / "gone.db").unlink()
    with pytest.raises(PipelineError, match="make the file and its folder writable, or set"):
        run.metrics({"val/loss": 1.0}, 0)


def test_a_run_whose_parameters_are_refused_does_not_stay_open(
    tracker: Tracker, client: MlflowClient
) -> None:
    with pytest.raises(PipelineError, match="tracking store"):
        tracker.start_network("relu", {"a bad/key:?": "1"}, step="mnist", tags={})
    (made,) = client.search_runs([tracker.experiment_id])
    assert made.info.status == "FAILED"


def test_the_patience_of_mlflows_client_is_restored_after_an_end(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "6")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT")
    with pytest.raises(ValueError, match="bug"), a_network(tracker):
        raise ValueError("bug")
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "6"
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


# Runs of networks and of steps


def test_a_networks_run_has_no_parent_also_inside_mlflow_run(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = client.create_run(client.create_experiment("inside")).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", opened)
    tracker = connect()
    with tracker.start_step("mnist", "mnist", parameters={}) as step, a_network(tracker) as run:
        tags = client.get_run(run.id).data.tags
    assert step.id == opened
    assert "mlflow.parentRunId" not in tags


def test_a_networks_run_has_its_name_parameters_tags_and_colour(
    tracker: Tracker, client: MlflowClient
) -> None:
    run = tracker.start_network(
        "relu seed 0", PARAMETERS, step="mnist", tags={"arm": "relu"}, color="#0072b2"
    )
    made = client.get_run(run.id)
    assert made.info.run_name == "relu seed 0"
    assert made.info.status == "RUNNING"
    assert made.data.params == PARAMETERS
    expected = {"kind": "network", "step": "mnist", "arm": "relu", "mlflow.runColor": "#0072b2"}
    assert expected.items() <= made.data.tags.items()
    assert {"mlflow.user", "mlflow.source.name"} <= made.data.tags.keys()


def opened_by_mlflow_run(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> str:
    experiment = client.get_experiment_by_name("opened") or client.get_experiment(
        client.create_experiment("opened")
    )
    opened: str = client.create_run(experiment.experiment_id, run_name=name).info.run_id
    client.log_param(opened, "drop_rate", "0.50")
    monkeypatch.setenv("MLFLOW_RUN_ID", opened)
    return opened


def test_the_first_step_takes_up_the_run_of_mlflow_run_and_keeps_parameters_as_typed(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = opened_by_mlflow_run(client, monkeypatch, None)
    tracker = connect()
    first = tracker.start_step("mnist", "mnist p=0.5", parameters=PARAMETERS)
    second = tracker.start_step("mnist", "again", parameters=PARAMETERS)
    assert first.id == opened
    assert second.id != opened
    assert "MLFLOW_RUN_ID" not in os.environ
    taken = client.get_run(opened)
    assert taken.data.params == {"drop_rate": "0.50", "widths": "256,256"}
    assert taken.info.run_name == first.name == "mnist p=0.5"
    assert {"kind": "step", "step": "mnist"}.items() <= taken.data.tags.items()
    assert client.get_run(second.id).data.params == PARAMETERS


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (UsageError("drop_rate must be less"), "mistake"),
        (PipelineError("there is no such run"), "mistake"),
        (ValueError("bug"), "failed"),
        (KeyboardInterrupt(), "killed"),
    ],
)
def test_what_stops_a_step_before_it_has_begun_is_told_in_the_run_of_mlflow_run(
    error: BaseException, outcome: str, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = opened_by_mlflow_run(client, monkeypatch, None)
    end_opened_run("mnist", error)
    told = client.get_run(opened)
    assert told.data.tags["outcome"] == outcome
    assert told.data.tags.get("reason", "").endswith(str(error))
    assert told.info.status == ("KILLED" if outcome == "killed" else "FAILED")
    before = client.search_runs(["0", told.info.experiment_id])
    end_opened_run("mnist", error)  # now there is none
    assert len(client.search_runs(["0", told.info.experiment_id])) == len(before)


def test_a_name_given_to_mlflow_run_stays(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = opened_by_mlflow_run(client, monkeypatch, "my run")
    assert connect().start_step("mnist", "mnist p=0.5", parameters={}).name == "my run"
    assert client.get_run(opened).info.run_name == "my run"


# What is logged


def test_metrics_are_points_by_step_and_what_is_not_finite_is_a_gap(tracker: Tracker) -> None:
    with a_network(tracker) as run:
        run.metrics({"val/loss": 0.5, "zero/h1": float("nan")}, 0)
        run.metrics({"val/loss": float("inf"), "zero/h1": 0.25}, 1)
        run.metrics({"val/loss": 0.25}, 2)
    assert tracker.history(run.id, "val/loss") == [(0, 0.5), (2, 0.25)]
    assert tracker.history(run.id, "zero/h1") == [(1, 0.25)]


def test_a_series_may_be_longer_than_a_store_takes_at_once(tracker: Tracker) -> None:
    with a_network(tracker) as run:
        run.series((step, {"a": step / 2, "b": 1.0}) for step in range(600))
    assert tracker.history(run.id, "a") == [(step, step / 2) for step in range(600)]


def test_files_texts_bytes_and_pictures_become_artifacts(
    tracker: Tracker, client: MlflowClient, tmp_path: Path
) -> None:
    (tmp_path / "trace.bin").write_bytes(b"\x00\x01")
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    with a_network(tracker) as run:
        run.file(tmp_path / "trace.bin", "traces")
        run.text("a | b", "report/table.txt")
        run.data(b"\x02\x03", "plots/deep/curve.png")
        run.data(b"\x04", "curve.png")
        run.images({3: pixels}, "units")
    assert tracker.artifact(run.id, "traces/trace.bin").read_bytes() == b"\x00\x01"
    assert tracker.artifact(run.id, "report/table.txt").read_text() == "a | b"
    assert tracker.artifact(run.id, "plots/deep/curve.png").read_bytes() == b"\x02\x03"
    assert tracker.artifact(run.id, "curve.png").read_bytes() == b"\x04"
    names = [item.path for item in client.list_artifacts(run.id, "images")]
    [name] = [name for name in names if name.endswith(".png")]
    assert name.startswith("images/units+step+3")
    with Image.open(tracker.artifact(run.id, name)) as image:
        assert np.array_equal(np.asarray(image), pixels)


def test_pictures_of_steps_are_logged_as_mlflow_logs_them(
    tracker: Tracker, client: MlflowClient
) -> None:
    frames = {step: np.full((300, 400, 3), 40 * step, dtype=np.uint8) for step in (0, 5)}
    with a_network(tracker) as run, a_network(tracker) as theirs:
        run.images(frames, "units")
        for step, pixels in frames.items():
            client.log_image(theirs.id, pixels, key="units", step=step)
    ours, expected = (logged_images(tracker, client, each.id) for each in (run, theirs))
    assert ours == expected
    assert len(ours) == 4
    tags = [client.get_run(each.id).data.tags["mlflow.loggedImages"] for each in (run, theirs)]
    assert tags[0] == tags[1]


def test_a_run_that_failed_when_its_status_was_written_is_gone_on_with(
    tracker: Tracker, client: MlflowClient
) -> None:
    """The store has done it and said that it has not; then only the tag can still be changed."""
    with a_network(tracker, fingerprint="late") as run:
        pass
    many = ["late", *map(str, range(30))]  # asked for in another way
    assert tracker.begun(["late"]) == tracker.begun(many) == {}
    client.set_tag(run.id, "outcome", "failed")
    assert tracker.begun(["late"]) == tracker.begun(many) == {"late": run.id}


def test_what_is_left_of_a_store_whose_maker_was_killed_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mlflow.db.0123abcd.new", "mlflow.db.0123abcd.new-journal"):
        (tmp_path / name).touch()
    open_at(f"sqlite:///{tmp_path}/mlflow.db")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_run_says_that_it_has_pictures_of_steps_before_it_has_them(
    tracker: Tracker, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in between it gets the rest later; a run with all pictures is left alone."""

    def fail(*_: object) -> None:
        raise PipelineError("no room")

    monkeypatch.setattr(Run, "folder", fail)
    with a_network(tracker) as run, pytest.raises(PipelineError, match="no room"):
        run.images({0: np.zeros((3, 4), np.uint8)}, "units")
    assert client.get_run(run.id).data.tags["mlflow.loggedImages"] == "True"


def test_a_file_of_a_folder_is_in_the_run_whole_or_not_at_all(
    tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of a picture would be taken for the picture; what a killed process left goes."""
    (tmp_path / "deep").mkdir()
    for name in ("a.png", "deep/b.png"):
        (tmp_path / name).write_bytes(b"whole")

    def fill_the_disk(source: BinaryIO, target: BinaryIO, **_: object) -> None:
        target.write(source.read(3))
        raise OSError(errno.ENOSPC, "full")

    with a_network(tracker) as run:
        with monkeypatch.context() as filling:
            filling.setattr(shutil, "copyfileobj", fill_the_disk)
            with pytest.raises(PipelineError, match="full"):
                run.folder(tmp_path)
        assert tracker.files(run.id) == set()
        run.data(b"", "deep/.there")
        left = tracker.artifact(run.id, "deep") / ".artifact.uploading.0"
        left.touch()
        run.folder(tmp_path)
    assert tracker.files(run.id) == {"a.png", "deep/b.png", "deep/.there"}
    assert tracker.artifact(run.id, "deep/b.png").read_bytes() == b"whole"


def logged_images(tracker: Tracker, client: MlflowClient, run_id: str) -> dict[str, bytes]:
    """The pictures of a run by their names without times and random parts."""
    found = {}
    for item in client.list_artifacts(run_id, "images"):
        name = re.sub(r"\+timestamp\+\d+\+[0-9a-f-]{36}", "", item.path)
        found[name] = tracker.artifact(run_id, item.path).read_bytes()
    return found


def test_an_artifact_that_is_gone_is_named(tracker: Tracker) -> None:
    run = a_network(tracker)
    with pytest.raises(PipelineError, match=r"model\.bin"):
        tracker.artifact(run.id, "model.bin")


def test_many_runs_may_log_the_same_data_at_the_same_moment(
    tracker: Tracker, client: MlflowClient
) -> None:
    runs = [a_network(tracker) for _ in range(6)]
    arrays = {"labels": np.zeros(5, np.uint8)}
    together = threading.Barrier(len(runs))

    def log(run: Run, digest: str) -> None:
        together.wait(10)
        run.dataset("mnist", digest, source="", context="training", arrays=arrays, profile={})

    for attempt in range(5):  # not every one of them collides
        with ThreadPoolExecutor(len(runs)) as pool:
            list(pool.map(lambda run, digest=f"{attempt}": log(run, digest), runs))
    digests = [
        sorted(entry.dataset.digest for entry in client.get_run(run.id).inputs.dataset_inputs)
        for run in runs
    ]
    assert digests == [["0", "1", "2", "3", "4"]] * len(runs)


def test_a_description_and_tags_can_be_set_again(tracker: Tracker, client: MlflowClient) -> None:
    with a_network(tracker, fingerprint="old") as run:
        run.describe("| a |")
        run.tags({"fingerprint": "new", "mlflow.note.content": "| b |"})
    tags = client.get_run(run.id).data.tags
    assert (tags["fingerprint"], tags["mlflow.note.content"]) == ("new", "| b |")


def test_a_data_set_is_an_input_with_our_digest_its_class_counts_and_its_shapes(
    tracker: Tracker, client: MlflowClient
) -> None:
    digest = "0123456789abcdef" * 4
    with a_network(tracker) as run:
        run.dataset(
            "mnist",
            digest,
            source="inside the package",
            context="training",
            arrays={"images": np.zeros((5, 28, 28), np.uint8), "labels": np.zeros(5, np.uint8)},
            profile={"classes": {"0": 5}},
        )
    (entry,) = client.get_run(run.id).inputs.dataset_inputs
    assert entry.dataset.name == "mnist"
    assert entry.dataset.digest == digest[:36]
    assert json.loads(entry.dataset.source) == {"uri": "inside the package"}
    assert json.loads(entry.dataset.profile) == {"classes": {"0": 5}}
    assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "training")]
    features = json.loads(json.loads(entry.dataset.schema)["mlflow_tensorspec"]["features"])
    assert [item["tensor-spec"]["shape"] for item in features] == [[-1, 28, 28], [-1]]


# The machine


def test_a_run_shorter_than_an_interval_has_system_metrics_and_leaves_no_thread(
    tracker: Tracker, client: MlflowClient
) -> None:
    with a_network(tracker) as first, a_network(tracker) as second:
        with watching_system([first, second], interval_seconds=60.0):
            assert "watch-system" in {thread.name for thread in threading.enumerate()}
        assert "watch-system" not in {thread.name for thread in threading.enumerate()}
        assert client.get_run(first.id).info.status == "RUNNING"
    for run in (first, second):
        points = tracker.history(run.id, "system/system_memory_usage_percentage")
        assert [step for step, _ in points] == [0, 1]
        assert all(0 < share < 100 for _, share in points)
        assert client.get_run(run.id).info.status == "FINISHED"


def test_watching_goes_on_at_every_interval_and_stops_after_an_error(tracker: Tracker) -> None:
    run = a_network(tracker)
    reached = threading.Event()
    log = run.metrics

    def counting(values: dict[str, float], step: int) -> None:
        log(values, step)
        if step == 2:
            reached.set()

    run.metrics = counting  # type: ignore[method-assign, assignment]
    with (
        contextlib.suppress(KeyboardInterrupt),
        run,
        watching_system([run], interval_seconds=0.01),
    ):
        assert reached.wait(20)
        raise KeyboardInterrupt
    assert "watch-system" not in {thread.name for thread in threading.enumerate()}
    assert len(tracker.history(run.id, "system/disk_usage_percentage")) >= 4


def test_a_store_that_refuses_system_metrics_does_not_end_the_run(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("no")

    run = a_network(tracker)
    monkeypatch.setattr(MlflowClient, "log_batch", refuse)
    with watching_system([run]):
        pass
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_run_that_is_deleted_takes_no_system_metrics_from_others(
    tracker: Tracker, client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    deleted, other = a_network(tracker), a_network(tracker)
    client.delete_run(deleted.id)
    with watching_system([deleted, other]):
        pass
    assert caplog.text == ""  # training says what became of it
    assert len(tracker.history(other.id, "system/disk_usage_percentage")) == 2


# Runs found again


def test_the_newest_finished_run_with_a_fingerprint_is_found_with_its_numbers(
    tracker: Tracker,
) -> None:
    runs = [a_network(tracker, fingerprint="same") for _ in range(3)]
    for run, loss in zip(runs[:2], (0.5, 0.25), strict=True):
        with run:
            run.text("x", "state_dict.safetensors")
            run.metrics({"val/loss": 1.0}, 0)
            run.metrics({"val/loss": loss}, 1)
    with contextlib.suppress(ValueError), runs[2]:
        runs[2].text("x", "state_dict.safetensors")
        leave(ValueError("bug"))
    found = tracker.finished("same")
    assert found is not None
    assert found.id == runs[1].id
    assert (found.name, found.parameters, found.model) == ("relu seed 0", PARAMETERS, None)
    assert found.metrics == {"val/loss": 0.25}
    assert found.tags["fingerprint"] == "same"


def test_another_kind_another_fingerprint_and_lost_artifacts_are_not_found(
    tracker: Tracker,
) -> None:
    with a_network(tracker, fingerprint="one") as run:
        run.text("x", "state_dict.safetensors")
    assert tracker.finished("two") is None
    assert tracker.finished("one", kind="step") is None
    assert tracker.finished("one") is not None
    shutil.rmtree(tracker.artifact(run.id, "state_dict.safetensors").parent)
    assert tracker.finished("one") is None


def test_many_fingerprints_are_found_as_one_by_one_with_a_search_a_stack(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[str] = []
    search_runs = MlflowClient.search_runs

    def note(client: MlflowClient, ids: list[str], search: str, **given: object) -> object:
        searches.append(search)
        return search_runs(client, ids, search, **given)

    for key in ("a0", "a1", "b0", "b1", "b2", "alone"):
        tags = {"stack": key[0]} if key != "alone" else {}
        with a_network(tracker, fingerprint=key, **tags) as run:
            run.text("x", "state_dict.safetensors")
    with a_network(tracker, fingerprint="lost", stack="b") as lost:
        lost.text("x", "state_dict.safetensors")
    shutil.rmtree(tracker.artifact(lost.id, "state_dict.safetensors").parent)
    a_network(tracker, fingerprint="running", stack="b")
    keys = ["a0", "a1", "b0", "b1", "b2", "alone", "lost", "running", "unknown"]
    one_by_one = {key: run for key in keys if (run := tracker.finished(key))}
    assert list(one_by_one) == keys[:6]
    monkeypatch.setattr(MlflowClient, "search_runs", note)
    assert tracker.finished_all(keys) == one_by_one
    # Two for each stack, and one for each of: alone, lost once more, running, unknown.
    assert len(searches) == 2 + 2 + 4
    assert tracker.finished_all(keys, kind="step") == {}


def test_whole_results_of_an_older_stack_stand_in_for_lost_ones(tracker: Tracker) -> None:
    with a_network(tracker, fingerprint="twice", stack="old") as old:
        old.text("x", "state_dict.safetensors")
    with a_network(tracker, fingerprint="twice", stack="new") as new:
        new.text("x", "state_dict.safetensors")
    assert tracker.finished_all(["twice"])["twice"].id == new.id
    shutil.rmtree(tracker.artifact(new.id, "state_dict.safetensors").parent)
    assert tracker.finished_all(["twice"])["twice"].id == old.id


def test_the_newest_runs_are_asked_for_only_as_far_as_they_are_taken(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [a_network(tracker, number=str(number)).id for number in range(50)]
    for run_id in ids:
        MlflowClient().set_terminated(run_id)
    asked: list[object] = []
    search_runs = MlflowClient.search_runs

    def note(client: MlflowClient, *given: object, **named: object) -> object:
        asked.append(named["max_results"])
        return search_runs(client, *given, **named)

    monkeypatch.setattr(MlflowClient, "search_runs", note)
    newest = tracker.newest(tagged({"kind": "network"}))
    assert next(newest).tags["number"] == "49"
    assert asked == [20]
    assert [run.tags["number"] for run in newest] == [str(number) for number in range(48, -1, -1)]
    assert asked == [20, 20, 20]


# Where a person looks


def parts(page: str) -> tuple[str, dict[str, list[str]]]:
    place, _, query = page.partition("?")
    return place, parse_qs(query)


def test_a_local_store_has_a_command_and_a_server_needs_none(folder: Path) -> None:
    assert address.ui_command(f"sqlite:///{folder}/mlflow.db") == "mlflow ui"
    other = "sqlite:////a b/mlflow.db"
    assert address.ui_command(other) == f"mlflow ui --backend-store-uri '{other}'"
    assert address.ui_command("http://tracking:5000/") is None
    assert address.ui_base("http://tracking:5000/") == "http://tracking:5000"


def test_the_comparisons_address_holds_the_search_the_order_and_the_chart_view(
    tracker: Tracker,
) -> None:
    page = tracker.comparison_page(tagged({"pipeline": "ab", "arm": "relu"}), order_by="drop_rate")
    place, query = parts(page)
    assert place == f"http://127.0.0.1:5000/#/experiments/{tracker.experiment_id}/runs"
    assert query == {
        "workflowType": ["machine_learning"],
        "searchFilter": ["tags.`pipeline` = 'ab' and tags.`arm` = 'relu'"],
        "compareRunsMode": ["CHART"],
        "orderByKey": ["params.`drop_rate`"],
        "orderByAsc": ["true"],
    }


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("metrics.loss < 1", True),
        ("tags.kind = 'network' and metric.`val/loss` < 1", True),
        ("what only a newer server understands", True),
        ("tags.note = 'metric'", False),
        ("tags.`metrics.loss` = 'a' and params.x = 'metrics.loss < 1'", False),
        ("attributes.run_id IN ('metrics')", False),
        ("", False),
    ],
)
def test_a_search_by_metrics_is_told_from_one_that_only_names_them(
    search: str, expected: bool
) -> None:
    assert address.searches_metrics(search) is expected


def test_the_searches_in_addresses_find_what_they_say(
    tracker: Tracker, client: MlflowClient
) -> None:
    runs = [a_network(tracker, pipeline=name) for name in ("ab", "ab", "cd")]

    def found(search: str) -> set[str]:
        return {run.info.run_id for run in client.search_runs([tracker.experiment_id], search)}

    assert found(tagged({"pipeline": "ab"})) == {runs[0].id, runs[1].id}
    assert found(any_of([runs[0].id, runs[2].id])) == {runs[0].id, runs[2].id}


def test_a_runs_page_is_a_link_inside_the_ui_or_a_whole_address(tracker: Tracker) -> None:
    run = a_network(tracker)
    place = f"#/experiments/{tracker.experiment_id}/runs/{run.id}"
    assert parts(run.page)[0] == place
    assert parts(tracker.run_page(run.id))[0] == f"http://127.0.0.1:5000/{place}"


# Which code made a run


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    subprocess.run(["git", "init", "-q", "-b", "trunk"], cwd=tmp_path, check=True)
    monkeypatch.setattr(source, "_PACKAGE", package)
    source.commit_tags.cache_clear()
    yield package
    source.commit_tags.cache_clear()


def commit(folder: Path) -> str:
    person = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "add", "."], cwd=folder, check=True)
    subprocess.run(["git", *person, "commit", "-qm", "x"], cwd=folder, check=True)
    shown = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True
    )
    return shown.stdout.decode().strip()


def test_a_clean_package_has_its_commit_and_branch(package: Path) -> None:
    made = commit(package)
    (package.parent / "mlflow.db").touch()
    assert source.commit_tags() == {
        "mlflow.source.git.commit": made,
        "mlflow.source.git.branch": "trunk",
    }


@pytest.mark.parametrize("name", ["__init__.py", "new.py"])
def test_a_changed_or_new_file_makes_the_package_dirty(package: Path, name: str) -> None:
    commit(package)
    (package / name).write_text("changed = True\n")
    assert source.commit_tags()["dirty"] == "true"


def test_a_package_that_git_does_not_keep_has_no_commit(package: Path) -> None:
    (package.parent / ".gitignore").write_text("package/\n")
    commit(package.parent)
    assert source.commit_tags() == {}


def test_a_new_store_that_is_not_finished_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may be killed while MLflow makes its tables, for a second or two."""
    file = tmp_path / "mlflow.db"

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            open_at(f"sqlite:///{file}")
    assert file.stat().st_size == 0
    assert open_at(f"sqlite:///{file}").client.search_experiments() != []
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
