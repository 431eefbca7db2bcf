"""Samples the machine while runs are open: processor, memory, disk, network, GPU."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from pipeline.errors import PipelineError
from pipeline.tracking.runs import Run

INTERVAL_SECONDS = 2.0
_STOP_SECONDS = 0.5
_ALWAYS_SAMPLED = "cpu_utilization_percentage"
_logger = logging.getLogger(__name__)


@contextmanager
def watching_system(
    runs: Sequence[Run], *, interval_seconds: float = INTERVAL_SECONDS
) -> Iterator[None]:
    """Log the machine's state to the runs: at once, at every interval, and at the block's end.

    One thread samples for all runs, and the more runs there are the less often, so that the cost
    stays the same. `MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL` wins over the interval given.

    Args:
        runs: open runs; at least one.
        interval_seconds: between two samples, times the number of runs.
    """
    watch = _Watch(runs, interval_seconds)
    watch.sample()
    watch.start()
    try:
        yield
    finally:
        watch.stop()


class _Watch(threading.Thread):
    """MLflow's collectors with a thread of our own.

    That of `SystemMetricsMonitor` logs its first sample only after an interval, reads the run
    back at every sample, and on stopping waits without end for a server that is gone.
    """

    def __init__(self, runs: Sequence[Run], interval_seconds: float) -> None:
        super().__init__(name="watch-system", daemon=True)
        self._runs = runs
        self._source = SystemMetricsMonitor(
            runs[0].id, sampling_interval=interval_seconds, tracking_uri=runs[0].store.uri
        )
        self._seconds = self._source.sampling_interval * len(runs)
        self._step = _first_step(runs)
        self._is_over = threading.Event()

    def sample(self) -> None:
        """Log one point of every system metric to every run."""
        self._source.collect_metrics()
        values = {
            f"system/{name}": value for name, value in self._source.aggregate_metrics().items()
        }
        for monitor in self._source.monitors:
            monitor.clear_metrics()
        try:
            for run in self._runs:
                run.metrics(values, self._step)
        except PipelineError as refusal:
            # The machine's state is not what the run is for: the next write of the run will tell.
            _logger.warning("System metrics end here: %s", refusal)
            self._is_over.set()
        self._step += 1

    def run(self) -> None:
        """Sample until stopped."""
        while not self._is_over.wait(self._seconds):
            self.sample()

    def stop(self) -> None:
        """Take a last sample and leave no thread, unless it is stuck with a server that is gone."""
        was_over = self._is_over.is_set()
        self._is_over.set()
        self.join(_STOP_SECONDS)
        if not was_over and not self.is_alive():
            self.sample()


def _first_step(runs: Sequence[Run]) -> int:
    """The step behind the last sample of runs that go on; 0 for new ones."""
    last = -1
    for run in runs:
        with run.store.writing():
            points = run.store.client.get_metric_history(run.id, f"system/{_ALWAYS_SAMPLED}")
        last = max([last, *(point.step for point in points)])
    return last + 1
