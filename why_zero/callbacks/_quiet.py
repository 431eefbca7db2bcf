"""Nothing that goes wrong in a callback may end the training that it watches."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_log = logging.getLogger(__name__)


@contextmanager
def quiet(doing: str) -> Iterator[None]:
    """A block whose errors are logged as warnings."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 whatever it is, it is not the training's
        said = " ".join(str(error).split())
        _log.warning(
            "why_zero must not end the training, so it goes on without %s: got %s: %s",
            *(doing, type(error).__name__, said[:300]),
        )
