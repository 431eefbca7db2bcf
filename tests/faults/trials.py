"""Runs a step in a copy of this process, disturbed and then again, and judges what it leaves.

A copy begins with everything imported: a trial takes about a second.
"""

import contextlib
import io
import json
import logging
import os
import select
import shlex
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from mlflow.store.model_registry import sqlalchemy_store as registry_store
from mlflow.store.tracking import sqlalchemy_store

from pipeline.cli import commands
from pipeline.tracking import connect, processes
from tests.faults.cheap import make_cheap
from tests.faults.facts import STORE, TEMPORARY, Found, Reference, read
from tests.faults.injection import Fault, Injection
from tests.faults.server import Server
from tests.faults.steps import STEPS, write_data

# That a process may take before it hangs: a second of work, on a machine that has much else to do.
SECONDS = 600.0
_LOOK_SECONDS = 1.0
EXACT, UNCLEAR = "exact", "unclear"
_ENVIRONMENT = {
    "WHY_ZERO_WORKERS": "0",
    "MLFLOW_EXPERIMENT_NAME": "faults",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # A server that is gone is asked again at once.
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TRACEBACKS = ("Traceback (most recent call last)", "Exception ignored in")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A process that has ended.

    Attributes:
        code: its exit code; negative for a signal, None if it hung.
        said: what it has printed.
        places: what it has reached, in order; known only if it was not killed.
    """

    code: int | None
    said: str
    places: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a trial.

    Attributes:
        fault: what was done.
        place: where.
        faults: what is wrong, a line each that starts with its kind.
        said: what the disturbed process has printed.
    """

    fault: Fault
    place: str
    faults: list[str]
    said: str

    @property
    def kind(self) -> str:
        """`exact`, `unclear` or the kind of the first thing that is wrong."""
        return self.faults[0].partition(":")[0] if self.faults else EXACT


class Laboratory:
    """Prepared folders, and one in which trials are made: always the same, for paths in stores."""

    def __init__(self, folder: Path) -> None:
        """Prepare nothing yet.

        Args:
            folder: empty, on a fast disk.
        """
        self._prepared = folder / "prepared"
        self.root = folder / "work"
        self._prepared.mkdir()
        self._server = Server(folder / "server")
        self._references: dict[str, tuple[Reference, list[str]]] = {}
        os.environ |= _ENVIRONMENT
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
            os.environ.pop(name, None)
        logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
        make_cheap()

    def warm(self, steps: Collection[str]) -> None:
        """Run these steps here once, so that copies of this process have imported what they need.

        Args:
            steps: in their order.
        """
        self._clear()
        self.root.mkdir()
        write_data(self.root)
        before, handlers = Path.cwd(), {n: signal.getsignal(n) for n in _SIGNALS}
        os.chdir(self.root)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{self.root}/{STORE}"
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                for step in (name for name in steps if not STEPS[name].on_server):
                    line = STEPS[step].line.format(network=_network(self.root / STORE))
                    if step == "import":
                        line += " --to sqlite:///imported.db"
                    assert commands.run(shlex.split(line)) == 0, step
        finally:
            os.chdir(before)
            # The engine stays, for what it has compiled, but not its connections.
            for kind in (sqlalchemy_store.SqlAlchemyStore, registry_store.SqlAlchemyStore):
                for engine in kind._engine_map.values():
                    engine.dispose()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def prepare(self, step: str) -> None:
        """Put the working folder into the state in which a step starts."""
        wanted = STEPS[step]
        base = self._base(has_store=wanted.has_store)
        if wanted.after:
            before = self._after(wanted.after)
            base = self._base(has_store=True) if wanted.keeps else before
        self._clear()
        shutil.copytree(base, self.root)
        if wanted.on_server:
            self._server.reset()
        for name in wanted.keeps:
            shutil.copy(before / name, self.root / name)

    def _clear(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def _base(self, *, has_store: bool) -> Path:
        """The folder with the data alone."""
        folder = self._prepared / ("base" if has_store else "empty")
        if not folder.exists():
            self._clear()
            self.root.mkdir()
            write_data(self.root)
            (self.root / TEMPORARY).mkdir()
            if has_store:
                ended = self._fork(lambda: int(connect() is None))
                assert ended.code == 0, ended.said
            shutil.copytree(self.root, folder)
        return folder

    def _after(self, step: str) -> Path:
        """The folder that an undisturbed step leaves."""
        folder = self._prepared / step
        if not folder.exists():
            self.prepare(step)
            ended = self.run(step)
            assert ended.code == 0, ended.said
            shutil.copytree(self.root, folder)
        return folder

    def run(self, step: str, fault: Fault | None = None) -> Ended:
        """Run a step in the working folder as it is."""
        line = STEPS[step].line.format(network=_network(self.root / STORE))
        uri = self._server.uri if STEPS[step].on_server else None
        return self._fork(lambda: commands.run(shlex.split(line)), fault, uri=uri)

    def _found(self, step: str) -> Found:
        """What is there after a step."""
        return read(self.root, self._server.folder if STEPS[step].on_server else self.root)

    def close(self) -> None:
        """End the server, if there is one."""
        self._server.close()

    def _fork(
        self, work: Callable[[], int], fault: Fault | None = None, *, uri: str | None = None
    ) -> Ended:
        """Do something in a copy of this process, with everything printed to a pipe."""
        uri = uri or f"sqlite:///{self.root}/{STORE}"
        said, out = os.pipe()
        told, tell = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            os.environ["MLFLOW_TRACKING_URI"] = uri
            self._be(work, fault, out=out, tell=tell)
        os.close(out)
        os.close(tell)
        texts, has_ended = read_all([said, told], seconds=SECONDS)
        if not has_ended:
            os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(said)
        os.close(told)
        code = os.waitstatus_to_exitcode(status) if has_ended else None
        places = json.loads(texts[1] or "[]")
        return Ended(code=code, said=texts[0].decode(errors="replace"), places=places)

    def _be(self, work: Callable[[], int], fault: Fault | None, *, out: int, tell: int) -> None:
        """Be the copy; it does not return."""
        code = 70
        try:
            os.setpgid(0, 0)
            for number in (1, 2):
                os.dup2(out, number)
            os.chdir(self.root)
            tempfile.tempdir = str(self.root / TEMPORARY)
            for known in (processes.this_process, processes.host):
                known.cache_clear()
            injection = Injection(self.root, fault)
            injection.install()
            code = work()
            os.write(tell, json.dumps(injection.places).encode())
        except BaseException:  # noqa: BLE001 - it must not return into a second campaign
            sys.excepthook(*sys.exc_info())
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def places(self, step: str) -> list[str]:
        """The places that a step reaches undisturbed: see `Injection`."""
        return self._reference(step)[1]

    def _reference(self, step: str) -> tuple[Reference, list[str]]:
        """What a step leaves undisturbed, and the places that it reaches."""
        if step not in self._references:
            found = []
            for _ in range(2):
                self.prepare(step)
                ended = self.run(step)
                assert ended.code == 0, ended.said
                found.append(self._found(step))
            reference = Reference(*found)
            assert not reference.faults(found[1]), reference.faults(found[1])
            self._references[step] = reference, ended.places
        return self._references[step]

    def trial(self, step: str, fault: Fault) -> Verdict:
        """Disturb a step, run it again, and judge what is there then."""
        reference, places = self._reference(step)
        place = places[fault.place - 1] if fault.place <= len(places) else "beyond"
        self.prepare(step)
        ended = self.run(step, fault)
        faults = broken_promises(ended)
        left = [path.name for path in (self.root / TEMPORARY).iterdir()]
        if ended.code is not None and ended.code >= 0 and fault.kind != "I/O error" and left:
            faults += [f"left: {name} in the temporary folder" for name in left]
        again = self.run(step)
        if again.code is None:
            faults.append("stuck: the same line again hangs")
        elif again.code and not (STEPS[step].is_once and "must not exist yet" in again.said):
            faults.append(f"stuck: the same line again ends with {again.code}: {again.said[-300:]}")
        faults += _spoken(again)
        faults += reference.faults(self._found(step))
        if not faults and not is_reached(fault, ended):
            faults.append(f"{UNCLEAR}: this time it did not reach that place")
        return Verdict(fault=fault, place=place, faults=faults, said=ended.said)


def _network(store: Path) -> str:
    """The id of the run of the last network in a store."""
    if not store.exists() or not store.stat().st_size:
        return ""
    with closing(sqlite3.connect(store)) as database:
        query = (
            "SELECT run_uuid FROM tags JOIN runs USING (run_uuid) WHERE key = 'kind' "
            "AND value = 'network' ORDER BY start_time DESC"
        )
        return str((database.execute(query).fetchone() or [""])[0])


def is_reached(fault: Fault, ended: Ended) -> bool:
    """Whether the fault has happened: threads make the number of places vary a little."""
    if fault.kind.startswith("kill"):
        return ended.code == -signal.SIGKILL
    return len(ended.places) >= fault.place


def broken_promises(ended: Ended) -> list[str]:
    """What a disturbed process has done that none may."""
    if ended.code is None:
        return ["stuck: it hangs"]
    if ended.code == -signal.SIGKILL:
        return []
    faults = _spoken(ended)
    if ended.code < 0:
        faults.append(f"message: it died of signal {-ended.code}")
    elif ended.code and "error: " not in ended.said:
        faults.append(f"message: code {ended.code} without a word: {ended.said[-200:]!r}")
    return faults


def _spoken(ended: Ended) -> list[str]:
    for mark in _TRACEBACKS:
        if mark in ended.said:
            return [f"message: a traceback: {ended.said[ended.said.index(mark) :][-600:]!r}"]
    return []


def read_all(pipes: Sequence[int], *, seconds: float) -> tuple[list[bytes], bool]:
    """What is written to each pipe, and whether nobody can write more.

    Args:
        pipes: the ends to read.
        seconds: the longest that it may take, without the time in which this process is stopped.
    """
    texts = dict.fromkeys(pipes, b"")
    waiting = list(pipes)
    while waiting and seconds > 0:
        begun = time.monotonic()
        ready, _, _ = select.select(waiting, [], [], min(_LOOK_SECONDS, seconds))
        seconds -= min(time.monotonic() - begun, _LOOK_SECONDS)
        for pipe in ready:
            if part := os.read(pipe, 1 << 16):
                texts[pipe] += part
            else:
                waiting.remove(pipe)
    return [texts[pipe] for pipe in pipes], not waiting
