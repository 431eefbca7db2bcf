"""The store and the experiment that runs are logged to, and the errors when it refuses."""

import logging
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

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
from pipeline.tracking import connectivity, environment, operations
from pipeline.tracking.address import is_server
from pipeline.tracking.outbox import Outbox

T = TypeVar("T")
# MLflow waits 20 s by itself, twice.
LOCKED_SECONDS = 600.0
_LOCKED_PAUSE_SECONDS = 0.1

_NOT_LET_IN = {"UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"}
_logger = logging.getLogger(__name__)
REFUSALS = (MlflowException, RequestException, SQLAlchemyError, SafetensorError, OSError)


class LockedError(PipelineError):
    """A database that others keep locked."""


@dataclass
class Store:
    """An open store.

    Attributes:
        client: MLflow's client of it.
        uri: its tracking URI.
        experiment_id: the experiment that new runs go to; empty where none are made.
        is_lost: ending a run has waited for it in vain, so ending the others need not wait.
        outbox: what is logged waits there until a server takes it; None where it is written at
            once.
    """

    client: MlflowClient
    uri: str
    experiment_id: str
    is_lost: bool = False
    outbox: Outbox | None = None

    def do(
        self,
        operation: Callable[..., T],
        run: str,
        *,
        files: Path | None = None,
        is_patient: bool = True,
        **arguments: Any,  # noqa: ANN401 - of the operation
    ) -> T | None:
        """Have one of `operations` done, and return what it gives; None if that is done later.

        Args:
            operation: which.
            run: the id of the run.
            files: a file or a folder that it takes; it may be removed afterwards.
            is_patient: wait for a database that others keep locked.
            arguments: what else it takes, of what JSON can hold.

        Raises:
            PipelineError: the store refused.
        """
        if self.outbox:
            self.outbox.add(operation.__name__, run, arguments, files)
            return None
        taken = arguments if files is None else {**arguments, "files": files}
        return self.ask(lambda: operation(self.client, run, **taken), is_patient=is_patient)

    def make_run(self, *, name: str, tags: Mapping[str, str], is_awaited: bool) -> str:
        """The id of a new run of the experiment; that of the journal until the store gives one.

        Args:
            name: its display name.
            tags: all its tags.
            is_awaited: wait until the store has given it, as far as it is there.
        """
        given: dict[str, Any] = {"experiment": self.experiment_id, "name": name, "tags": dict(tags)}
        given["at_ms"] = time.time_ns() // 1_000_000
        if self.outbox:
            return self.outbox.make_run(given, is_awaited=is_awaited)
        return self.ask(lambda: operations.create(self.client, **given))

    def ask(self, ask: Callable[[], T], *, is_patient: bool = True) -> T:
        """What an access to the store gives; a database that others keep locked is waited for.

        Raises:
            PipelineError: the store refused.
        """
        until, is_told = time.monotonic() + LOCKED_SECONDS, False
        while True:
            try:
                with self.writing():
                    return ask()
            except LockedError as locked:
                if not is_patient or time.monotonic() > until:
                    raise
                if not is_told:
                    _logger.warning("%s: waiting, for up to 10 minutes", locked)
                    is_told = True
                time.sleep(_LOCKED_PAUSE_SECONDS)

    def attempt(self, ask: Callable[[], T], otherwise: T) -> T:
        """What the store answers at once, or this: a server that is away is not waited for."""
        return self.outbox.attempt(ask, otherwise) if self.outbox else ask()

    def known(self, text: str) -> str:
        """A text with the ids of runs as the store has them, as far as it has the runs."""
        return self.outbox.known(text) if self.outbox else text

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


def check_writing(store: Store) -> None:
    """Return if runs may be logged to a server: at once, and not after an hour of training.

    Raises:
        PipelineError: they may not.
    """
    with store.writing():
        place = store.client.get_experiment(store.experiment_id)
        # Nothing changes, but whoever may do this may also log runs.
        store.client.rename_experiment(store.experiment_id, place.name)


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
        run = _named_by("MLFLOW_RUN_ID", run_id, client.get_run)
        return str(run.info.experiment_id)
    if name is None and (experiment_id := os.environ.get("MLFLOW_EXPERIMENT_ID")):
        _named_by("MLFLOW_EXPERIMENT_ID", experiment_id, client.get_experiment)
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


def _named_by(variable: str, identifier: str, find: Callable[[str], T]) -> T:
    """What a variable of the environment names.

    Raises:
        PipelineError: the store does not have it.
    """
    found = found_or_none(lambda: find(identifier))
    if found is None:
        raise PipelineError(
            f"{variable} must be an id that the store knows, got {identifier!a}: correct or unset "
            "it, or MLFLOW_TRACKING_URI"
        )
    return found


def _of_a_request(error: BaseException) -> BaseException | None:
    """Why a request has failed, which MLflow's client tells at the end of a long message."""
    is_request = isinstance(error, RequestException) or str(error).startswith("API request to")
    return error.__context__ if is_request else None


@contextmanager
def _refusals(uri: str) -> Iterator[None]:
    try:
        yield
    except REFUSALS as error:
        # MLflow's wrapping of a database error says less, at length.
        root: BaseException = error
        while (deeper := root.__cause__ or _of_a_request(root)) is not None:
            root = deeper
        database = connectivity.sqlite_file(uri)
        places = [Path(tempfile.gettempdir()), *([database.parent] if database else [])]
        if (full := full_disk(*places)) is not None:
            raise PipelineError(no_room(full)) from error
        problem = getattr(root, "sqlite_errorname", "")
        if problem.startswith("SQLITE_BUSY"):
            raise LockedError(
                f"the tracking store must be free, got {redacted(uri)} locked by another process"
            ) from error
        refusal = f"the tracking store must work, and {uri} refused ({one_line(root)}): "
        remedy = "check MLFLOW_TRACKING_URI, its server and the free disk space"
        if problem.startswith("SQLITE_READONLY"):
            remedy = "make the file and its folder writable, or set MLFLOW_TRACKING_URI to another"
        if getattr(error, "error_code", "") in _NOT_LET_IN:
            remedy = (
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                "MLFLOW_TRACKING_TOKEN, to those of somebody who may write there"
            )
        raise PipelineError(redacted(refusal) + remedy) from error
