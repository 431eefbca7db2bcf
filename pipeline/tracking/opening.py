"""Opens the store for a step, and the run that `mlflow run` has opened for it."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from pipeline.console import Console, State
from pipeline.errors import PipelineError
from pipeline.redaction import redacted
from pipeline.tracking.connectivity import takes_journals
from pipeline.tracking.environment import setting
from pipeline.tracking.journal import JOURNALS, Journal, Plan
from pipeline.tracking.outbox import Outbox, Sent, send_left
from pipeline.tracking.runs import reason_of
from pipeline.tracking.store import Store, check_writing, open_at, open_store
from pipeline.tracking.tracker import Tracker

_logger = logging.getLogger(__name__)


def connect(*, experiment: str | None = None) -> Tracker:
    """Return a tracker on the store of `MLFLOW_TRACKING_URI`, else on `mlflow.db` in this folder.

    What dead processes have left in journals is sent, and the runs that those of this machine left
    open are marked as killed. The store is asked once, before anything starts, and answers or fails
    within ten seconds.

    Args:
        experiment: its name, created if it is new; None for the one of the run that `mlflow run`
            has opened, else `MLFLOW_EXPERIMENT_NAME`, else MLflow's `Default`.

    Raises:
        PipelineError: there is no such store, it does not answer, it cannot be written, or the
            experiment was deleted.
    """
    return _opened(experiment)[1]


def _opened(experiment: str | None) -> tuple[Store, Tracker]:
    store = open_store(experiment)
    if takes_journals(store.uri):
        _send_left(store)
    tracker = Tracker(store)
    tracker.end_abandoned()
    return store, tracker


def _send_left(store: Store) -> None:
    """Send what processes that are dead have written for this store, and say what was lost.

    Raises:
        PipelineError: the server does not take it.
    """
    with store.writing():
        for problem in send_left(store.client).problems:
            _logger.warning("%s", problem)


def send_journals(folder: Path) -> Sent:
    """Send what processes that are dead have left in journals for the store in use.

    Args:
        folder: of the journals.

    Raises:
        PipelineError: the server does not take it.
    """
    store = open_at()
    with store.writing():
        return send_left(store.client, folder=folder)


@contextmanager
def connected(console: Console) -> Iterator[Tracker]:
    """A tracker for a step that trains: a server may go away while the block runs.

    What is logged to a server goes through a journal. At the end of the block it is waited for.

    Args:
        console: told when the server goes away, and when it is back.

    Raises:
        PipelineError: as `connect`; or nothing may be written.
        UnsentError: at the end the server has not got everything.
    """
    store, tracker = _opened(None)
    if not takes_journals(store.uri):
        yield tracker
        return
    check_writing(store)
    plan = Plan(store.experiment_id, tracker.identity, redacted(store.uri))
    journal = Journal.begin(JOURNALS, plan)
    outbox = Outbox(store.client, journal, say=console.line)
    # The outbox tries again by itself, and whoever asks in between does not wait.
    with setting({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}):
        try:
            yield Tracker(replace(store, outbox=outbox))
        except BaseException as error:
            try:
                outbox.close(is_interrupted=not isinstance(error, Exception))
            except PipelineError as unsent:
                console.line(str(unsent))
            raise
        with console.progress(
            "sending what was logged", lambda: State(0.0, f"{outbox.unsent} records left")
        ):
            outbox.close()


def adopted_run(step: str, parameters: Mapping[str, str]) -> AbstractContextManager[object]:
    """The run that `mlflow run` has opened, ended with the block; nothing where there is none.

    Args:
        step: the step, which makes no run of its own.
        parameters: its settings as canonical text.
    """
    if "MLFLOW_RUN_ID" not in os.environ:
        return nullcontext()
    return connect().start_step(step, step, parameters=parameters)


def end_opened_run(step: str, error: BaseException) -> None:
    """End the run that `mlflow run` has opened, if no step has taken it over, with what went wrong.

    Such an error was found before any work began: unless it is an interruption or a fault of this
    package, it is a mistake. A store that refuses is not waited for.

    Args:
        step: the step.
        error: what ended it.
    """
    if "MLFLOW_RUN_ID" not in os.environ:
        return
    with suppress(PipelineError):
        run = connect().start_step(step, step, parameters={})
        if isinstance(error, PipelineError):
            run.end("mistake", reason_of(error))
        else:
            run.end_after(error)
