"""Nothing that goes wrong in a callback may end the training that it watches."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from why_zero.errors import in_one_line

_log = logging.getLogger(__name__)


@contextmanager
def quiet(doing: str) -> Iterator[None]:
    """A block whose errors are logged as warnings."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 whatever it is, it is not the training's
        _log.warning(
            "why_zero must not end the training, so it goes on without %s: got %s",
            *(doing, in_one_line(error)),
        )
