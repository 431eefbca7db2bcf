"""Asks once, with a short patience, whether a tracking store can be reached and written.

MLflow would find out too, after retrying for minutes.
"""

import os
import re
import socket
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests
from mlflow.environment_variables import MLFLOW_ALLOW_FILE_STORE, MLFLOW_TRACKING_INSECURE_TLS
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from pipeline.errors import PipelineError
from pipeline.files import is_writable, nearest
from pipeline.redaction import redacted

ANSWER_SECONDS = 8.0
_CERTIFICATE = "MLFLOW_TRACKING_SERVER_CERT_PATH"
_DRIVERS = {"s3": "boto3", "gs": "google-cloud-storage", "wasbs": "azure-storage-blob"}
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def check(uri: str) -> None:
    """Return if the store answers; any other problem shows at its first use.

    An address that its readers would take apart in another way is refused, and not repeated.

    Args:
        uri: a tracking URI as MLflow takes it.

    Raises:
        PipelineError: no answer within `ANSWER_SECONDS`, a SQLite file that cannot be written, or
            neither a database nor a server.
    """
    _check_form(uri)
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme in {"http", "https"}:
        _within(uri, lambda: _ask_server(uri))
    elif scheme in _DATABASE_PORTS:
        _within(uri, lambda: _ask_database(uri, _DATABASE_PORTS[scheme]))
    elif scheme == "sqlite":
        _check_sqlite(uri)
    elif "databricks" not in {scheme, uri} and not _is_folder_allowed(scheme):
        raise PipelineError(
            f"a store must be a database or a server, got {redacted(uri)}: give sqlite:///FILE or "
            "http://HOST:PORT; `mlflow migrate-filestore` makes a database of a folder"
        )


def _is_folder_allowed(scheme: str) -> bool:
    return scheme in {"", "file"} and bool(MLFLOW_ALLOW_FILE_STORE.get())


def _check_form(uri: str) -> None:
    """Return if the parts of an address can be told apart."""
    try:
        parts = urlsplit(uri)
        is_whole = parts.port is None or parts.port > 0
        if parts.scheme.partition("+")[0] in _DATABASE_PORTS:
            is_whole = "@" not in str(make_url(uri).database)
    except (ValueError, ArgumentError):
        is_whole = False
    if not is_whole:
        raise PipelineError(
            f"a tracking URI must be an address, got {redacted(uri)}: write @, / and : in a "
            "password as %40, %2F and %3A, a port as a number, and an IPv6 host in brackets"
        )


def check_folder(location: str) -> None:
    """Return if artifacts can be written to this place; a remote one is only asked for its driver.

    Raises:
        PipelineError: the folder, or the nearest one above it that exists, is not writable, or the
            package is missing through which MLflow reaches a remote place.
    """
    folder = local_folder(location)
    if folder is None:
        _check_driver(location)
    elif not is_writable(nearest(folder)):
        raise PipelineError(
            f"an experiment's artifact folder must be writable, got {folder}: make it so, or "
            "make another experiment, with `mlflow experiments create --experiment-name NAME "
            "--artifact-location FOLDER`, and set MLFLOW_EXPERIMENT_NAME=NAME"
        )


def local_folder(location: str) -> Path | None:
    """The folder on this machine that an artifact location names; None for a remote place."""
    parts = urlsplit(location)
    if parts.scheme not in {"", "file"}:
        return None
    return Path(unquote(parts.path) if parts.scheme else location).absolute()


def _check_driver(location: str) -> None:
    # MLflow imports it at the first upload, which is at the end of training.
    package = _DRIVERS.get(urlsplit(location).scheme)
    if package is None:
        return
    try:
        version(package)
    except PackageNotFoundError as error:
        raise PipelineError(
            f"artifacts in {redacted(location)} need a package that is not installed, got no "
            f"{package}: pip install {package}"
        ) from error


def _within(uri: str, ask: Callable[[], None]) -> None:
    # Neither name lookup nor trying a host's several addresses obeys our time-out, so
    # a thread asks and is left behind.
    problems: list[str] = ["no answer"]
    told: list[PipelineError] = []

    def run() -> None:
        try:
            ask()
        except PipelineError as problem:
            told.append(problem)
        except Exception as error:  # noqa: BLE001 - whatever a proxy or a driver makes of it
            problems.append(type(error).__name__)
        else:
            problems.clear()

    thread = threading.Thread(target=run, daemon=True, name="ask-tracking-server")
    thread.start()
    thread.join(ANSWER_SECONDS)
    if told:
        raise told[0]
    if problems:
        raise PipelineError(
            f"the tracking server must answer, got {problems[-1]} from {redacted(uri)}: "
            "start it, or correct or unset MLFLOW_TRACKING_URI"
        )


def _ask_server(uri: str) -> None:
    # Any answer will do, even 401, except a proxy's answer that it reaches no server.
    authority = os.environ.get(_CERTIFICATE)
    if authority and not Path(authority).exists():
        raise PipelineError(f"{_CERTIFICATE} must be a file, got {authority!r}: correct it")
    is_trusted = MLFLOW_TRACKING_INSECURE_TLS.get()
    try:
        answer = requests.get(
            f"{uri.rstrip('/')}/health",
            timeout=5,
            allow_redirects=False,
            verify=not is_trusted and (authority or True),
        )
    except requests.exceptions.SSLError as error:
        # MLflow would retry, and tell less.
        cause = re.search(r"certificate verify failed: ([^(]+)", str(error))
        raise PipelineError(
            "a tracking server's certificate must be verified, got "
            f"{cause[1].strip() if cause else 'an error of TLS'} from {redacted(uri)}: set "
            f"{_CERTIFICATE} to the certificate of its authority, or correct MLFLOW_TRACKING_URI"
        ) from error
    if answer.status_code >= 500:
        answer.raise_for_status()


def _ask_database(uri: str, port: int) -> None:
    parts = make_url(uri)
    if parts.host:
        socket.create_connection((parts.host, parts.port or port), timeout=5).close()


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store; None for other stores, and for one in memory."""
    database = make_url(uri).database if uri.startswith("sqlite:///") else None
    return None if database in {None, "", ":memory:"} else Path(str(database))


def takes_journals(uri: str) -> bool:
    """Whether a store is a server's, which may go away while a step works."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    return scheme in {"http", "https"} or scheme in _DATABASE_PORTS


def _check_sqlite(uri: str) -> None:
    try:
        if not uri.startswith("sqlite:///"):
            raise PipelineError(
                f"a SQLite tracking URI must start with sqlite:///, got {redacted(uri)}: "
                "correct or unset MLFLOW_TRACKING_URI"
            )
        path = sqlite_file(uri)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except (OSError, sqlite3.Error) as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_BUSY":
            return  # another process is writing, so it can be written
        raise PipelineError(
            f"the tracking store must be a writable SQLite file, got {redacted(uri)} ({error}): "
            "free that path, or set MLFLOW_TRACKING_URI to another"
        ) from error
