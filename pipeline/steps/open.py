"""The step `open`: MLflow's UI in the browser, at the comparison of the newest sweep."""

import os
import sys
import webbrowser
from urllib.parse import urlsplit

from pipeline.config.options import OpenSettings
from pipeline.console import Console
from pipeline.runs.saved_views import DROP_RATES
from pipeline.runs.sweeps import newest_comparison, source_of
from pipeline.tracking import connect, require_store, ui_of


def run(settings: OpenSettings, console: Console) -> None:
    """Open the page, and serve it until Ctrl-C where no server does.

    Raises:
        PipelineError: there is no store or no such run, or the UI does not start.
    """
    require_store()
    tracker = connect()
    shown = tracker.run(settings.run[0]) if settings.run else newest_comparison(tracker)
    if tracker.ui_command:
        console.line("starting MLflow's UI …")
    try:
        with ui_of(tracker.uri, port=settings.port) as ui:
            place = tracker.at(shown.experiment_id if shown else None, ui=ui.address)
            if shown is None:
                console.line("there is no sweep yet; these are the runs of the experiment")
                page = place.experiment_page
            else:
                console.line(f"showing {source_of(shown, tracker)}")
                views = {} if settings.run else place.kept_views()
                page = views.get(DROP_RATES) or place.run_page(shown.id)
            console.link("open:", page)
            if settings.browser and _has_screen():
                webbrowser.open(page)
            if ui.process is None:
                return
            _explain_ssh(page, console)
            console.line("Ctrl-C stops the UI.")
            ui.wait()
    except KeyboardInterrupt:
        console.line("stopped")


def _has_screen() -> bool:
    """Whether a browser has a window to open in; a text browser would take over the terminal."""
    if any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")):
        return True
    return sys.platform in {"darwin", "win32"} and "SSH_CONNECTION" not in os.environ


def _explain_ssh(page: str, console: Console) -> None:
    """Over ssh, how the page is reached from the machine at the other end."""
    connection = os.environ.get("SSH_CONNECTION", "").split()
    if len(connection) == 4:
        port = urlsplit(page).port
        console.line(f"on your machine:  ssh -N -L {port}:127.0.0.1:{port} {connection[2]}")
