"""Sends what a step logs to a server that may go away: through a journal, by one thread, in order.

Whoever logs waits for the disk and never for the server.
"""

import json
import logging
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import requests
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from pipeline.errors import PipelineError
from pipeline.files import temporary_folder
from pipeline.records.words import counted
from pipeline.redaction import redacted
from pipeline.tracking import operations
from pipeline.tracking.journal import (
    JOURNALS,
    LOCAL,
    DamagedError,
    Journal,
    Place,
    Record,
    left,
    local_id,
)

T = TypeVar("T")
UNSENT_EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: later it may work
# How long the end of a step waits for a server that takes nothing.
PATIENCE = "WHY_ZERO_SEND_SECONDS"
_PATIENCE_SECONDS = 30.0
_AT_WORK = 10  # times as long, where it has not said no
_LONGEST_PAUSE_SECONDS = 30.0
_ATTEMPT_SECONDS = 3.0
_INTERRUPTED_SECONDS = 2.0
# What a server, or a proxy before it, may answer while something behind it is away.
_NOT_FINAL = {401, 403, 408, 429}
_FINAL = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
# Of what it refuses with another code: it may be about a database that is away.
_TRIES = 5
# So often in a row nothing is taken before the server counts as away.
_AWAY = 2

_logger = logging.getLogger(__name__)


class UnsentError(PipelineError):
    """All is done, but the server has not got all of it."""

    exit_code = UNSENT_EXIT_CODE


class RefusedError(PipelineError):
    """The server will never take what is logged to this run."""


class AwayError(PipelineError):
    """The server does not take anything now."""


def identity_of(experiment: Experiment) -> str:
    """What tells an experiment from others, wherever its store is moved to; it is no secret."""
    return f"experiment {experiment.experiment_id} of {experiment.creation_time}"


class Sender:
    """Sends the records of one journal, one by one.

    Attributes:
        refused: why the server takes nothing for some runs, by their ids.
    """

    def __init__(self, client: MlflowClient, journal: Journal) -> None:
        """Send them to the store of this client."""
        self.refused: dict[str, str] = {}
        self._refusals: dict[int, int] = {}  # of each record, one after the other
        self._client = client
        self._journal = journal
        # What a server may have made twice, to be removed once the run has ended.
        self._doubts: dict[str, list[Callable[[], object]]] = {}

    def known(self, text: str) -> str:
        """A text with the ids of runs as the store has given them so far."""
        ids = self._journal.ids
        return LOCAL.sub(lambda found: ids.get(found[0], found[0]), text)

    def may_wait(self, place: Place) -> bool:
        """Whether records of other runs may be sent before this one: they may name its run."""
        return LOCAL.search(self.known(place.run)) is None

    def send(self, place: Place, *, is_again: bool) -> None:
        """Send a record, or drop it: of a run that was refused nothing is sent any more.

        Args:
            place: of the record.
            is_again: it may have been sent before: by a process that is dead, or without an answer.

        Raises:
            AwayError: the server does not take it now.
        """
        run, given = self.known(place.run), None
        if run not in self.refused:
            try:
                given = self._send(place, is_again=is_again)
            except DamagedError as damage:
                self._refuse(run, str(damage))
            except Exception as error:
                refusals = self._refusals.get(place.number, 0) + 1 if _is_refusal(error) else 0
                self._refusals[place.number] = refusals
                if not _is_final(error) and refusals < _TRIES:
                    raise AwayError(_cause(error)) from error
                self._refuse(run, f"the tracking server refused run {run} ({_cause(error)})")
        self._refusals.pop(place.number, None)
        # Otherwise it is sent once more by a later process, which changes nothing.
        with suppress(PipelineError):
            self._journal.mark_sent(place, given=given)

    def _refuse(self, run: str, why: str) -> None:
        self.refused[run] = why

    def _send(self, place: Place, *, is_again: bool) -> str | None:
        """The id of the run that was made; None where none was."""
        record = self._journal.read(place)
        run = self.known(record.run)
        operation, arguments = self._wanted(record)
        if operation in operations.REPEATED:
            arguments["is_again"] = is_again
        if operation is operations.create:
            made = operations.create(self._client, **arguments)
            if is_again:
                again = {name: arguments[name] for name in ("experiment", "key")}
                self._doubt(made, partial(operations.remove_doubles, self._client, made, **again))
            return made
        with self._files(record.files, is_changed=operation is operations.log_model) as files:
            taken = arguments if files is None else {**arguments, "files": files}
            operation(self._client, run, **taken)
        if operation is operations.log_model and is_again:
            again = {name: arguments[name] for name in ("experiment", "name")}
            self._doubt(run, partial(operations.remove_double_models, self._client, run, **again))
        if operation is operations.end:
            for remove in self._doubts.pop(run, ()):
                remove()
        return None

    def _wanted(self, record: Record) -> tuple[Callable[..., Any], dict[str, Any]]:
        """The operation of a record, and its arguments with the ids of runs as the store has them.

        Raises:
            DamagedError: there is no such operation, or it takes other arguments.
        """
        try:
            operation = operations.OPERATIONS[record.operation]
            arguments: dict[str, Any] = json.loads(self.known(json.dumps(record.arguments)))
            of_run = () if operation is operations.create else (None,)
            files = {} if record.files is None else {"files": None}
            signature(operation).bind(None, *of_run, **arguments, **files)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise DamagedError(
                f"a record of a journal must be one that this version knows, got "
                f"{record.operation[:40]!a} of run {record.run!a} ({str(error)[:100]!a}): use the "
                "version that wrote it"
            ) from error
        return operation, arguments

    def _doubt(self, run: str, remove: Callable[[], object]) -> None:
        self._doubts.setdefault(run, []).append(remove)

    @contextmanager
    def _files(self, folder: Path | None, *, is_changed: bool) -> Iterator[Path | None]:
        """The artifacts of a record with the ids of runs as the store has them."""
        if folder is None:
            yield None
            return
        texts = {
            path: content.decode()
            for path in folder.rglob("*")
            if path.is_file() and _has_local(content := path.read_bytes())
        }
        if not texts and not is_changed:
            yield folder
            return
        with temporary_folder() as temporary:
            copied = temporary / "files"
            shutil.copytree(folder, copied)
            for path, text in texts.items():
                (copied / path.relative_to(folder)).write_bytes(self.known(text).encode())
            yield copied


def _has_local(content: bytes) -> bool:
    """Whether a file is a text that names a run by the id that it has until the store has it."""
    if b"local-" not in content:
        return False
    try:
        return LOCAL.search(content.decode()) is not None
    except UnicodeDecodeError:
        return False


class Outbox:
    """What is logged to a server: `add` keeps it on the disk, and a thread sends it."""

    def __init__(
        self, client: MlflowClient, journal: Journal, *, say: Callable[[str], None]
    ) -> None:
        """Begin to send.

        Args:
            client: of the store.
            journal: a new one.
            say: is told once when the server goes away, and once when it is back.
        """
        self._sender = Sender(client, journal)
        self._journal = journal
        self._say = say
        self._queue: deque[Place] = deque()
        self._change = threading.Condition()
        self._cause = ""  # why the server takes nothing now; empty while it does
        self._is_told = self._is_closed = False
        self._taken = 0  # records, so far
        # Of each record that was not taken: how many had been taken before.
        self._tried: dict[int, int] = {}
        self._stuck: set[int] = set()  # records that are not taken while those of other runs are
        # Runs whose next record was not taken: those of others are sent before it is tried again.
        self._passed: set[str] = set()
        self._sent_at = time.monotonic()
        self._waiting_since: float | None = None
        self._raised: set[str] = set()
        threading.Thread(target=self._work, daemon=True, name="send-to-tracking-server").start()

    @property
    def unsent(self) -> int:
        """How many records the server has not got yet."""
        return len(self._queue)

    def known(self, text: str) -> str:
        """A text with the ids of runs as the store has given them so far."""
        return self._sender.known(text)

    def add(
        self, operation: str, run: str, arguments: Mapping[str, Any], files: Path | None
    ) -> None:
        """Write a record to the journal.

        Raises:
            RefusedError: the server has refused the run.
            PipelineError: the disk is full.
        """
        if why := self._sender.refused.get(self.known(run)):
            self._raised.add(self.known(run))
            raise RefusedError(why)
        # In one piece, so that the queue has the order of the journal.
        with self._change:
            self._queue.append(self._journal.append(run, operation, arguments, files))
            self._change.notify_all()

    def make_run(self, given: Mapping[str, Any], *, is_awaited: bool) -> str:
        """The id of a new run: one of its own until the server has made the run.

        Args:
            given: arguments of `operations.create`.
            is_awaited: wait until the server has made it, if it has made none yet.

        Raises:
            PipelineError: the server has refused it; or it is the first record, and not sent in
                time.
        """
        run = local_id()
        self.add(operations.create.__name__, run, {**given, "key": run.partition("-")[2]}, None)
        if not is_awaited or self._taken:
            return run  # only a step that has not begun to work waits
        is_sent = self.wait()
        if why := self._sender.refused.get(run):
            raise PipelineError(f"{why}: correct MLFLOW_TRACKING_URI, or look at its log")
        if not is_sent:
            raise PipelineError(
                f"the tracking server must take a run, got {self._cause or 'no answer'}: look at "
                "its log, or correct or unset MLFLOW_TRACKING_URI"
            )
        return self.known(run)

    def attempt(self, ask: Callable[[], T], otherwise: T) -> T:
        """What the server answers within seconds; this where it does not."""
        if self._cause:
            return otherwise
        found: list[T] = []

        def run() -> None:
            with suppress(PipelineError):
                found.append(ask())

        thread = threading.Thread(target=run, daemon=True, name="ask-tracking-server")
        thread.start()
        thread.join(_ATTEMPT_SECONDS)
        return found[0] if found else otherwise

    def wait(self, seconds: float | None = None) -> bool:
        """Return True once all is sent, or False once the server has taken nothing for so long.

        Args:
            seconds: at most, whatever it takes; None for `PATIENCE`, and more for a server that is
                at work on something large.
        """
        begun = time.monotonic()
        with self._change:
            # Waited for in vain before, it is not waited for once more.
            self._waiting_since = self._waiting_since or begun
            while self._queue:
                since, most = max(self._sent_at, self._waiting_since), patience()
                if not self._cause:
                    most *= _AT_WORK
                end = since + most if seconds is None else begun + seconds
                left_over = end - time.monotonic()
                if left_over <= 0:
                    return False
                self._change.wait(left_over)
            self._waiting_since = None
        return True

    def close(self, *, is_interrupted: bool = False) -> None:
        """Wait for the server, and remove the journal if that has got all of it.

        Args:
            is_interrupted: somebody wants to leave.

        Raises:
            UnsentError: it has not.
            RefusedError: it has refused runs whose networks were told to be finished.
        """
        is_sent = self.wait(_INTERRUPTED_SECONDS if is_interrupted else None)
        with self._change:
            self._is_closed = True
            self._change.notify_all()
        if not is_sent:
            self._journal.leave()
            raise UnsentError(
                f"the tracking server must take all that was logged, got {self._cause or 'silence'}"
                f" with {counted(self.unsent, 'record')} left, kept in {self._journal.folder}: "
                "once it is back, send them with `why-zero sync`"
            )
        self._journal.remove()
        if untold := [why for run, why in self._sender.refused.items() if run not in self._raised]:
            raise RefusedError("\n".join(untold))

    def _work(self) -> None:
        failures = 0  # one after the other
        while (place := self._next()) is not None:
            try:
                self._sender.send(place, is_again=place.number in self._tried)
            except AwayError as away:
                failures += 1
                self._is_not_taken(place, str(away), failures)
                continue
            failures = 0
            self._tried.pop(place.number, None)
            with self._change:
                if self._is_closed:
                    return
                self._queue.remove(place)
                self._cause, self._sent_at = "", time.monotonic()
                self._taken += 1
                self._change.notify_all()
            if self._is_told:
                self._is_told = False
                self._say(
                    f"the tracking server is back: {counted(self.unsent + 1, 'record')} "
                    "that waited for it are sent"
                )

    def _next(self) -> Place | None:
        """The record to send; None at the end."""
        with self._change:
            while not self._queue and not self._is_closed:
                self._change.wait()
            if self._is_closed:
                return None
            for place in self._queue:
                if place.run not in self._passed:
                    return place
            self._passed.clear()
            return self._queue[0]

    def _is_not_taken(self, place: Place, cause: str, failures: int) -> None:
        """Note that the server takes nothing, or not this record; say so once, and pause."""
        if self._sender.may_wait(place):
            self._passed.add(place.run)
        is_first = place.number not in self._stuck
        if self._taken > self._tried.setdefault(place.number, self._taken):
            self._stuck.add(place.number)
        is_stuck = place.number in self._stuck
        with self._change:
            self._cause = cause
            self._change.notify_all()
        if is_stuck and is_first:
            self._say(
                f"the tracking server takes what other runs log, but not record {place.number} of "
                f"run {self.known(place.run)} ({cause}): it is tried again, and what follows of "
                f"that run is kept in {self._journal.folder.parent}/"
            )
        elif failures >= _AWAY and not self._is_told and not is_stuck:
            self._is_told = True
            self._say(
                f"the tracking server is away ({cause}): the work goes on, and what it logs is "
                f"kept in {self._journal.folder.parent}/ until it is back"
            )
        until = time.monotonic() + _pause(failures)
        with self._change:
            while not self._is_closed and (left_over := until - time.monotonic()) > 0:
                self._change.wait(left_over)


def _pause(tries: int) -> float:
    """Seconds until a server that has refused so often is asked again: twice as long each time."""
    doublings = min(tries, 10)  # of thousands, after a night, no float would hold the power
    return min(0.25 * 2**doublings, _LONGEST_PAUSE_SECONDS)


def patience() -> float:
    """The seconds that the end of a step waits for a server that takes nothing."""
    try:
        return max(0.0, float(os.environ.get(PATIENCE, _PATIENCE_SECONDS)))
    except ValueError:
        return _PATIENCE_SECONDS


class Sent:
    """What became of the journals of dead processes.

    Attributes:
        journals: how many were sent.
        records: how many of their records.
        runs: of how many runs.
        elsewhere: the addresses of servers that other journals are for.
        problems: what was damaged or refused, in words.
    """

    def __init__(self) -> None:
        """Nothing is sent yet."""
        self.journals = self.records = 0
        self.runs: set[str] = set()
        self.elsewhere: list[str] = []
        self.problems: list[str] = []


def send_left(client: MlflowClient, *, folder: Path = JOURNALS) -> Sent:
    """Send the journals of dead processes that are for the store of this client.

    Raises:
        PipelineError: the server has not taken them all.
    """
    sent = Sent()
    for journal in left(folder):
        try:
            _send_one(client, journal, sent)
        except AwayError as away:
            journal.leave()
            raise PipelineError(
                f"the tracking server must take what is kept in {journal.folder}, got {away}: "
                "once it does, run `why-zero sync`, or the same command again"
            ) from away
        except BaseException:
            journal.leave()
            raise
    return sent


def _send_one(client: MlflowClient, journal: Journal, sent: Sent) -> None:
    if not _is_for(client, journal):
        sent.elsewhere.append(journal.plan.address)
        journal.leave()
        return
    places, damages = journal.waiting()
    sender = Sender(client, journal)
    stuck: dict[str, AwayError] = {}
    failures = 0  # one after the other
    for place in places:
        if place.run in stuck:
            continue
        try:
            sender.send(place, is_again=True)
        except AwayError as away:
            failures += 1
            if failures == _AWAY or not sender.may_wait(place):
                raise
            stuck[place.run] = away
            continue
        failures = 0
        sent.records += 1
        sent.runs.add(sender.known(place.run))
    if stuck:
        run, first = next(iter(stuck.items()))
        raise AwayError(f"{first} for run {sender.known(run)}, while it takes other runs")
    sent.journals += 1
    sent.problems += [*damages, *sender.refused.values()]
    if damages:
        aside = journal.put_aside()
        sent.problems.append(f"what was not sent is kept in {aside}: look at it, and remove it")
    else:
        journal.remove()


def _is_for(client: MlflowClient, journal: Journal) -> bool:
    """Whether a journal's experiment is one of this store."""
    try:
        found = client.get_experiment(journal.plan.experiment)
    except Exception as error:
        if _is_refusal(error):
            return False
        raise AwayError(_cause(error)) from error
    return identity_of(found) == journal.plan.identity


def _is_final(error: Exception) -> bool:
    """Whether the server will say the same of this record whenever it is sent."""
    return isinstance(error, MlflowException) and error.error_code in _FINAL


def _is_refusal(error: Exception) -> bool:
    """Whether the server is there, and does not like the record."""
    if isinstance(error, MlflowException):
        status = error.get_http_status_code()
    elif isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
    else:
        return False
    return 400 <= status < 500 and status not in _NOT_FINAL


def _cause(error: BaseException) -> str:
    """Why a server takes nothing, in few words."""
    root = error
    while (deeper := root.__cause__ or root.__context__) is not None:
        root = deeper
    lines = str(root).strip().splitlines() or [""]
    return redacted(f"{type(root).__name__}: {lines[0][:120]}".rstrip(": "))
