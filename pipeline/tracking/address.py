"""How to open what was logged: the command that starts MLflow's UI, and its pages."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from mlflow.exceptions import MlflowException
from mlflow.utils.search_utils import SearchUtils

from pipeline.redaction import has_secrets

LOCAL_UI = "http://127.0.0.1:5000"
# Otherwise the UI takes the experiment for one of language models, with empty pages.
_TRAINING = {"workflowType": "machine_learning"}


def is_server(uri: str) -> bool:
    """Whether the store is a server's, which has a UI and keeps artifacts as it likes."""
    return urlsplit(uri).scheme in {"http", "https"}


def ui_command(uri: str) -> str | None:
    """The command that serves the UI at `LOCAL_UI`; None where a server serves it already.

    Args:
        uri: the tracking URI.
    """
    if is_server(uri):
        return None
    if uri == f"sqlite:///{Path.cwd() / 'mlflow.db'}":
        return "mlflow ui"
    if has_secrets(uri):
        return 'mlflow ui --backend-store-uri "$MLFLOW_TRACKING_URI"'
    return f"mlflow ui --backend-store-uri {shlex.quote(uri)}"


def ui_base(uri: str) -> str:
    """The address where the UI is, once `ui_command` runs; no slash at its end, no password."""
    if ui_command(uri) is not None:
        return LOCAL_UI
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/")


def run_page(base: str, experiment_id: str, run_id: str) -> str:
    """The address of one run's page; with an empty base, a link that works inside the UI."""
    page = f"#/experiments/{experiment_id}/runs/{run_id}?{urlencode(_TRAINING)}"
    return f"{base}/{page}" if base else page


def experiment_page(base: str, experiment_id: str) -> str:
    """The address of an experiment's runs."""
    return f"{base}/#/experiments/{experiment_id}/runs?{urlencode(_TRAINING)}"


def comparison_page(
    base: str, experiment_id: str, search: str, *, order_by: str | None = None
) -> str:
    """The address of the charts that compare the runs a search finds.

    The names in it are not documented: they are what the UI itself writes into its address.

    Args:
        base: the UI's address.
        experiment_id: where the runs are.
        search: which runs, as `tagged` or `any_of` say it.
        order_by: the parameter whose text orders them; None for the newest first.
    """
    query = {**_TRAINING, "searchFilter": search, "compareRunsMode": "CHART"}
    if order_by is not None:
        query |= {"orderByKey": f"params.`{order_by}`", "orderByAsc": "true"}
    return f"{base}/#/experiments/{experiment_id}/runs?{urlencode(query, quote_via=quote)}"


def view_page(base: str, experiment_id: str, view_id: str) -> str:
    """The address that opens a saved view with its charts.

    The page ignores the view if its address also holds a search or an order.
    """
    query = {"viewStateShareKey": view_id, "compareRunsMode": "CHART", **_TRAINING}
    return f"{base}/#/experiments/{experiment_id}/runs?{urlencode(query)}"


def tagged(tags: Mapping[str, str]) -> str:
    """The search for the runs that have all these tags."""
    return " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())


def any_of(run_ids: Sequence[str]) -> str:
    """The search for these runs, whichever step made them."""
    return f"attributes.run_id IN ({', '.join(repr(run_id) for run_id in run_ids)})"


def searches_metrics(search: str) -> bool:
    """Whether a search picks runs by their metrics.

    A search that this version of MLflow cannot parse, but a newer server may, counts as one.
    """
    try:
        clauses = SearchUtils.parse_search_filter(search)
    except MlflowException:
        return True
    return any(clause["type"] == "metric" for clause in clauses)
