"""How MLflow's client behaves in this process: quiet, and with few retries."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

# With its own 7 retries the client takes more than four minutes to notice that a server is gone;
# with these it takes seconds if the server refuses, about a minute and a half if it is silent.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def _has_no_traceback(record: logging.LogRecord) -> bool:
    """Whether to show a record: not MLflow's traceback of a database error, which is raised too."""
    return not str(record.msg).startswith("SQLAlchemy database error.")


def settle() -> None:
    """Set what the user has not set: fewer retries, no progress chatter, no addresses on stdout."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").addFilter(_has_no_traceback)


@contextmanager
def setting(variables: dict[str, str]) -> Iterator[None]:
    """Give environment variables these values inside the block, and their old ones after it."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
