"""A run that has ended, as a record."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow.entities import Run as StoredRun

from pipeline.bundle.contents import ORIGIN


@dataclass(frozen=True, kw_only=True)
class FoundRun:
    """A run that has ended.

    Attributes:
        id: MLflow's id of it.
        name: its display name.
        parameters: its settings as canonical text.
        tags: its tags, MLflow's own included.
        metrics: the last point of each metric.
        model: the address of the model it logged; None where it logged none.
    """

    id: str
    name: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    model: str | None


def found(run: StoredRun) -> FoundRun:
    """The record of MLflow's run."""
    models = run.outputs.model_outputs if run.outputs else []
    return FoundRun(
        id=run.info.run_id,
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


def is_own(run: StoredRun) -> bool:
    """Whether a process that uses this store has computed the run, and no bundle has brought it."""
    return ORIGIN not in run.data.tags


def has_artifacts(run: StoredRun) -> bool:
    """Whether the run's artifacts still exist; remote ones are assumed to."""
    folder = local_artifacts(run)
    return folder is None or folder.is_dir()
