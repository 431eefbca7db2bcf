"""Runs the pipeline as a whole process and watches it from outside: when it trains, what it holds.

The first update begins when epoch 0, the untrained network, has ended.
"""

import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.processes import with_checkout

_WEIGHS_SECONDS = 0.5  # weighing takes the watched processes' time


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What was seen.

    Attributes:
        to_first_update: seconds from the command.
        from_first_update: seconds from there to the end of the process.
        training: seconds of all updates, of all networks.
        gib: the most memory that its processes held together, shared pages counted once.
    """

    to_first_update: float
    from_first_update: float
    training: float
    gib: float

    @property
    def seconds(self) -> float:
        """From the command to its end."""
        return self.to_first_update + self.from_first_update


def observe(*arguments: str, folder: Path, cores: Collection[int] | None = None) -> Observed:
    """Run `python -m pipeline ARGUMENTS` in a folder with a store of its own.

    Args:
        arguments: a step that trains, and its options.
        folder: where it runs; a store that is there is used.
        cores: those that it may use; None for all.

    Raises:
        CalledProcessError: it failed.
    """
    before = _training(folder)
    own = psutil.Process()
    allowed = own.cpu_affinity()
    if cores is not None:
        own.cpu_affinity(list(cores))  # which processes inherit
    command = [sys.executable, "-m", "pipeline", *arguments]
    environment = {**with_checkout(), "WHY_ZERO_DEBUG": "1"}
    most = 0.0
    started = time.time()
    with tempfile.TemporaryFile("w+") as messages:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=messages
        )
        own.cpu_affinity(allowed)
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_WEIGHS_SECONDS)
                break
            most = max(most, _gib(process.pid))
        ended = time.time()
        messages.seek(0)
        told = messages.read()
    if process.returncode:
        sys.stderr.write(told)
        raise subprocess.CalledProcessError(process.returncode, command)
    first = min(float(at) for at in re.findall(r"epoch 0 ended at ([\d.]+)", told))
    return Observed(
        to_first_update=first - started,
        from_first_update=ended - first,
        training=_training(folder) - before,
        gib=most,
    )


def _gib(pid: int) -> float:
    """What a process and those below it hold: their proportional set sizes."""
    total = 0
    with suppress(psutil.Error):
        parent = psutil.Process(pid)
        for each in (parent, *parent.children(recursive=True)):
            with suppress(psutil.Error):
                total += each.memory_full_info().pss
    return total / 2**30


def _training(folder: Path) -> float:
    """The seconds of all epochs' updates in a store; a stack's are divided among its networks."""
    store = folder / "mlflow.db"
    if not store.exists():
        return 0.0
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
        query = "SELECT SUM(value) FROM metrics WHERE key = 'speed/epoch_seconds'"
        return float(database.execute(query).fetchone()[0] or 0.0)
