"""Logs runs, models and what belongs to them to MLflow, and finds them again.

The only room that imports mlflow. It must not know how anything is trained, measured or drawn.
"""

from pathlib import Path

from pipeline.tracking.address import any_of, tagged
from pipeline.tracking.arrival import arrive
from pipeline.tracking.departure import fetch_artifacts, fetch_model, read_contents
from pipeline.tracking.found import FoundRun
from pipeline.tracking.loaded import LoadedModel, open_model, requirements_of
from pipeline.tracking.models import STATE_DICT, load_model, log_model
from pipeline.tracking.opened import taken_up
from pipeline.tracking.registry import Registry, Version
from pipeline.tracking.runs import Outcome, Run
from pipeline.tracking.store import open_at
from pipeline.tracking.system import watching_system
from pipeline.tracking.tracker import Tracker, connect

# The file that loads a model in a process of its own: run, never imported.
STRANGER = Path(__file__).with_name("stranger.py")

__all__ = [
    "STATE_DICT",
    "STRANGER",
    "FoundRun",
    "LoadedModel",
    "Outcome",
    "Registry",
    "Run",
    "Tracker",
    "Version",
    "any_of",
    "arrive",
    "connect",
    "fetch_artifacts",
    "fetch_model",
    "load_model",
    "log_model",
    "open_at",
    "open_model",
    "read_contents",
    "requirements_of",
    "tagged",
    "taken_up",
    "watching_system",
]
