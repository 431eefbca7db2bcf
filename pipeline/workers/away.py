"""What trains on another machine: a job and files in, what happens to it out.

It trains where it has no folder of the step's, so the files of the checkpoint travel both ways.
"""

import logging
import os
import queue
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from pipeline.data import ImageData
from pipeline.errors import PipelineError
from pipeline.files import beside
from pipeline.program import program
from pipeline.training import device as devices
from pipeline.training.checkpoint import Checkpoint, EpochEnd
from pipeline.workers.job import Job
from pipeline.workers.process import Beats, Telling, work

Files = Mapping[str, bytes]
Message = tuple[str, Any]
# How often it tells of updates, and the longest that it makes whoever asks wait.
_SECONDS = 1.0


class Trainer:
    """Trains one job after another, and is asked for its messages: see `process.serve`.

    One more kind is `files`: files of the checkpoint by name, to be put in their place. Training
    goes on beside, but nothing more of the checkpoint is written until it is asked again: that the
    files have arrived is part of what writing them takes.
    """

    def __init__(self) -> None:
        """Train nothing yet."""
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._arrived: list[threading.Event] = []
        logging.getLogger("pipeline").addHandler(Telling(self._tell))

    def machine(self, device: torch.device) -> dict[str, str]:
        """What decides its numbers: versions, the program, and the device."""
        try:
            return program() | {"device": devices.describe(device)}
        except (RuntimeError, AssertionError) as error:  # as torch says that there is no such one
            return program() | {"device": str(error)}

    def start(self, job: Job, data: ImageData, files: Files) -> None:
        """Begin a job.

        Args:
            job: with the checkpoint as the step has it.
            data: what it is trained on.
            files: of that checkpoint.
        """
        threading.Thread(target=self._train, args=(job, data, files), daemon=True).start()

    def told(self) -> list[Message]:
        """What there is to tell, in order; waits a second for it. What it told before has arrived.

        A worker that has ended its job must not be asked.
        """
        for arrived in self._arrived:
            arrived.set()
        self._arrived = []
        messages: list[Message] = []
        with suppress(queue.Empty):
            messages.append(self._messages.get(timeout=_SECONDS))
            while True:
                messages.append(self._messages.get_nowait())
        self._arrived = [each.arrived for _, each in messages if isinstance(each, _Sent)]
        return [(kind, each.files if isinstance(each, _Sent) else each) for kind, each in messages]

    def _tell(self, kind: str, content: object) -> None:
        self._messages.put((kind, content))

    def _deliver(self, files: Files) -> None:
        sent = _Sent(files)
        self._tell("files", sent)
        sent.arrived.wait()

    def _train(self, job: Job, data: ImageData, files: Files) -> None:
        try:
            with (
                devices.flushing_denormals(),
                # What processes left that were killed here is removed as well.
                beside(Path(tempfile.gettempdir()) / "why-zero-trainer") as folder,
            ):
                self._train_in(folder, job, data, files)
        except Exception as error:  # noqa: BLE001 - it is raised where the job was given
            self._tell("error", PipelineError(f"{type(error).__name__}: {error}"))

    def _train_in(self, folder: Path, job: Job, data: ImageData, files: Files) -> None:
        if job.checkpoint is None:
            raise PipelineError("a job must have a checkpoint, got none: report this")
        # Of the same name, which the digests of its files hold.
        here = folder / job.checkpoint.folder.name
        here.mkdir()
        place(files, here)
        carried = _Carried(
            folder=here,
            store=job.checkpoint.store,
            members=job.checkpoint.members,
            is_halved=job.checkpoint.is_halved,
            deliver=self._deliver,
            known=_times(here),
        )
        threads = min(job.threads, devices.cores())
        work(
            replace(job, checkpoint=carried, threads=threads),
            data,
            self._tell,
            Beats(self._tell, _SECONDS),
        )


@dataclass(frozen=True)
class _Sent:
    """Files on their way."""

    files: Files
    arrived: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, kw_only=True)
class _Carried(Checkpoint):
    """A checkpoint whose files are delivered once they are written.

    Attributes:
        deliver: takes files by name, and returns when they are in their place.
        known: when the files were written that are there already.
    """

    deliver: Callable[[Files], None]
    known: dict[str, int]

    def write(self, end: EpochEnd) -> None:
        super().write(end)
        times = _times(self.folder)
        # The state after the records, as it is written.
        new = [name for name in sorted(times) if self.known.get(name) != times[name]]
        self.deliver({name: (self.folder / name).read_bytes() for name in new})
        self.known.update(times)


def _times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}


def files_in(folder: Path) -> dict[str, bytes]:
    """The files of a checkpoint but for its plan, by name.

    Raises:
        PipelineError: they cannot be read.
    """
    try:
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}
    except OSError as error:
        raise PipelineError(
            f"a checkpoint must be readable, got {folder} ({error}): check its permissions, or "
            "delete that folder to train these networks from scratch"
        ) from error


def place(files: Files, folder: Path) -> None:
    """Write the files of a checkpoint, each moved into its place once all of it is on disk.

    Raises:
        PipelineError: it cannot be written.
    """
    try:
        for name, content in files.items():
            unfinished = folder / f"{name}.tmp"
            with unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(folder / name)
    except OSError as error:
        raise PipelineError(
            f"a checkpoint must be written, got {error} for {folder}: free space or that path, "
            "then run the same command again"
        ) from error
