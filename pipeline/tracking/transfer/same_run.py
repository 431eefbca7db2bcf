"""Whether a run and a model that are there are those that a bundle tells of.

A bundle keeps the ids that it was exported with, and anybody can write one. What it says of a run
that is there must be so, or its model and its numbers would borrow that run's trust.
"""

from collections.abc import Iterator, Mapping
from functools import partial

from mlflow.entities import LoggedModel
from mlflow.entities import Run as StoredRun

from pipeline.bundle import layout
from pipeline.bundle.contents import Points
from pipeline.bundle.digests import digest
from pipeline.bundle.read import Bundle
from pipeline.errors import PipelineError
from pipeline.files import temporary_folder
from pipeline.tracking.store import Store, found_or_none
from pipeline.tracking.transfer.read_store import (
    fetch_artifacts,
    history,
    model_record,
    run_record,
)


def check_same_run(store: Store, run: StoredRun, bundle: Bundle, *, ours: frozenset[str]) -> None:
    """Return if everything that the bundle says of its run is so of the run that is there.

    The run may have more: tags, metrics and artifacts of later on. What MLflow and its users write
    for people, such as the name and the description, may differ.

    Args:
        store: an open store.
        run: in it.
        bundle: the bundle.
        ours: the tags that import itself writes.

    Raises:
        PipelineError: something differs.
    """
    for difference in _of_run(store, run, bundle, ours=ours):
        _refuse(difference, run)


def check_same_model(
    store: Store, run: StoredRun, bundle: Bundle, *, model: LoggedModel | None
) -> None:
    """Return if the bundle's model is the one that the run has, or the run has none.

    Args:
        store: an open store.
        run: in it.
        bundle: the bundle.
        model: the one that is there for the bundle's; None where there is none.

    Raises:
        PipelineError: the run has another, or this one is another run's or differs.
    """
    if model is None:
        if _has_model(store, run):
            _refuse("another model", run)
        return
    told, there = bundle.contents.model, model_record(model, run)
    if model.source_run_id != run.info.run_id:
        _refuse("a model of another run", run)
    if (told.name, told.parameters) != (there.name, there.parameters):
        _refuse("a model with other parameters", run)
    if key := _missing_points(told.metrics, there.metrics):
        _refuse(f"another {key!a} of the model", run)


def _of_run(store: Store, run: StoredRun, bundle: Bundle, *, ours: frozenset[str]) -> Iterator[str]:
    told, there = bundle.contents.run, run_record(run)
    if (told.status, told.start_ms, told.end_ms) != (there.status, there.start_ms, there.end_ms):
        yield "another status or time"
    if told.parameters != there.parameters:
        yield "other parameters"
    for key, value in told.tags.items():
        if key not in ours and not key.startswith("mlflow.") and there.tags.get(key) != value:
            yield f"another tag {key!a}"
    if not set(map(repr, told.datasets)) <= set(map(repr, there.datasets)):
        yield "other data"
    metrics = {
        key: history(store, run, key) for key in bundle.contents.metrics if key in run.data.metrics
    }
    if wrong := _missing_points(bundle.contents.metrics, metrics):
        yield f"another metric {wrong!a}"
    yield from _other_artifacts(store, run, bundle)


def _has_model(store: Store, run: StoredRun) -> bool:
    """Whether a model that the run logged still exists."""
    outputs = run.outputs.model_outputs if run.outputs else []
    return any(
        found_or_none(partial(store.client.get_logged_model, output.model_id)) is not None
        for output in outputs
    )


def _other_artifacts(store: Store, run: StoredRun, bundle: Bundle) -> Iterator[str]:
    received = bundle.folder / layout.ARTIFACTS
    with temporary_folder() as kept:
        fetch_artifacts(store, run.info.run_id, kept)
        for path in sorted(path for path in received.rglob("*") if path.is_file()):
            name = path.relative_to(received)
            if not (kept / name).is_file() or digest(kept / name) != digest(path):
                yield f"another artifact {name.as_posix()!a}"


def _missing_points(told: Mapping[str, Points], there: Mapping[str, Points]) -> str | None:
    """The first metric with a point that is not there."""
    for key, points in told.items():
        # As text: NaN equals nothing.
        if not set(map(repr, points)) <= set(map(repr, there.get(key, ()))):
            return key
    return None


def _refuse(difference: str, run: StoredRun) -> None:
    raise PipelineError(
        f"a bundle must say the same of a run that is there, got {difference} for "
        f"{run.info.run_name!a} ({run.info.run_id}): nothing was written; import it into another "
        "store, or delete that run if it is the wrong one"
    )
