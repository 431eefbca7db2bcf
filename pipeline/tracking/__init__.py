"""Logs runs, models and what belongs to them to MLflow, and finds them again.

The only room that imports mlflow.
"""

from pathlib import Path

from pipeline.tracking.address import any_of, searches_metrics, tagged
from pipeline.tracking.begun import BegunRun
from pipeline.tracking.found_run import FoundRun
from pipeline.tracking.loaded import example_of, requirements_of, signature_of
from pipeline.tracking.models import (
    STATE_DICT,
    SavedModels,
    log_model,
    save_weights,
)
from pipeline.tracking.opening import (
    adopted_run,
    connect,
    connected,
    end_opened_run,
    send_journals,
)
from pipeline.tracking.outbox import AwayError, RefusedError, Sent, UnsentError
from pipeline.tracking.registry import Registry, Version
from pipeline.tracking.runs import Outcome, Run, reason_of
from pipeline.tracking.serving import ui_of
from pipeline.tracking.store import open_at, require_store
from pipeline.tracking.survey import survey
from pipeline.tracking.system import watching_system
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.transfer.read_store import (
    fetch_artifacts,
    fetch_example,
    read_contents,
    write_model,
)
from pipeline.tracking.transfer.write_store import import_bundle
from pipeline.tracking.views.charts import (
    Json,
    bar_chart,
    image_grid,
    line_chart,
    parallel_coordinates,
    scatter,
)
from pipeline.tracking.views.view import Section, View

# The file that loads a model in a process of its own: run, never imported.
ISOLATED_LOAD = Path(__file__).with_name("isolated_load.py")

__all__ = [
    "ISOLATED_LOAD",
    "STATE_DICT",
    "AwayError",
    "BegunRun",
    "FoundRun",
    "Json",
    "Outcome",
    "RefusedError",
    "Registry",
    "Run",
    "SavedModels",
    "Section",
    "Sent",
    "Tracker",
    "UnsentError",
    "Version",
    "View",
    "adopted_run",
    "any_of",
    "bar_chart",
    "connect",
    "connected",
    "end_opened_run",
    "example_of",
    "fetch_artifacts",
    "fetch_example",
    "image_grid",
    "import_bundle",
    "line_chart",
    "log_model",
    "open_at",
    "parallel_coordinates",
    "read_contents",
    "reason_of",
    "require_store",
    "requirements_of",
    "save_weights",
    "scatter",
    "searches_metrics",
    "send_journals",
    "signature_of",
    "survey",
    "tagged",
    "ui_of",
    "watching_system",
    "write_model",
]
