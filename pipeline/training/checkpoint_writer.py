"""Writes checkpoints beside training, and no more often than they pay."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.records import EpochRecord
from pipeline.training.checkpoint import Checkpoint, EpochEnd, epoch_end
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack

# Training goes on for this many times as long as writing took before the next state is written,
# so that writing takes at most a tenth of the time, and a kill loses little more than that.
PAYS = 10


class CheckpointWriter:
    """Writes the ends of a stack's epochs in a thread of its own, in their order.

    The records of every epoch are written; the state, from which training resumes, at the first
    and the last epoch, and in between whenever it pays. `close` it.
    """

    def __init__(self, checkpoint: Callable[[], Checkpoint]) -> None:
        """Write to this checkpoint; the thread asks for it whenever it writes."""
        self._checkpoint = checkpoint
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._seconds = 0.0  # that writing a state has taken
        self._written = -float("inf")

    def save(
        self,
        stack: Stack,
        optimizer: Optimizer,
        *,
        records: Sequence[EpochRecord],
        kept: Sequence[EpochRecord | None],
    ) -> None:
        """Take the end of an epoch as it is now, to be written while the next one trains.

        Args:
            stack: as in `epoch_end`, like the rest.
            optimizer: likewise.
            records: likewise.
            kept: likewise.

        Raises:
            PipelineError: what was given before could not be written.
        """
        self.wait()
        is_last = all(record.ending for record in records)
        pays = time.monotonic() - self._written >= PAYS * self._seconds
        if is_last or pays:
            end = epoch_end(stack, optimizer, records=records, kept=kept)
        else:
            end = EpochEnd(records=records, kept=list(kept), state=None)
        self._writing = self._thread.submit(self._write, end)

    def wait(self) -> None:
        """Return once everything is on disk.

        Raises:
            PipelineError: it could not be written.
        """
        if self._writing is not None:
            self._writing.result()

    def _write(self, end: EpochEnd) -> None:
        started = time.monotonic()
        self._checkpoint().write(end)
        if end.state is not None:
            self._written = time.monotonic()
            self._seconds = self._written - started

    def close(self) -> None:
        """End the thread, after what it writes."""
        self._thread.shutdown()
