"""A run that has ended, as a record."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Run as StoredRun

from pipeline.bundle.contents import ORIGIN
from pipeline.tracking.address import run_page
from pipeline.tracking.connectivity import local_folder
from pipeline.tracking.models import STATE_DICT


@dataclass(frozen=True, kw_only=True)
class FoundRun:
    """A run that has ended.

    Attributes:
        id: MLflow's id of it.
        experiment_id: the experiment that it is in.
        name: its display name.
        parameters: its settings as canonical text.
        tags: its tags, MLflow's own included.
        metrics: the last point of each metric.
        last_at: the steps of these points, and their times in milliseconds since 1970.
        model: the address of the model it logged; None where it logged none. Whether that is whole
            is what `Tracker.has_model` tells.
    """

    id: str
    experiment_id: str
    name: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    last_at: Mapping[str, tuple[int, int]]
    model: str | None

    @property
    def page(self) -> str:
        """A link to the run's page that works inside MLflow's UI, such as in a description."""
        return run_page("", self.experiment_id, self.id)


def found(run: StoredRun) -> FoundRun:
    """The record of MLflow's run."""
    models = run.outputs.model_outputs if run.outputs else []
    return FoundRun(
        id=run.info.run_id,
        experiment_id=str(run.info.experiment_id),
        name=run.info.run_name,
        parameters=run.data.params,
        tags=run.data.tags,
        metrics=run.data.metrics,
        # MLflow has no public way to them, but it asks the store for them.
        last_at={each.key: (each.step, each.timestamp) for each in run.data._metric_objs},  # noqa: SLF001
        model=f"models:/{models[-1].model_id}" if models else None,
    )


def is_own(run: StoredRun) -> bool:
    """Whether a process that uses this store has computed the run, and no bundle has brought it."""
    return ORIGIN not in run.data.tags


def local_artifacts(run: StoredRun) -> Path | None:
    """The folder of the run's artifacts; None where they are not on this machine."""
    return local_folder(run.info.artifact_uri)


def missing_artifacts(run: StoredRun) -> str:
    """Where the artifacts were that the run must have; empty if they exist, as remote ones do.

    Of a network these are its weights: whatever else it had can be made from them.
    """
    folder = local_artifacts(run)
    if folder is None:
        return ""
    needed = folder if run.data.tags.get("kind") == "step" else folder / STATE_DICT
    return "" if needed.exists() else str(needed)
