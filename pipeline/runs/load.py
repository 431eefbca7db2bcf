"""Loads what a finished network's run holds: result, weights, and the data it was trained on."""

from safetensors import SafetensorError

from pipeline.config.recipe import Recipe
from pipeline.config.settings import parsed
from pipeline.data import ImageData, prepared
from pipeline.errors import PipelineError, UsageError
from pipeline.files import temporary_folder
from pipeline.records import Score, Weights
from pipeline.records import history as histories
from pipeline.records.result import Failure, Result
from pipeline.runs.answers import RIGHT, load_right
from pipeline.tracking import STATE_DICT, FoundRun, Tracker
from pipeline.training.stack import read_weights

HISTORY = "history.safetensors"


def load_result(run: FoundRun, tracker: Tracker) -> Result:
    """The result that this run holds; the chosen record is without its weights.

    Args:
        run: the finished run of a network.
        tracker: of the store that the run is in.

    Raises:
        PipelineError: the run does not hold a finished network, or its history cannot be read.
    """
    try:
        has_answers = tracker.has_artifact(run.id, RIGHT)  # older runs have none
        with temporary_folder() as folder:
            history = histories.load(tracker.artifact(run.id, HISTORY, folder))
            is_right = load_right(tracker.artifact(run.id, RIGHT, folder)) if has_answers else None
        return Result(
            recipe=parsed(Recipe, run.parameters),
            history=history,
            chosen=next(r for r in history if str(r.epoch) == run.tags["chosen_epoch"]),
            test=Score(run.metrics["test/loss"], run.metrics["test/accuracy"]),
            run_id=run.id,
            page=run.page,
            device=run.parameters["device"],
            device_name=run.tags["device_name"],
            dataset=run.parameters["dataset"],
            dataset_digest=run.parameters["dataset_digest"],
            stack_size=int(run.tags["stack_size"]),
            is_right=is_right,
        )
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, StopIteration) as error:
        raise PipelineError(
            f"a run must hold a finished network, got {run.name!r} ({run.id}: {error!r}): "
            "choose runs with the tags kind=network and outcome=finished"
        ) from error


def load_failure(run: FoundRun) -> Failure | None:
    """What the run of a network that failed says of it; None if it does not say which it was."""
    try:
        return Failure(
            recipe=parsed(Recipe, run.parameters),
            device=run.parameters["device"],
            device_name=run.tags["device_name"],
            dataset=run.parameters["dataset"],
            dataset_digest=run.parameters["dataset_digest"],
            reason=run.tags.get("reason", ""),
        )
    except (KeyError, ValueError, TypeError, UsageError):
        return None


def load_weights(run: FoundRun, tracker: Tracker) -> Weights:
    """The state dict that this run holds.

    Args:
        run: of a network.
        tracker: of the store that the run is in.

    Raises:
        PipelineError: it is missing, or not of the network that the run describes.
    """
    try:
        with temporary_folder() as folder:
            path = tracker.artifact(run.id, STATE_DICT, folder)
            return read_weights(path, parsed(Recipe, run.parameters))
    except ValueError as error:
        raise PipelineError(
            f"a run must hold the weights of the network it describes, got {run.name!r} "
            f"({run.id}: {error}): restore its artifacts, or train it again with force=true"
        ) from error


def load_data(result: Result) -> ImageData:
    """The data set that a network was trained on.

    Raises:
        PipelineError: it is missing, or the one of that name is different.
    """
    name, digest = result.dataset, result.dataset_digest
    prepare = f"prepare --dataset {name} --source FOLDER"
    try:
        data = prepared(name)
    except UsageError as error:
        raise PipelineError(
            "the data set that the network was trained on must be available, got none named "
            f"{name!r} (digest {digest}): prepare it with `{prepare}`"
        ) from error
    if data.digest != digest:
        raise PipelineError(
            f"the data set that the network was trained on must have the digest {digest}, got "
            f"{data.digest} in {name!r} from {data.source}: prepare it again with `{prepare}`"
        )
    return data
