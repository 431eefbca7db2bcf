"""What is logged to a store, as operations that may be repeated without doubling anything.

An operation takes MLflow's client, the id of a run, and what JSON can hold, so that a journal can
keep it until a server is there. What it needs to know of the store it asks when its turn has come.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModel,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from pipeline.tracking.connectivity import local_folder
from pipeline.tracking.processes import TAG

# Of a run that was written to a journal before it was made: by it a lost answer is found again.
KEY = "journal"
_UNFINISHED = ".artifact.uploading.*"  # MLflow's name for the file of a process that was killed
Point = Sequence[Any]  # a metric, its value, and the step


def create(
    client: MlflowClient,
    *,
    experiment: str,
    name: str,
    tags: Mapping[str, str],
    at_ms: int,
    key: str | None = None,
    is_again: bool = False,
) -> str:
    """Make a run without a parent, and return its id.

    Args:
        client: of the store.
        experiment: the id of the experiment.
        name: the display name.
        tags: all tags.
        at_ms: when it began.
        key: unique, a tag of it; None for a run that is not made again.
        is_again: it may have been made before, under the same key.
    """
    if key and is_again and (made := _with_key(client, experiment, key)):
        return made[0]
    tags = {**tags, KEY: key} if key else tags
    # The client, unlike `mlflow.start_run`, gives a run no parent.
    run = client.create_run(experiment, start_time=at_ms, tags=dict(tags), run_name=name)
    return str(run.info.run_id)


def remove_doubles(client: MlflowClient, run: str, *, experiment: str, key: str) -> None:
    """Remove what a server has made of a creation that it had not answered in time."""
    for double in _with_key(client, experiment, key):
        if double != run:
            client.delete_run(double)


def _with_key(client: MlflowClient, experiment: str, key: str) -> list[str]:
    """The runs with this key, the oldest first."""
    found = client.search_runs([experiment], f"tags.{KEY} = '{key}'")
    return [run.info.run_id for run in sorted(found, key=lambda run: run.info.run_id)]


def log(
    client: MlflowClient,
    run: str,
    *,
    points: Sequence[Point] = (),
    at_ms: int = 0,
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    at_time_of: str | None = None,
) -> None:
    """Log points, parameters and tags in one write.

    Args:
        client: of the store.
        run: the id of the run.
        points: one that was logged at this time before is not doubled.
        at_ms: their time.
        params: by name.
        tags: by name.
        at_time_of: a metric whose first point, if the run has any, gives the time instead: so what
            a killed process had logged in part is completed without a double.
    """
    if at_time_of:
        began = (point.timestamp for point in client.get_metric_history(run, at_time_of))
        at_ms = min(began, default=at_ms)
    client.log_batch(
        run,
        metrics=[Metric(key, value, at_ms, step) for key, value, step in points],
        params=[Param(key, value) for key, value in (params or {}).items()],
        tags=[RunTag(key, value) for key, value in (tags or {}).items()],
    )


def log_once(
    client: MlflowClient, run: str, *, values: Mapping[str, float], step: int, at_ms: int
) -> dict[str, float]:
    """Log those of the metrics that have no point at this step yet, and return what it has."""
    there = _points_at(client, run, values, step)
    missing = {key: value for key, value in values.items() if key not in there}
    finite = [(key, value, step) for key, value in missing.items() if math.isfinite(value)]
    log(client, run, points=finite, at_ms=at_ms)
    return {**missing, **there}


def _points_at(
    client: MlflowClient, run: str, keys: Mapping[str, float], step: int
) -> dict[str, float]:
    """The last point of each of these metrics at a step."""
    return {
        key: point.value
        for key in keys
        for point in client.get_metric_history(run, key)
        if point.step == step
    }


def log_files(client: MlflowClient, run: str, *, files: Path, folder: str | None = None) -> None:
    """Copy a file, or everything in a folder, into a folder of the run's artifacts.

    Each file is there whole or not at all.
    """
    if files.is_file():
        client.log_artifact(run, str(files), folder)
        return
    artifacts = client.get_run(run).info.artifact_uri
    place = local_folder(artifacts)
    if place is None:
        client.log_artifacts(run, str(files), folder)
        return
    # MLflow copies a folder straight into its place, where on a full disk a part of a file would be
    # taken for the file; a single file it renames once it is whole.
    for left in place.rglob(_UNFINISHED):
        left.unlink()
    repository = get_artifact_repository(artifacts)
    for path in sorted(path for path in files.rglob("*") if path.is_file()):
        below = (Path(folder or ".") / path.relative_to(files)).parent.as_posix()
        repository.log_artifact(str(path), None if below == "." else below)


def remove_files(client: MlflowClient, run: str, *, path: str) -> None:
    """Remove an artifact, or a folder of them."""
    artifacts = client.get_run(run).info.artifact_uri
    get_artifact_repository(artifacts).delete_artifacts(path)


def log_dataset(
    client: MlflowClient, run: str, *, dataset: Mapping[str, str], context: str
) -> None:
    """Log a data set as an input of the run."""
    entry = DatasetInput(Dataset(**dataset), [InputTag(MLFLOW_DATASET_CONTEXT, context)])
    try:
        client.log_inputs(run, [entry])
    except MlflowException:
        # As when another thread or process has logged the same data at the same moment:
        # neither finds the entry, both write it, one is refused. Now it is there.
        client.log_inputs(run, [entry])


def reopen(client: MlflowClient, run: str, *, process: str) -> None:
    """Open an interrupted run again, without the artifacts that its end had begun to write."""
    stored = client.get_run(run)
    for artifact in client.list_artifacts(run):
        get_artifact_repository(stored.info.artifact_uri).delete_artifacts(artifact.path)
    client.update_run(run, status="RUNNING")
    for tag in {"outcome", "reason"} & set(stored.data.tags):
        client.delete_tag(run, tag)
    client.set_tag(run, TAG, process)


def end(
    client: MlflowClient,
    run: str,
    *,
    status: str,
    tags: Mapping[str, str],
    at_ms: int,
    is_again: bool = False,
) -> None:
    """End a run.

    Args:
        client: of the store.
        run: the id of the run.
        status: in MLflow's words.
        tags: that say how it ended.
        at_ms: when it ended.
        is_again: its process has died meanwhile, and another may have marked it as killed.
    """
    if is_again and "reason" not in tags and "reason" in client.get_run(run).data.tags:
        client.delete_tag(run, "reason")
    # The status last: killed in between, the run is still open, and is marked as killed later.
    log(client, run, tags=tags)
    client.set_terminated(run, status, end_time=at_ms)


def log_model(
    client: MlflowClient,
    run: str,
    *,
    files: Path,
    experiment: str,
    name: str,
    metrics: Mapping[str, float],
    step: int,
    at_ms: int,
    is_read_back: bool,
) -> str:
    """Log the files of a model, and return the model's address; see `models.log_model`."""
    logged = _begin(client, run, experiment=experiment, name=name, step=step)
    if is_whole(logged):
        return str(logged.model_uri)
    if is_read_back:
        metrics = {**metrics, **_points_at(client, run, metrics, step)}
    points = [
        Metric(key, value, at_ms, step, model_id=logged.model_id, run_id=run)
        for key, value in metrics.items()
        if math.isfinite(value)
    ]
    client.log_batch(run, metrics=points)
    described = copy.copy(Model.load(files))
    described.artifact_path, described.run_id = logged.artifact_location, run
    described.model_id = described.model_uuid = logged.model_id
    described.save(files / MLMODEL_FILE_NAME)
    client.log_model_artifacts(logged.model_id, str(files))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return str(logged.model_uri)


def remove_double_models(client: MlflowClient, run: str, *, experiment: str, name: str) -> None:
    """Remove what a server has made of a creation that it had not answered in time."""
    for ghost in _models(client, run, experiment, name)[1:]:
        client.delete_logged_model(ghost.model_id)


def is_whole(model: LoggedModel) -> bool:
    """Whether a logged model is ready and its files exist, as remote ones do."""
    folder = local_folder(model.artifact_location)
    has_files = folder is None or (folder / MLMODEL_FILE_NAME).is_file()
    return has_files and bool(model.status == LoggedModelStatus.READY)


def _begin(client: MlflowClient, run: str, *, experiment: str, name: str, step: int) -> LoggedModel:
    """The run's logged model, among its outputs: one that was begun before, or a new one."""
    stored = client.get_run(run)
    if not _models(client, run, experiment, name):
        client.create_logged_model(
            experiment, name=name, source_run_id=run, params=stored.data.params
        )
    # Asked again: a creation whose answer was lost has been repeated, and made two.
    logged, *ghosts = _models(client, run, experiment, name)
    for ghost in ghosts:
        client.delete_logged_model(ghost.model_id)
    outputs = stored.outputs.model_outputs if stored.outputs else []
    if logged.model_id not in {output.model_id for output in outputs}:
        client.log_outputs(run, [LoggedModelOutput(logged.model_id, step=step)])
    return logged


def _models(client: MlflowClient, run: str, experiment: str, name: str) -> list[LoggedModel]:
    """The models of this run with this name: a complete one first, then the oldest."""
    of_run = f"source_run_id = '{run}' AND name = '{name}'"
    return sorted(
        client.search_logged_models([experiment], of_run),
        key=lambda model: (
            model.status != LoggedModelStatus.READY, model.creation_timestamp, model.model_id
        ),
    )  # fmt: skip


# Under the names that stand in journals.
OPERATIONS: Mapping[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        create, log, log_once, log_files, remove_files, log_dataset, reopen, end, log_model,
    )
}  # fmt: skip
# Of these it matters that they may have been done before, unknown to who repeats them.
REPEATED = (create, end)
