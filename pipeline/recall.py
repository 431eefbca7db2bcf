"""A finished network's run, read back as the result it was.

It must not know who asks for it, nor train what is missing.
"""

from safetensors import SafetensorError

from pipeline import history as histories
from pipeline.errors import PipelineError
from pipeline.recipe import Recipe
from pipeline.records import Result, Score
from pipeline.settings import parsed
from pipeline.tracking import FoundRun, Tracker

HISTORY = "history.safetensors"


def recall(run: FoundRun, tracker: Tracker) -> Result:
    """The result that this run holds; the chosen record is without its weights.

    Args:
        run: the finished run of a network.
        tracker: of the store that the run is in.

    Raises:
        PipelineError: the run is no finished network's, or its history cannot be read.
    """
    try:
        history = histories.load(tracker.artifact(run.id, HISTORY))
        return Result(
            recipe=parsed(Recipe, run.parameters),
            history=history,
            chosen=next(r for r in history if str(r.epoch) == run.tags["chosen_epoch"]),
            test=Score(run.metrics["test/loss"], run.metrics["test/accuracy"]),
            run_id=run.id,
            page=tracker.link(run.id),
            device=run.parameters["device"],
            device_name=run.tags["device_name"],
            dataset=run.parameters["dataset"],
            dataset_digest=run.parameters["dataset_digest"],
            stack_size=int(run.tags["stack_size"]),
        )
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, StopIteration) as error:
        raise PipelineError(
            f"a run must hold a finished network, got {run.name!r} ({run.id}: {error!r}): "
            "choose runs with the tags kind=network and outcome=finished"
        ) from error
