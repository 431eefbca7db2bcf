"""Samples the machine while runs are open: CPU, memory, disk, network, GPU."""

import itertools
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from pipeline.errors import PipelineError
from pipeline.tracking.runs import Run

INTERVAL_SECONDS = 2.0
_STOP_SECONDS = 0.5
_logger = logging.getLogger(__name__)


@contextmanager
def watching_system(
    runs: Sequence[Run], *, first_step: int = 0, interval_seconds: float = INTERVAL_SECONDS
) -> Iterator[None]:
    """Log the machine's state to the runs: at once, at every interval, and at the block's end.

    One thread samples for all runs, less often the more there are, so that the cost stays the
    same. `MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL` wins over the interval given.

    Args:
        runs: open runs; at least one.
        first_step: the number of the first sample: after those that resumed runs have.
        interval_seconds: between two samples, times the number of runs.
    """
    # MLflow's collectors with a thread of our own: that of its monitor logs its first sample only
    # after an interval, reads the run back at every sample, and on stopping waits without end for a
    # server that is gone.
    source = SystemMetricsMonitor(
        runs[0].id, sampling_interval=interval_seconds, tracking_uri=runs[0].store.uri
    )
    steps = itertools.count(first_step)
    is_over = threading.Event()
    watched = list(runs)

    def sample() -> None:
        source.collect_metrics()
        values = {f"system/{name}": value for name, value in source.aggregate_metrics().items()}
        for monitor in source.monitors:
            monitor.clear_metrics()
        step = next(steps)
        for run in list(watched):
            try:
                run.metrics(values, step)
            except PipelineError as refusal:
                # A run does not fail for its system metrics: the next write reports the problem.
                if run.is_gone():
                    watched.remove(run)
                    continue
                _logger.warning("No more system metrics are logged: %s", refusal)
                is_over.set()
                return

    def watch() -> None:
        while not is_over.wait(source.sampling_interval * len(runs)):
            sample()

    thread = threading.Thread(target=watch, name="watch-system", daemon=True)
    sample()
    thread.start()
    try:
        yield
    finally:
        was_over = is_over.is_set()
        is_over.set()
        thread.join(_STOP_SECONDS)
        # A thread stuck on a server that is gone is left behind.
        if not was_over and not thread.is_alive():
            sample()
