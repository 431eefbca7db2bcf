"""Puts the newest page of all studies, and the pictures of `dying`, into the documentation.

`python -m benchmarks.studies` reads the store that `MLFLOW_TRACKING_URI` names, where
`why-zero reproduce` has run. The pictures are of `why-zero reproduce --study dying --scale full`
and stay as they are where that has not.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.steps.reproduce import PAGE
from pipeline.tracking import FoundRun, Tracker, connect

DOCS = Path(__file__).parents[1] / "docs"
DYING = ("mnist", "fashion_mnist")


def main() -> None:
    """Write `studies.md` and `dying_*.png`."""
    tracker = connect()
    whole = next(run for run in _runs("all", tracker) if tracker.has_artifact(run.id, PAGE))
    shutil.copyfile(tracker.artifact(whole.id, PAGE), DOCS / PAGE)
    full = (run for run in _runs("dying", tracker) if run.parameters.get("scale") == "full")
    dying = next(full, None)
    if dying is None:
        return
    for data in DYING:
        picture = tracker.artifact(dying.id, f"plots/dead_by_epoch_{data}.png")
        shutil.copyfile(picture, DOCS / f"dying_{data}.png")


def _runs(study: str, tracker: Tracker) -> Iterator[FoundRun]:
    """The finished runs of a study, or of all of them, newest first."""
    search = f"tags.step = 'reproduce' and params.study = '{study}' and tags.outcome = 'finished'"
    return tracker.newest(search)


if __name__ == "__main__":
    main()
