"""Reads everything a store has on a version of a registered model, as our records and files."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.artifacts import download_artifacts
from mlflow.entities import LoggedModel, Metric
from mlflow.entities import Run as StoredRun
from mlflow.models import Model
from numpy.typing import NDArray
from torch import nn

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
from pipeline.tracking.models import save_network
from pipeline.tracking.registry import Registry, Version
from pipeline.tracking.store import REFUSALS, Store, found_or_none, one_line

_LOGGED = "models:/m-"
_EXAMPLE = "input_example.json"
_TIME = "%Y-%m-%d %H:%M:%S.%f"


def read_contents(store: Store, address: str) -> Contents:
    """Everything the store has on a registered model, its run and its experiment.

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
        metrics = {key: history(store, run, key) for key in sorted(run.data.metrics)}
    return Contents(
        experiment=ExperimentRecord(
            id=experiment.experiment_id, name=experiment.name, tags=dict(experiment.tags)
        ),
        run=run_record(run),
        metrics=metrics,
        model=model_record(model, run),
        version=_version(version, registered.description or "", registered.tags),
    )


def fetch_artifacts(store: Store, run_id: str, folder: Path) -> None:
    """Copy all artifacts of a run into a folder."""
    with store.writing():
        # An address of the run, since an empty path of it would be refused where it has none.
        if store.client.list_artifacts(run_id):
            download_artifacts(run_id=run_id, artifact_path="", dst_path=str(folder),
                               tracking_uri=store.uri)  # fmt: skip


def fetch_example(store: Store, model_id: str, folder: Path) -> Path:
    """Copy the input example of a logged model into a folder, and return where it lies.

    Raises:
        PipelineError: there is none.
    """
    try:
        file = f"{store.client.get_logged_model(model_id).artifact_location}/{_EXAMPLE}"
        return Path(download_artifacts(file, dst_path=str(folder), tracking_uri=store.uri))
    except REFUSALS as error:
        raise PipelineError(
            f"a model must come with an input example, got none for models:/{model_id} "
            f"({one_line(error)}): train the network again with force=true, which logs its model"
        ) from error


def write_model(
    network: nn.Module, folder: Path, *, example: NDArray[np.float32], contents: Contents
) -> Mapping[str, Any]:
    """Rewrite the files of the logged model, and return what its MLmodel says.

    The bytes are the same each time: the model gets the end time of its run.
    """
    run, model = contents.run, contents.model
    ended = datetime.fromtimestamp((run.end_ms or run.start_ms) / 1000, UTC)
    of = Model(
        model_uuid=model.id, model_id=model.id, run_id=run.id, utc_time_created=f"{ended:{_TIME}}"
    )
    save_network(network, folder, example=example, of=of)
    return dict(Model.load(str(folder)).to_dict())


def history(store: Store, run: StoredRun, key: str) -> Points:
    """All points of a metric of a run."""
    return _points(store.client.get_metric_history(run.info.run_id, key))


def _points(metrics: list[Metric]) -> Points:
    return tuple(sorted((point.step, point.timestamp, float(point.value)) for point in metrics))


def run_record(run: StoredRun) -> RunRecord:
    """What a store has on a run, but for its metrics and artifacts."""
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
        datasets=tuple(sorted(datasets, key=lambda dataset: (dataset.name, dataset.digest))),
    )


def model_record(model: LoggedModel, run: StoredRun) -> ModelRecord:
    """What a store has on a logged model of a run, but for its files."""
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
