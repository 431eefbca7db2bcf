"""Logs runs, models and what belongs to them to MLflow, and finds them again.

The only room that imports mlflow. It must not know how anything is trained, measured or drawn.
"""

from pipeline.tracking.address import any_of, tagged
from pipeline.tracking.found import FoundRun
from pipeline.tracking.loaded import LoadedModel, open_model, requirements_of
from pipeline.tracking.models import STATE_DICT, load_model, log_model
from pipeline.tracking.registry import Registry, Version
from pipeline.tracking.runs import Outcome, Run
from pipeline.tracking.system import watching_system
from pipeline.tracking.tracker import Tracker, connect

__all__ = [
    "STATE_DICT",
    "FoundRun",
    "LoadedModel",
    "Outcome",
    "Registry",
    "Run",
    "Tracker",
    "Version",
    "any_of",
    "connect",
    "load_model",
    "log_model",
    "open_model",
    "requirements_of",
    "tagged",
    "watching_system",
]
