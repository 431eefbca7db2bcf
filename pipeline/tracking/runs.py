"""One run of the store: what can be logged to it, and how it ends."""

import json
import logging
import math
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Literal

import numpy as np
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking.multimedia import compress_image_size, convert_to_pil_image
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_LOGGED_IMAGES,
    MLFLOW_RUN_NOTE,
)
from numpy.typing import NDArray

from pipeline.errors import PipelineError, UsageError
from pipeline.files import temporary_folder
from pipeline.redaction import redacted
from pipeline.tracking.address import run_page
from pipeline.tracking.environment import setting
from pipeline.tracking.store import Store, found_or_none, one_line
from why_zero.errors import WhyZeroError

# A mistake is a failure that was found before any work began.
Outcome = Literal["finished", "failed", "killed", "mistake"]

_logger = logging.getLogger(__name__)
_STATUS = {
    "finished": "FINISHED",
    "failed": "FAILED",
    "killed": "KILLED",
    "mistake": "FAILED",
}
_LONG_SECONDS = 1.0
# After Ctrl-C nobody wants to wait for a server that is gone.
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}
# MLflow digests only the first 10,000 values, fewer than 13 images; ours covers all, cut to fit.
_DIGEST_LENGTH = 36


class Run:
    """An open run of the store; every method raises `PipelineError` where the store refuses.

    Leaving its `with` block ends it: normally as finished, by an error as failed with the reason
    as a tag, by Ctrl-C or SIGTERM as killed.

    Attributes:
        store: where the run is.
        id: MLflow's id of the run.
        name: its display name.
        experiment_id: the experiment it is in.
    """

    def __init__(self, store: Store, run_id: str, name: str) -> None:
        """Take an existing run into use; `Tracker` makes and finds them."""
        self.store = store
        self.id = run_id
        self.name = name
        self.experiment_id = store.experiment_id
        self._is_open = True

    @property
    def page(self) -> str:
        """A link to the run's page that works inside MLflow's UI, such as in a description."""
        return run_page("", self.experiment_id, self.id)

    def artifact_page(self, path: str) -> str:
        """A link to one of its artifacts that works inside MLflow's UI."""
        address, _, query = self.page.partition("?")
        return f"{address}/artifacts/{path}?{query}"

    def parameters(self, values: Mapping[str, str]) -> None:
        """Log settings, which can be logged only once."""
        params = [Param(key, redacted(value)) for key, value in values.items()]
        with self.store.writing():
            self.store.client.log_batch(self.id, params=params)

    def metrics(self, values: Mapping[str, float], step: int, *, at_ms: int | None = None) -> int:
        """Log one point of each metric in one write, and return their time; see `series`."""
        return self.series([(step, values)], at_ms=at_ms)

    def series(
        self, points: Iterable[tuple[int, Mapping[str, float]]], *, at_ms: int | None = None
    ) -> int:
        """Log many points, and return their time.

        NaN and infinity are left out: the store would keep infinity as 1.8e308 and spoil the
        chart. They show as a gap, and the reason of a diverged network says so.

        Args:
            points: steps, each with its metrics by name.
            at_ms: their time, milliseconds since 1970; None for now. A point that was logged at
                this time before is not doubled.
        """
        time_ms = time.time_ns() // 1_000_000 if at_ms is None else at_ms
        metrics = [
            Metric(key, value, time_ms, step)
            for step, values in points
            for key, value in values.items()
            if math.isfinite(value)
        ]
        with self.store.writing():
            self.store.client.log_batch(self.id, metrics=metrics)
        return time_ms

    def metrics_once(
        self, values: Mapping[str, float], step: int, *, at_ms: int
    ) -> Mapping[str, float]:
        """Log those of the metrics that have no point at this step yet, and return what it has."""
        points = {key: self.logged(key) for key in values}
        there = {key: points[key][step][1] for key in values if step in points[key]}
        missing = {key: value for key, value in values.items() if key not in there}
        self.metrics(missing, step, at_ms=at_ms)
        return {**missing, **there}

    def began_ms(self, key: str) -> int | None:
        """The time of the first point of a metric, at which the rest may be logged; None without.

        So what a killed process had logged in part is completed without a double.
        """
        return min((time_ms for time_ms, _ in self.logged(key).values()), default=None)

    def logged(self, key: str) -> dict[int, tuple[int, float]]:
        """The points of a metric so far, by step: the time of each and its value."""
        with self.store.writing():
            points = self.store.client.get_metric_history(self.id, key)
        return {point.step: (point.timestamp, point.value) for point in points}

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags, over their old values; each is cut at 8,000 characters."""
        tags = [RunTag(key, redacted(value)) for key, value in values.items()]
        with self.store.writing():
            self.store.client.log_batch(self.id, tags=tags)

    def describe(self, markdown: str, *, tags: Mapping[str, str] | None = None) -> None:
        """Set the description on the run's page, and tags beside it, in one write.

        Tables, headings and links to pages show.
        """
        self.tags({**(tags or {}), MLFLOW_RUN_NOTE: markdown})

    def text(self, text: str, path: str) -> None:
        """Write text as an artifact.

        Args:
            text: the whole file.
            path: where, below the run's artifacts, such as `report/summary.txt`.
        """
        self.data(text.encode(), path)

    def file(self, local: Path, folder: str | None = None) -> None:
        """Copy a local file into a folder of the run's artifacts, or to their top."""
        with self.store.writing():
            self.store.client.log_artifact(self.id, str(local), folder)

    def folder(self, local: Path) -> None:
        """Copy everything in a local folder into the run's artifacts."""
        with self.store.writing():
            self.store.client.log_artifacts(self.id, str(local))

    def data(self, content: bytes, path: str) -> None:
        """Write bytes as an artifact, such as a picture that the UI shows; path as in `text`."""
        where = PurePosixPath(path)
        with temporary_folder() as folder:
            local = folder / where.name
            local.write_bytes(content)
            self.file(local, None if where.parent == PurePosixPath() else str(where.parent))

    def remove(self, path: str) -> None:
        """Remove an artifact, or a folder of them."""
        with self.store.writing():
            artifacts = self.store.client.get_run(self.id).info.artifact_uri
            get_artifact_repository(artifacts).delete_artifacts(path)

    def images(self, frames: Mapping[int, NDArray[np.uint8]], key: str) -> None:
        """Log a picture of each of some steps, for the UI's image grid.

        The files are those that `MlflowClient.log_image` writes, but go to the run in one piece:
        logged one by one, each takes four calls and a write to the store.

        Args:
            frames: shape (height, width) or (height, width, 3), by the epoch or the update.
            key: letters, digits, space and `_-.` only.
        """
        at_ms = time.time_ns() // 1_000_000
        if not frames:
            return
        # First: a run that has all pictures but was killed before this would never get it.
        self.tags({MLFLOW_LOGGED_IMAGES: "True"})
        with temporary_folder() as folder:
            (folder / "images").mkdir()
            for step, pixels in frames.items():
                name = f"{key}+step+{step}+timestamp+{at_ms}+{uuid.uuid4()}"
                image = convert_to_pil_image(pixels)
                image.save(folder / "images" / f"{name}.png")
                compress_image_size(image).save(folder / "images" / f"{name}+compressed.webp")
            self.folder(folder)

    def dataset(
        self,
        name: str,
        digest: str,
        *,
        source: str,
        context: str,
        arrays: Mapping[str, NDArray[np.generic]],
        profile: Mapping[str, object],
    ) -> None:
        """Log a data set that the run reads, with a digest of all of it.

        Args:
            name: its display name.
            digest: of every byte; its first 36 characters are kept.
            source: a path or a sentence that says where it comes from.
            context: what it is used for, such as `training`.
            arrays: its arrays by name, the samples along the first axis: their types and shapes
                are logged, not their values.
            profile: counts worth seeing, such as those of the classes; goes into JSON.
        """
        schema = Schema(
            [TensorSpec(array.dtype, (-1, *array.shape[1:]), key) for key, array in arrays.items()]
        )
        features = {"features": schema.to_json(), "targets": None}
        dataset = Dataset(
            name=name,
            digest=digest[:_DIGEST_LENGTH],
            source_type="local",
            source=json.dumps({"uri": source}),
            schema=json.dumps({"mlflow_tensorspec": features}),
            profile=json.dumps(profile),
        )
        entry = DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])
        with self.store.writing():
            try:
                self.store.client.log_inputs(self.id, [entry])
            except MlflowException:
                # As when another thread or process has logged the same data at the same moment:
                # neither finds the entry, both write it, one is refused. Now it is there.
                self.store.client.log_inputs(self.id, [entry])

    def is_gone(self) -> bool:
        """Whether it has been deleted meanwhile; False where the store does not answer."""
        try:
            with self.store.writing():
                stored = found_or_none(lambda: self.store.client.get_run(self.id))
        except PipelineError:
            return False
        return stored is None or stored.info.lifecycle_stage != "active"

    def leave(self) -> None:
        """Leave it as it is, at the end of its block too: it has been deleted."""
        self._is_open = False

    def end(self, outcome: Outcome, reason: str | None = None) -> None:
        """End the run with a status and the tags `outcome` and `reason`; again changes nothing."""
        if not self._is_open:
            return
        tags = {"outcome": outcome} | ({"reason": reason} if reason else {})
        # The status last: killed in between, the run is still open, and is marked as killed later.
        self.tags(tags)
        with self.store.writing():
            self.store.client.set_terminated(self.id, _STATUS[outcome])
        self._is_open = False

    def __enter__(self) -> "Run":  # noqa: PYI034 - the tests' type checker refuses Self here
        """Return the run itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the run according to what happened in the block."""
        try:
            if error is None:
                self.end("finished")
        except BaseException as late:
            error = late
            raise
        finally:
            if error is not None:
                self.end_after(error)

    @contextmanager
    def ending_unless_done(self) -> Iterator[None]:
        """End the run if the block fails; otherwise leave it open."""
        try:
            yield
        except BaseException as error:
            self.end_after(error)
            raise

    def end_after(self, error: BaseException) -> None:
        """End the run as failed, mistake or killed, never hiding the error that ends it."""
        outcome: Outcome = "failed" if isinstance(error, Exception) else "killed"
        if isinstance(error, UsageError):
            outcome = "mistake"
        start = time.monotonic()
        try:
            if not self.store.is_lost:
                with setting(_IMPATIENT):
                    self.end(outcome, None if outcome == "killed" else reason_of(error))
        except PipelineError as refusal:
            self.store.is_lost = time.monotonic() - start > _LONG_SECONDS
            _logger.warning("Run %r is left open as RUNNING: %s", self.name, refusal)
        self._is_open = False  # or the end of its block would mark it finished


def reason_of(error: BaseException) -> str:
    """Why something failed, in one line; errors from outside this project name their type."""
    kind = "" if isinstance(error, WhyZeroError) else f"{type(error).__name__}: "
    return redacted(kind + one_line(error))
