"""What training needs of this machine: asked before every run, and told by `doctor`."""

import tempfile
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.files import check_place
from pipeline.fit.tasks import CHECKPOINTS
from pipeline.tracking import Tracker

# A default network's run, model, checkpoint and temporary files take some 10 MB.
LEAST_ROOM = 32 << 20


def check_before_training(tracker: Tracker) -> None:
    """Return if what training writes can be written, in a millisecond; it writes nothing itself.

    `connect` has asked the store before.

    Raises:
        PipelineError: a folder is not writable or its disk is nearly full.
    """
    for place in (CHECKPOINTS, temporary_place(), *tracker.places):
        check_place(place, LEAST_ROOM)


def temporary_place() -> Path:
    """The temporary folder.

    Raises:
        PipelineError: there is none that can be written.
    """
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise PipelineError(
            f"there must be a writable temporary folder, got none ({error.strerror}): make room "
            "in one, or set TMPDIR"
        ) from error
