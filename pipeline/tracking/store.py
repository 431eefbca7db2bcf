"""The store and the experiment that runs are logged to, and the errors when it refuses."""

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from filelock import FileLock
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH as NEW_ARTIFACTS
from mlflow.tracking import MlflowClient, get_tracking_uri
from requests import RequestException
from safetensors import SafetensorError
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import PipelineError
from pipeline.files import full_disk, no_room
from pipeline.interrupts import held
from pipeline.redaction import redacted
from pipeline.tracking import connectivity, environment
from pipeline.tracking.address import is_server

T = TypeVar("T")

_NOT_LET_IN = {"UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"}
REFUSALS = (MlflowException, RequestException, SQLAlchemyError, SafetensorError, OSError)


@dataclass
class Store:
    """An open store.

    Attributes:
        client: MLflow's client of it.
        uri: its tracking URI.
        experiment_id: the experiment that new runs go to; empty where none are made.
        is_lost: ending a run has waited for it in vain, so ending the others need not wait.
    """

    client: MlflowClient
    uri: str
    experiment_id: str
    is_lost: bool = False

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn the store's refusals inside the block into one line.

        Nothing interrupts a write to an embedded store: cut in a commit, it stays locked.

        Raises:
            PipelineError: the store refused, for example for a full disk.
        """
        with held() if connectivity.sqlite_file(self.uri) else nullcontext(), _refusals(self.uri):
            yield


def one_line(error: BaseException) -> str:
    """The first line of an error's message, at most 300 characters; its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def found_or_none(ask: Callable[[], T]) -> T | None:
    """What a query to the store finds; None if the store has no such thing."""
    try:
        return ask()
    except MlflowException as error:
        # The second: the text given cannot be a name at all.
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def open_store(experiment: str | None) -> Store:
    """Return the store of `MLFLOW_TRACKING_URI`, or of this folder, after it has answered once.

    Args:
        experiment: its name, created if it is new; None for the experiment of the run that
            `mlflow run` opened, else `MLFLOW_EXPERIMENT_NAME`, else MLflow's `Default`, which
            `mlflow run` takes as well.

    Raises:
        PipelineError: there is no such store, it does not answer, it cannot be written, or the
            experiment was deleted.
    """
    store = open_at()
    with store.writing():
        found = _experiment_id(store, experiment)
        place = store.client.get_experiment(found)
        if place.lifecycle_stage != "active":
            raise PipelineError(
                f"the experiment must not be deleted, got {place.name!r}: restore it with `mlflow "
                f"experiments restore --experiment-id {found}`, or set MLFLOW_EXPERIMENT_NAME"
            )
        connectivity.check_folder(place.artifact_location)
    return replace(store, experiment_id=found)


def uri_in_use() -> str:
    """The tracking URI of `MLFLOW_TRACKING_URI`, or of this folder."""
    uri = get_tracking_uri()
    # MLflow writes a space in its default as %20, and makes a folder of that name beside the real
    # one when it opens the store.
    return uri.replace("%20", " ") if uri.startswith("sqlite:") else uri


def require_store() -> None:
    """Return if there is a store, without making one.

    Raises:
        PipelineError: there is none.
    """
    uri = uri_in_use()
    file = connectivity.sqlite_file(uri)
    if file and not is_made(file):
        raise PipelineError(
            f"there must be runs to show, got no store at {file}: run main first, go to the folder "
            "of earlier runs, or set MLFLOW_TRACKING_URI"
        )


def open_at(uri: str | None = None) -> Store:
    """Return the store at this address, without an experiment, after it has answered once.

    Args:
        uri: its tracking URI; None for that of `MLFLOW_TRACKING_URI`, or of this folder.

    Raises:
        PipelineError: there is no such store, it does not answer, or it cannot be written.
    """
    environment.settle()
    uri = uri or uri_in_use()
    with _refusals(uri):
        connectivity.check(uri)
        return Store(_client(uri), uri, experiment_id="")


def _client(uri: str) -> MlflowClient:
    try:
        if file := connectivity.sqlite_file(uri):
            _make_at_once(file)
        return MlflowClient(uri)
    except ImportError as error:
        raise PipelineError(
            f"a database needs its driver, got {redacted(uri)} "
            f"({one_line(error)}): install the driver, or correct or unset MLFLOW_TRACKING_URI"
        ) from error


def _make_at_once(file: Path) -> None:
    """Create a new SQLite store next to its place, then move it there.

    MLflow creates its tables one by one: a process killed meanwhile leaves a file that no later
    one can use, and two that start at once disturb each other.
    """
    if is_made(file):
        return
    connectivity.check_folder(NEW_ARTIFACTS)  # of MLflow's `Default`, which it makes at once
    # Beside it: in the temporary folder others could foresee its name, and take it.
    lock = file.with_name(f".{file.name}.lock")
    with FileLock(lock):
        if not is_made(file):
            _make(file)
        with suppress(OSError):
            lock.unlink()  # whoever locks another from now on finds the store made


def _make(file: Path) -> None:
    """Create a new SQLite store beside its place, then move it there."""
    for left in file.parent.glob(f"{file.name}.*.new*"):  # and its journal
        left.unlink()
    # A unique name: MLflow caches what it has opened by name.
    beside = file.with_name(f"{file.name}.{uuid.uuid4().hex[:8]}.new")
    client = MlflowClient(f"sqlite:///{beside.absolute()}")
    client.search_experiments(max_results=1)
    client._tracking_client.store.engine.dispose()  # noqa: SLF001 - or the file stays open
    beside.replace(file)


def is_made(file: Path) -> bool:
    """Whether the file of a SQLite store holds one."""
    return file.exists() and file.stat().st_size > 0


def _experiment_id(store: Store, name: str | None) -> str:
    client = store.client
    if name is None and (run_id := os.environ.get("MLFLOW_RUN_ID")):
        return str(client.get_run(run_id).info.experiment_id)
    if name is None and (experiment_id := os.environ.get("MLFLOW_EXPERIMENT_ID")):
        return experiment_id
    name = name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or Experiment.DEFAULT_EXPERIMENT_NAME
    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    if not is_server(store.uri):
        connectivity.check_folder(NEW_ARTIFACTS)
    try:
        return str(client.create_experiment(name))
    except MlflowException:
        # Another process may have made it in the meantime.
        if found := client.get_experiment_by_name(name):
            return str(found.experiment_id)
        raise


@contextmanager
def _refusals(uri: str) -> Iterator[None]:
    try:
        yield
    except REFUSALS as error:
        # MLflow's wrapping of a database error says less, at length.
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        database = connectivity.sqlite_file(uri)
        places = [Path(tempfile.gettempdir()), *([database.parent] if database else [])]
        if (full := full_disk(*places)) is not None:
            raise PipelineError(no_room(full)) from error
        refusal = f"the tracking store must work, and {uri} refused ({one_line(root)}): "
        remedy = "check MLFLOW_TRACKING_URI, its server and the free disk space"
        if getattr(error, "error_code", "") in _NOT_LET_IN:
            remedy = (
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                "MLFLOW_TRACKING_TOKEN, to those of somebody who may write there"
            )
        raise PipelineError(redacted(refusal) + remedy) from error
