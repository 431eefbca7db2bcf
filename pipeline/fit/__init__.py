"""Recipes in, finished runs out: reuse what exists, group into stacks, train, log.

Every step that trains goes through it.
"""

from pipeline.fit.fitting import fit
from pipeline.fit.tasks import CHECKPOINTS, FitContext, Fitted, Task

__all__ = ["CHECKPOINTS", "FitContext", "Fitted", "Task", "fit"]
