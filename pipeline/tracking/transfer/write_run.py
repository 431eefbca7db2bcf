"""Writes a run and a logged model from a bundle; writing them twice changes nothing."""

from collections.abc import Mapping

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModel,
    Metric,
    Param,
    RunTag,
)
from mlflow.tracking import MlflowClient

from pipeline.bundle import layout
from pipeline.bundle.contents import DatasetRecord, Points
from pipeline.bundle.read import Bundle
from pipeline.files import temporary_folder
from pipeline.tracking.models import save_network, stored_as

# Written last, so a run without it is one whose import was interrupted.
DIGEST = "bundle_digest"
# The same of an import that is under way: only the same bundle completes it.
BEGUN = "importing"


def fill_run(client: MlflowClient, run_id: str, bundle: Bundle, *, tags: Mapping[str, str]) -> None:
    """Write a whole run: a store accepts a parameter, point or file that it already has.

    Args:
        client: of the store.
        run_id: of the run there.
        bundle: that tells about it.
        tags: its tags.
    """
    record = bundle.contents.run
    client.log_batch(run_id, params=[Param(*item) for item in record.parameters.items()])
    begun = {**tags, BEGUN: bundle.digest}
    client.log_batch(run_id, tags=[RunTag(*item) for item in begun.items()])
    client.log_batch(run_id, metrics=_metrics(bundle.contents.metrics))
    client.log_inputs(run_id, [_dataset(entry) for entry in record.datasets])
    client.log_artifacts(run_id, str(bundle.folder / layout.ARTIFACTS))
    client.set_terminated(run_id, record.status, record.end_ms)
    client.delete_tag(run_id, BEGUN)
    client.set_tag(run_id, DIGEST, bundle.digest)


def fill_model(client: MlflowClient, model: LoggedModel, bundle: Bundle, *, run_id: str) -> None:
    """Write the metrics of a logged model, and its files from the rebuilt network.

    Args:
        client: of the store.
        model: there, without files so far.
        bundle: that tells about it.
        run_id: of the run that it belongs to there.
    """
    points = _metrics(bundle.contents.model.metrics, model_id=model.model_id)
    client.log_batch(run_id, metrics=points)
    with temporary_folder() as temporary:
        folder = temporary / "model"
        rebuilt, of = bundle.rebuilt, stored_as(model, run_id)
        save_network(rebuilt.network, folder, example=rebuilt.example, of=of)
        client.log_model_artifacts(model.model_id, str(folder))


def _metrics(metrics: Mapping[str, Points], *, model_id: str | None = None) -> list[Metric]:
    return [
        Metric(key, value, time, step, model_id=model_id)
        for key, points in metrics.items()
        for step, time, value in points
    ]


def _dataset(record: DatasetRecord) -> DatasetInput:
    dataset = Dataset(
        record.name,
        record.digest,
        record.source_type,
        record.source,
        record.schema,
        record.profile,
    )
    return DatasetInput(dataset, [InputTag(*item) for item in record.tags.items()])
