"""One open run, and how it ends."""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Literal

from pipeline.errors import PipelineError
from pipeline.tracking.environment import setting
from pipeline.tracking.log import Log
from pipeline.tracking.store import Store, one_line
from why_zero.errors import WhyZeroError

Outcome = Literal["finished", "failed", "killed"]

_logger = logging.getLogger(__name__)
_STATUS = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
_LONG_SECONDS = 1.0
# Nobody who has pressed Ctrl-C waits for a server that is gone.
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}


class Run(Log):
    """An open run of the store; leaving its `with` block ends it.

    Left normally it ends as finished, by an error as failed with the reason as a tag, by Ctrl-C
    or SIGTERM as killed.
    """

    def __init__(self, store: Store, run_id: str, name: str) -> None:
        """Take an existing run into use; `Tracker` makes and finds them."""
        super().__init__(store, run_id, name)
        self._is_open = True

    def end(self, outcome: Outcome, reason: str | None = None) -> None:
        """End the run with a status and the tags `outcome` and `reason`; again changes nothing."""
        if not self._is_open:
            return
        tags = {"outcome": outcome} | ({"reason": reason} if reason else {})
        with self.store.writing():
            self.store.client.set_terminated(self.id, _STATUS[outcome])
        self.tags(tags)
        self._is_open = False

    def __enter__(self) -> "Run":  # noqa: PYI034 - the tests' type checker refuses Self here
        """Return the run itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the run as what has happened in the block says."""
        try:
            if error is None:
                self.end("finished")
        except BaseException as late:
            error = late
            raise
        finally:
            if error is not None:
                self.end_after(error)

    @contextmanager
    def ending_unless_done(self) -> Iterator[None]:
        """End the run where the block fails, and leave it open where it does not."""
        with ExitStack() as stack:
            stack.push(self)
            yield
            stack.pop_all()

    def end_after(self, error: BaseException) -> None:
        """End the run as failed or killed, without ever hiding the error that ends it."""
        outcome: Outcome = "failed" if isinstance(error, Exception) else "killed"
        start = time.monotonic()
        try:
            if not self.store.is_lost:
                with setting(_IMPATIENT):
                    self.end(outcome, reason_of(error) if outcome == "failed" else None)
        except PipelineError as refusal:
            self.store.is_lost = time.monotonic() - start > _LONG_SECONDS
            _logger.warning("Run %r is left open as RUNNING: %s", self.name, refusal)
        self._is_open = False  # or the end of its block would call it finished


def reason_of(error: BaseException) -> str:
    """Why something failed, as one line: the project's own message, or the error's type and its."""
    return (
        str(error)
        if isinstance(error, WhyZeroError)
        else f"{type(error).__name__}: {one_line(error)}"
    )
