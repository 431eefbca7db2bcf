"""When one network of a stack stops, and which of its weights are kept."""

import math
from dataclasses import replace

from pipeline.config.recipe import Recipe
from pipeline.records import Ending, EpochRecord, History
from pipeline.training.stack import Stack


class Stopping:
    """One network's patience, its last epoch, its divergence.

    Attributes:
        ending: why it stopped; None while it is still going.
    """

    def __init__(self, recipe: Recipe, history: History = ()) -> None:
        """Start from the records of earlier epochs."""
        self._recipe = recipe
        self._best_loss = math.inf
        self._best_epoch = 0
        for record in history:
            self._is_best(record)
        self.ending: Ending | None = history[-1].ending if history else None

    def judge(self, record: EpochRecord, stack: Stack) -> EpochRecord:
        """The record with its ending, and with its weights if they are the ones to keep."""
        is_best = self._is_best(record)
        self.ending = self._ending(record)
        is_end = self.ending in {"finished", "patience"}
        is_kept = is_best if self._recipe.select == "best" else is_end
        weights = stack.state(record.member) if is_kept else None
        return replace(record, ending=self.ending, weights=weights)

    def _is_best(self, record: EpochRecord) -> bool:
        """Whether this is the best epoch so far; if so, remember it."""
        loss = record.validation.loss if record.validation else math.inf
        is_best = loss < self._best_loss
        if is_best:
            self._best_loss, self._best_epoch = loss, record.epoch
        return is_best

    def _ending(self, record: EpochRecord) -> Ending | None:
        losses = [score.loss for score in (record.train_eval, record.train) if score]
        if not all(map(math.isfinite, losses)):
            return "diverged"
        if record.epoch == self._recipe.epochs:
            return "finished"
        patience = self._recipe.patience
        return "patience" if patience and record.epoch - self._best_epoch >= patience else None
