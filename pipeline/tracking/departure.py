"""Reads all that a store has about a version of a registered model, as our records and files.

It must not know where it goes, nor change anything.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.artifacts import download_artifacts
from mlflow.entities import LoggedModel, Metric
from mlflow.entities import Run as StoredRun
from mlflow.models import Model

from pipeline.bundle.contents import (
    Contents,
    DatasetRecord,
    ExperimentRecord,
    ModelRecord,
    Points,
    RunRecord,
    VersionRecord,
)
from pipeline.errors import PipelineError
from pipeline.tracking.registry import Registry, Version
from pipeline.tracking.store import Store, found_or_none

_LOGGED = "models:/m-"
# MLflow notes in the copy that it downloads where the copy comes from.
_NOTE = "registered_model_meta"


def read_contents(store: Store, address: str) -> Contents:
    """All that the store tells about a registered model, its run and its experiment.

    Args:
        store: an open store.
        address: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        PipelineError: there is no such version, or its run or logged model is gone.
    """
    version = Registry(store).find(address)
    client = store.client
    with store.writing():
        run = found_or_none(lambda: client.get_run(version.run_id)) if version.run_id else None
        if run is None or not version.source.startswith(_LOGGED):
            raise PipelineError(
                f"a model must come from a run that logged it, got {version.address} from "
                f"{version.source or 'nowhere'}: register a network that this pipeline trained"
            )
        model = client.get_logged_model(version.source.removeprefix("models:/"))
        experiment = client.get_experiment(run.info.experiment_id)
        registered = client.get_registered_model(version.name)
        metrics = {key: _history(store, run, key) for key in sorted(run.data.metrics)}
    return Contents(
        experiment=ExperimentRecord(
            id=experiment.experiment_id, name=experiment.name, tags=dict(experiment.tags)
        ),
        run=_run(run),
        metrics=metrics,
        model=_model(model, run),
        version=_version(version, registered.description or "", registered.tags),
    )


def fetch_artifacts(store: Store, run_id: str, folder: Path) -> None:
    """Copy all artifacts of a run into a folder."""
    with store.writing():
        # An address of the run, since an empty path of it would be refused where it has none.
        if store.client.list_artifacts(run_id):
            download_artifacts(run_id=run_id, artifact_path="", dst_path=str(folder),
                               tracking_uri=store.uri)  # fmt: skip


def fetch_model(store: Store, model_id: str, folder: Path) -> Mapping[str, Any]:
    """Copy the files of a logged model into a folder, and return what its MLmodel says."""
    with store.writing(), tempfile.TemporaryDirectory() as temporary:
        local = Path(
            download_artifacts(f"models:/{model_id}", dst_path=temporary, tracking_uri=store.uri)
        )
        for path in sorted(local.rglob("*")):
            if path.is_file() and path.name != _NOTE:
                target = folder / path.relative_to(local)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        return dict(Model.load(str(local)).to_dict())


def _history(store: Store, run: StoredRun, key: str) -> Points:
    return _points(store.client.get_metric_history(run.info.run_id, key))


def _points(metrics: list[Metric]) -> Points:
    return tuple(sorted((point.step, point.timestamp, float(point.value)) for point in metrics))


def _run(run: StoredRun) -> RunRecord:
    datasets = [
        DatasetRecord(
            name=entry.dataset.name,
            digest=entry.dataset.digest,
            source_type=entry.dataset.source_type,
            source=entry.dataset.source,
            schema=entry.dataset.schema,
            profile=entry.dataset.profile,
            tags={tag.key: tag.value for tag in entry.tags},
        )
        for entry in (run.inputs.dataset_inputs if run.inputs else [])
    ]
    return RunRecord(
        id=run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        start_ms=run.info.start_time,
        end_ms=run.info.end_time,
        parameters=dict(run.data.params),
        tags=dict(run.data.tags),
        datasets=tuple(sorted(datasets, key=lambda one: (one.name, one.digest))),
    )


def _model(model: LoggedModel, run: StoredRun) -> ModelRecord:
    outputs = run.outputs.model_outputs if run.outputs else []
    points: dict[str, list[Metric]] = {}
    for metric in model.metrics or []:
        points.setdefault(metric.key, []).append(metric)
    return ModelRecord(
        id=model.model_id,
        name=model.name,
        type=model.model_type or None,
        step=next((output.step for output in outputs if output.model_id == model.model_id), 0),
        parameters=dict(model.params),
        tags=dict(model.tags),
        metrics={key: _points(points[key]) for key in sorted(points)},
    )


def _version(version: Version, description: str, tags: Mapping[str, str]) -> VersionRecord:
    return VersionRecord(
        name=version.name,
        version=version.version,
        description=version.description,
        tags=dict(version.tags),
        aliases=tuple(sorted(version.aliases)),
        model_description=description,
        model_tags=dict(tags),
    )
