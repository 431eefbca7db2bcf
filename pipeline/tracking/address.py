"""How a person opens what was logged: the command that starts MLflow's UI, and its pages.

It must not ask a store: addresses are made of text alone.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode, urlsplit

LOCAL_UI = "http://127.0.0.1:5000"


def ui_command(uri: str) -> str | None:
    """The command that serves the UI at `LOCAL_UI`; None where a server serves it already.

    Args:
        uri: the tracking URI.
    """
    if urlsplit(uri).scheme in {"http", "https"}:
        return None
    if uri == f"sqlite:///{Path.cwd() / 'mlflow.db'}":
        return "mlflow ui"
    return f"mlflow ui --backend-store-uri {shlex.quote(uri)}"


def ui_base(uri: str) -> str:
    """The address where the UI is, once `ui_command` runs; no slash at its end."""
    return uri.rstrip("/") if ui_command(uri) is None else LOCAL_UI


def run_page(base: str, experiment_id: str, run_id: str) -> str:
    """The address of one run's page; with an empty base, a link that works inside the UI."""
    return f"{base}{'/' if base else ''}#/experiments/{experiment_id}/runs/{run_id}"


def comparison_page(base: str, experiment_id: str, tags: Mapping[str, str]) -> str:
    """The address of the charts that compare all runs with these tags.

    The names in it are not documented; a person's own click on "Chart view" shows them.

    Args:
        base: the UI's address.
        experiment_id: where the runs are.
        tags: values that each run must have.
    """
    search = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    query = {"searchFilter": search, "compareRunsMode": "CHART"}
    return f"{base}/#/experiments/{experiment_id}/runs?{urlencode(query)}"
