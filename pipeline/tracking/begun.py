"""What the run of an interrupted network holds, to go on with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.tracking.store import Store

ALWAYS_SAMPLED = "system/cpu_utilization_percentage"


@dataclass(frozen=True, kw_only=True)
class BegunRun:
    """A run that an interrupted process has begun.

    Attributes:
        id: MLflow's id of it.
        times: of the epochs whose points are in it, in milliseconds since 1970.
        next_sample: the number of the next sample of the system.
    """

    id: str
    times: Mapping[int, int] = field(default_factory=dict)
    next_sample: int = 0


def begun_run(store: Store, run_id: str, key: str) -> BegunRun:
    """What a run holds.

    Args:
        store: of the run.
        run_id: its id.
        key: the metric that is written after all others of its epoch.
    """
    epochs = store.ask(lambda: store.client.get_metric_history(run_id, key))
    samples = store.ask(lambda: store.client.get_metric_history(run_id, ALWAYS_SAMPLED))
    return BegunRun(
        id=run_id,
        times={point.step: point.timestamp for point in epochs},
        next_sample=1 + max((point.step for point in samples), default=-1),
    )
