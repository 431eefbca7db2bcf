"""The step `sync`: sends what was logged while a tracking server was away. It logs no run."""

from pipeline.config.options import SyncSettings
from pipeline.console import Console
from pipeline.errors import PipelineError
from pipeline.files import given_path
from pipeline.records.words import counted
from pipeline.tracking import send_journals


def run(settings: SyncSettings, console: Console) -> None:
    """Send the journals that dead processes have left in a folder.

    Raises:
        PipelineError: the server does not take them, or something of them was damaged or refused.
    """
    sent = send_journals(given_path(settings.journals))
    if sent.journals:
        console.line(
            f"{counted(sent.records, 'record')} of {counted(len(sent.runs), 'run')} sent, from "
            f"{counted(sent.journals, 'journal')}"
        )
    for address in sent.elsewhere:
        console.line(f"a journal is for {address}: set MLFLOW_TRACKING_URI to it, and sync again")
    if sent.problems:
        raise PipelineError("\n".join(sent.problems))
    if not sent.journals and not sent.elsewhere:
        console.line("nothing to do: no journal was left here")
