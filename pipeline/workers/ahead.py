"""Begins what will probably be asked for while the process that asks still imports MLflow."""

import threading
from collections.abc import Callable
from pathlib import Path

from pipeline.config.options import MnistSettings
from pipeline.data import ImageData, load
from pipeline.data.known import KNOWN
from pipeline.data.paths import is_file
from pipeline.data.store import file_of, read_prepared
from pipeline.training import device as devices
from pipeline.training.checkpoint import Checkpoint
from pipeline.workers.job import Event, Job, trained

Asked = tuple[Job, ImageData]
_PREPARED = Path("prepared")


class _WrongGuess(Exception):  # noqa: N818 - what it says
    """Something else was asked for."""


class Ahead:
    """The likely job, trained in memory until the real one is known.

    The thread that is to write the first checkpoint waits for that; training goes on meanwhile.
    Nothing is told, and nothing written, before.

    Attributes:
        asked: what was asked for; None so far.
    """

    def __init__(self, receive: Callable[[], Asked], tell: Callable[[Event], None]) -> None:
        """Begin nothing yet.

        Args:
            receive: waits for what is asked for.
            tell: takes the events of the job that was asked for.
        """
        self._receive = receive
        self._tell = tell
        self._held: list[Event] = []
        self._lock = threading.Lock()
        self._guess: Asked | None = None
        self._is_wrong = False
        self.asked: Asked | None = None

    def train(self, settings: MnistSettings, beat: Callable[[], None]) -> bool:
        """Train what these settings describe; whether it was what was asked for, and is done.

        Args:
            settings: of the step that will ask.
            beat: called with every update.
        """
        job, data = self._guess = _likely(settings)

        def check() -> None:
            if self._is_wrong:
                raise _WrongGuess
            beat()

        try:
            for event in trained(job, data, check, checkpoint=self._checkpoint):
                with self._lock:
                    if self._is_wrong:
                        return False
                    if self.asked is None:
                        self._held.append(event)
                    else:
                        self._tell(event)
        except _WrongGuess:
            return False
        return True

    def _checkpoint(self) -> Checkpoint:
        """Where to write, once that is known."""
        if self.asked is None:
            asked = self._receive()
            with self._lock:
                self.asked, self._is_wrong = asked, not self._is_same(*asked)
                for event in () if self._is_wrong else self._held:
                    self._tell(event)
        if self._is_wrong or self.asked[0].checkpoint is None:
            raise _WrongGuess
        return self.asked[0].checkpoint

    def _is_same(self, job: Job, data: ImageData) -> bool:
        """Whether a job is the guess, from its beginning."""
        if self._guess is None or (job.checkpoint and job.checkpoint.has_state):
            return False
        guess, images = self._guess
        return (list(job.recipes), job.device, job.cuda_graphs, data.digest) == (
            list(guess.recipes),
            guess.device,
            guess.cuda_graphs,
            images.digest,
        )


def _likely(settings: MnistSettings) -> Asked:
    """The network that `mnist` trains with these settings, unless it was trained before.

    Raises:
        Exception: there is none, or the data would have to be loaded first.
    """
    place = file_of(settings.data, _PREPARED)
    if is_file(place):
        data = read_prepared(place, settings.data)
    elif not KNOWN[settings.data].torchvision:
        data = load(settings.data)
    else:
        raise FileNotFoundError(place)
    job = Job(
        recipes=[settings.alone],
        device=devices.resolve(settings.device),
        threads=max(1, devices.cores() - 1),  # the process that asks is busy meanwhile
        checkpoint=None,
        cuda_graphs=settings.cuda_graphs,
    )
    return job, data
