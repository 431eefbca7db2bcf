"""Makes what a finished network's run lacks, from its history and weights and the same data."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from pipeline.console import Console, State
from pipeline.data import ImageData
from pipeline.errors import PipelineError
from pipeline.plots import RenderPool, render_pool
from pipeline.records.result import Result
from pipeline.records.words import counted, reasons
from pipeline.runs.load import load_weights
from pipeline.runs.publish import (
    FILM,
    PICTURES,
    SUMMARY,
    draw,
    judge,
    picture,
    publish_rest,
    shown,
)
from pipeline.tracking import FoundRun, Run, SavedModels, Tracker, reason_of

AHEAD = 8  # networks whose pictures are drawn while one is published
_FILES_PER_IMAGE = 2  # MLflow writes each a second time, small

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Completed:
    """What became of networks whose runs had to be whole.

    Attributes:
        many: how many there were.
        made: the names of those that lacked something and have it now.
        failures: why others could not be completed, by their run ids.
    """

    many: int
    made: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Return if all are whole.

        Raises:
            PipelineError: some are not.
        """
        if self.failures:
            networks = counted(self.many, "network")
            raise PipelineError(
                f"{len(self.failures)} of {networks} could not be published: "
                f"{reasons(self.failures)}"
            )


def complete(
    run_ids: Sequence[str],
    tracker: Tracker,
    *,
    result_of: Callable[[FoundRun], Result],
    data_of: Callable[[Result], ImageData],
    console: Console,
) -> Completed:
    """Make the pictures, summaries and models that these networks' runs lack, and say so.

    Nothing is trained, and what is there stays. Killed in between and begun again, it makes the
    rest. A network that fails does not stop the others.

    Args:
        run_ids: of finished networks.
        tracker: of the store that they are in.
        result_of: what a run holds; `load_result` where it is not at hand.
        data_of: what a network was trained on, asked for those alone that lack something.
        console: where it is shown.
    """
    many = len(run_ids)
    completed, saved, ended = Completed(many), SavedModels(), 0

    def state() -> State:
        return State(ended / max(1, many), f"{ended} of {many} networks")

    with console.progress("pictures and models", state), render_pool(many) as pool:
        for start in range(0, many, AHEAD):
            several = [
                (run_id, _completing(run_id, tracker, result_of, data_of, pool=pool, saved=saved))
                for run_id in run_ids[start : start + AHEAD]
            ]
            # The pictures of all are begun before one of them is waited for.
            for is_begun in (False, True):
                for run_id, completing in several:
                    try:
                        made = next(completing, None)
                    except Exception as error:
                        _logger.debug("%s was not completed", run_id, exc_info=True)
                        completed.failures[run_id] = reason_of(error)
                    else:
                        completed.made.extend([made] if made else ())
                    ended += is_begun
    if completed.made:
        who = f"{len(completed.made)} of {many} networks" if many > 1 else completed.made[0]
        console.line(f"{who}: pictures and model made from history and weights, without training")
    return completed


def _completing(
    run_id: str,
    tracker: Tracker,
    result_of: Callable[[FoundRun], Result],
    data_of: Callable[[Result], ImageData],
    *,
    pool: RenderPool,
    saved: SavedModels,
) -> Iterator[str | None]:
    """Begin to draw what a run lacks, yield None, log all of it, and yield the run's name."""
    found = tracker.run(run_id)
    result = result_of(found)
    files = tracker.files(found.id)
    wanted = [name for name in PICTURES if picture(name) not in files]
    frames = [path for path in files if path.startswith(f"images/{FILM}")]
    has_frames = len(frames) == _FILES_PER_IMAGE * _film_length(result)
    if not wanted and has_frames and SUMMARY in files and tracker.has_model(found):
        return
    data = data_of(result)
    if data.digest != result.dataset_digest:
        raise PipelineError(
            f"a network must be published with the data it was trained on, {result.dataset!r} with "
            f"the digest {result.dataset_digest}, got {data.name!r} with {data.digest}: name those "
            "with --data"
        )
    weights = result.chosen.weights or load_weights(found, tracker)
    chosen = replace(result.chosen, weights=weights)
    judged = judge(result.recipe, chosen, data)
    drawn = draw(
        result.recipe,
        judged=judged,
        history=result.history,
        chosen=chosen,
        data=data,
        render_pool=pool,
        wanted=wanted,
        has_film=not has_frames,
    )
    yield None
    run = tracker.adding_to(found)
    for path in [] if has_frames else frames:
        run.remove(path)  # a process died while it wrote them, and each has a name of its own
    metrics, at_ms = _points(run, found, result.chosen.epoch)
    publish_rest(
        run,
        result,
        judged=judged,
        drawn=drawn,
        metrics=metrics,
        at_ms=at_ms,
        data=data,
        saved=saved,
    )
    yield found.name


def _film_length(result: Result) -> int:
    """How many pictures the film of a network has: none without ReLU."""
    return len(shown(result.history)) if result.chosen.states else 0


def _points(run: Run, found: FoundRun, epoch: int) -> tuple[dict[str, float], int]:
    """The run's metrics at an epoch, and the time of these points.

    As the run has them: an epoch that was trained twice has other seconds in the history. Those of
    the last epoch came with the run; others are asked for, a request each.
    """
    values, times = dict[str, float](), dict[str, int]()
    for key, value in found.metrics.items():
        last, at_ms = found.last_at[key]
        if key.startswith("system/") or last < epoch:
            continue
        point = (at_ms, value) if last == epoch else run.logged(key).get(epoch)
        if point is not None:
            times[key], values[key] = point
    return values, times["test/accuracy"]
