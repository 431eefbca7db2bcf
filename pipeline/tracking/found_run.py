"""A run that has ended, as a record."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow.entities import Run as StoredRun

from pipeline.tracking.address import run_page


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
        model: the address of the model it logged; None where it logged none.
    """

    id: str
    experiment_id: str
    name: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
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
        model=f"models:/{models[-1].model_id}" if models else None,
    )


def local_artifacts(run: StoredRun) -> Path | None:
    """The folder of the run's artifacts; None where they are not on this machine."""
    parts = urlsplit(run.info.artifact_uri)
    if parts.scheme not in {"", "file"}:
        return None
    return Path(unquote(parts.path) if parts.scheme else run.info.artifact_uri)


def has_artifacts(run: StoredRun) -> bool:
    """Whether the run's artifacts still exist; remote ones are assumed to."""
    folder = local_artifacts(run)
    return folder is None or folder.is_dir()
