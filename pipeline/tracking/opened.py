"""The run that `mlflow run` has opened for a step that makes no run of its own."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from pipeline.tracking.tracker import connect


def adopted_run(step: str, parameters: Mapping[str, str]) -> AbstractContextManager[object]:
    """The run that `mlflow run` has opened, ended with the block; nothing where there is none.

    Args:
        step: the step.
        parameters: its settings as canonical text.
    """
    if "MLFLOW_RUN_ID" not in os.environ:
        return nullcontext()
    return connect().start_step(step, step, parameters=parameters)
