"""One network of a stack that is being trained: its open run, and what it has logged."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from pipeline.errors import PipelineError
from pipeline.fit.tasks import Task
from pipeline.plots import RenderPool
from pipeline.records import EpochRecord
from pipeline.records.metrics import metrics
from pipeline.records.result import DIVERGED, Result
from pipeline.runs.publish import Drawn, Judged, draw, judge, publish, publish_rest, test_metrics
from pipeline.tracking import Run, SavedModels, reason_of

_logger = logging.getLogger(__name__)
# Written after all others of its epoch, and always finite: a run that has it has the whole epoch.
LAST = "train_eval/accuracy"


@dataclass(kw_only=True)
class Member:
    """One network, its open run, and what has happened so far.

    Attributes:
        task: what it is.
        run: its run.
        times: of the epochs whose points are in the run, in milliseconds since 1970.
        again: epochs that were trained again; the run's points are of the first time.
        history: its records, without their weights.
        kept: once it is trained, the record whose weights are kept, with these weights.
        judged: once it has been asked for, what these are worth.
        drawn: likewise its pictures, where they are kept.
        is_done: nothing is left to do: it is published, or its training has failed.
    """

    task: Task
    run: Run
    times: dict[int, int] = field(default_factory=dict)
    again: set[int] = field(default_factory=set)
    history: list[EpochRecord] = field(default_factory=list)
    kept: EpochRecord | None = None
    judged: Judged | None = None
    drawn: Drawn | None = None
    is_done: bool = False
    _waiting: dict[int, dict[str, float]] = field(default_factory=dict)

    def log(self, record: EpochRecord) -> None:
        """Record an epoch, to be written by `flush` unless its points are in the run already."""
        self.history.append(record)
        if record.epoch in self.times:
            self.again.add(record.epoch)
            return
        values = self._metrics(record)
        values[LAST] = values.pop(LAST)
        self._waiting[record.epoch] = values

    def flush(self) -> None:
        """Write the points of all epochs that wait for it, in one write."""
        if self._waiting:
            at_ms = self.run.series(self._waiting.items())
            self.times |= dict.fromkeys(self._waiting, at_ms)
            self._waiting.clear()

    def go_on(self, history: Sequence[EpochRecord]) -> None:
        """Take what an interrupted process had done instead of what is recorded here.

        Args:
            history: the records, from epoch 0 on.
        """
        self.history = []
        for record in history:
            self.log(record)

    def _metrics(self, record: EpochRecord) -> dict[str, float]:
        before = self.history[record.epoch - 1] if record.epoch else None
        return metrics(record, before, self.history[0])

    @property
    def deletion(self) -> str | None:
        """Why it cannot be finished, if somebody has deleted its run; None otherwise."""
        if not self.run.is_gone():
            return None
        return (
            "a run must not be deleted while its network is trained, got "
            f"{self.run.store.known(self.run.id)}: restore it in MLflow's UI, or run the same "
            "command again for a new one"
        )

    def prepare(self, render_pool: RenderPool) -> None:
        """Have it judged and drawn, before its turn to be published comes."""
        with suppress(Exception):  # it is met again then
            self._draw(render_pool)

    def finish(
        self, *, stack_size: int, render_pool: RenderPool, saved: SavedModels, keeps_all: bool
    ) -> Result | str:
        """End the run with all its results, or with the reason why it failed.

        Without `keeps_all` it has no pictures and no model. No error leaves this method: the other
        networks of the stack have runs to end as well.
        """
        try:
            result = self._publish(stack_size, render_pool if keeps_all else None, saved)
            self.run.end("finished")
        except Exception as error:
            _logger.debug("%s was not published", self.task.name, exc_info=True)
            if deletion := self.deletion:
                self.run.leave()
                return deletion
            self.run.end_after(error)
            return reason_of(error)
        self.is_done = True
        self.judged = self.drawn = None  # no longer needed
        return result

    def _judge(self) -> tuple[EpochRecord, Judged]:
        """The record whose weights were kept, and what these are worth."""
        last = self.history[-1]
        if self.kept is None or last.ending == "diverged":
            self.is_done = True
            raise PipelineError(
                f"{DIVERGED}, got NaN or infinity in epoch {last.epoch}: "
                "give a smaller learning_rate"
            )
        if self.judged is None:
            self.judged = judge(self.task.recipe, self.kept, self.task.data)
        return self.kept, self.judged

    def _draw(self, render_pool: RenderPool) -> Drawn:
        """Its pictures, while they are drawn."""
        kept, judged = self._judge()
        if self.drawn is None:
            self.drawn = draw(
                self.task.recipe,
                judged=judged,
                history=self.history,
                chosen=kept,
                data=self.task.data,
                render_pool=render_pool,
            )
        return self.drawn

    def _publish(
        self, stack_size: int, render_pool: RenderPool | None, saved: SavedModels
    ) -> Result:
        """Log what it keeps: pictures and model as well, if there is somebody to draw."""
        kept, judged = self._judge()
        result = publish(
            self.run,
            self.task.recipe,
            judged=judged,
            history=self.history,
            chosen=kept,
            at_ms=self.times[kept.epoch],
            data=self.task.data,
            device=self.task.device,
            stack_size=stack_size,
        )
        if render_pool:
            publish_rest(
                self.run,
                result,
                judged=judged,
                drawn=self._draw(render_pool),
                metrics=self._metrics(self.history[kept.epoch]) | test_metrics(result.test),
                at_ms=self.times[kept.epoch],
                data=self.task.data,
                saved=saved,
                # Trained a second time, it has other seconds.
                is_read_back=kept.epoch in self.again,
            )
        return result
