"""Gives stacks to workers, passes on what these tell, and publishes in between."""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

import torch

from pipeline import spare
from pipeline.errors import PipelineError
from pipeline.fit.stack_run import Conduct, StackRun
from pipeline.workers import Event, Here, Trained, Worker, Workers, first_ready


class Crew:
    """Workers and their stacks, conducted by one thread, which alone writes to the store.

    A worker whose stack is trained begins the next one before the networks of the last are
    published: one by one, whenever no worker has something to tell.
    """

    def __init__(
        self,
        workers: Workers,
        waiting: Mapping[torch.device, deque[StackRun]],
        conduct: Callable[[StackRun], Conduct],
        meanwhile: Callable[[], None],
    ) -> None:
        """Begin nothing yet.

        Args:
            workers: those of all devices.
            waiting: the stacks of each device; conducting one may add others.
            conduct: what training a stack and ending its runs needs, step by step; it deals with
                the errors that concern its stack alone.
            meanwhile: called once, when the first jobs are under way in other processes.
        """
        self._workers = workers
        self._waiting = waiting
        self._conduct = conduct
        self._meanwhile = meanwhile
        self._busy: dict[Worker | Here, Conduct] = {}
        self._publishing: deque[Conduct] = deque()

    def work(self) -> None:
        """Train and publish until nothing is left."""
        try:
            self._give_jobs()
            spare.dismiss()
            if any(isinstance(worker, Worker) for worker in self._busy):
                self._meanwhile()
            while self._busy or self._publishing:
                seconds = 0.0 if self._publishing else None
                if self._busy and (worker := first_ready(list(self._busy), seconds=seconds)):
                    self._hear(worker)
                else:
                    self._publish()
        finally:
            for conducted in (*self._busy.values(), *self._publishing):
                conducted.close()

    def _give_jobs(self) -> None:
        """Have every idle worker begin a stack, and only then open the stacks' runs."""
        begun = [worker for worker in self._workers if self._gives_job(worker)]
        for worker in self._workers:
            if worker not in self._busy:
                worker.close()  # nothing waits for it, and torch takes memory
        for worker in begun:
            self._tell(worker, None)

    def _gives_job(self, worker: Worker | Here) -> bool:
        queue = self._waiting[worker.device]
        while queue and worker not in self._busy:
            run = queue.popleft()
            conducted = self._conduct(run)
            first = next(conducted, None)
            if first is None:
                continue  # nothing of it was left to do, or it has failed
            job, pace = first
            try:
                worker.start(job, run.tasks[0].data, pace)
            except PipelineError as error:
                _end(conducted, error)
            else:
                self._busy[worker] = conducted
                return True
        return False

    def _hear(self, worker: Worker | Here) -> None:
        """Pass on what a worker tells."""
        try:
            event = worker.next()
        except Exception as error:  # noqa: BLE001 - whoever conducts the stack knows what to do
            _end(self._busy.pop(worker), error)
            self._give_jobs()
            return
        if isinstance(event, Trained):
            conducted = self._busy.pop(worker)
            self._publishing.append(conducted)
            self._give_jobs()
            if _is_over(conducted, event):
                self._publishing.remove(conducted)
        elif event is not None:
            self._tell(worker, event)
            if worker in self._busy and not worker.has_more:
                self._tell(worker, None)

    def _tell(self, worker: Worker | Here, event: Event | None) -> None:
        """Pass on an event of a worker's stack; end its work if nobody waits for it any more."""
        if _is_over(self._busy[worker], event):
            del self._busy[worker]
            worker.close()
            self._give_jobs()

    def _publish(self) -> None:
        """Publish one network of the stack that was trained first."""
        if _is_over(self._publishing[0], None):
            self._publishing.popleft()


def _is_over(conducted: Conduct, event: Event | None) -> bool:
    """Whether nothing of a stack is left to do once it has taken this event."""
    try:
        conducted.send(event)
    except StopIteration:
        return True
    return False


def _end(conducted: Conduct, error: Exception) -> None:
    """Let a stack deal with what ended its training; raises what concerns all."""
    with suppress(StopIteration):
        conducted.throw(error)
