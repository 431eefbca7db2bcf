"""The step `explore`: a page in which trained networks run. It logs nothing."""

from pathlib import Path

from pipeline.config.options import ExploreSettings
from pipeline.console import Console
from pipeline.data import prepared
from pipeline.errors import PipelineError
from pipeline.explorer import explorer_of
from pipeline.registry.selection import network, select
from pipeline.runs.load import load_data, load_result
from pipeline.tracking import FoundRun, Tracker, connect


def run(settings: ExploreSettings, console: Console) -> None:
    """Write the page of one network, or of two side by side.

    Raises:
        PipelineError: a network or its data are not there, the networks are too large for a page,
            or it cannot be written.
    """
    out = Path(settings.out).expanduser()
    if not out.parent.is_dir():
        raise PipelineError(
            f"out must be in a folder that exists, got {out}: make {out.parent} first"
        )
    tracker = connect()
    results = [load_result(_named(name, tracker), tracker) for name in settings.networks]
    data = load_data(results[0]) if settings.data == "auto" else prepared(settings.data)
    page = explorer_of(results, data, tracker)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise PipelineError(
            f"out must be a file that can be written, got {out} ({error.strerror}): name another"
        ) from error
    console.elapsed(f"{out} was written")


def _named(name: str, tracker: Tracker) -> FoundRun:
    """The run of a network; one that is named itself may have been validated on any images."""
    kind, _, which = name.partition(":")
    if kind == "run":
        return network(which, tracker)
    return select(name, "val/accuracy", tracker=tracker).run
