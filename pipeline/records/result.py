"""A trained network, as reports and comparisons need it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config.recipe import Recipe
from pipeline.records.epochs import EpochRecord, History, Score

# The rule at the beginning of the reason why a network failed whose loss did not stay finite.
DIVERGED = "loss must stay finite"


@dataclass(frozen=True, kw_only=True)
class Result:
    """A trained network, as a report needs it.

    Attributes:
        recipe: what it was made from.
        history: its records, from epoch 0 on.
        chosen: the epoch whose weights were kept.
        test: its score on the test set.
        run_id: MLflow's id of its run.
        page: a link to its run that works inside MLflow's UI.
        device: where it was trained, as the setting names it, such as `cpu`.
        device_name: the same for people, such as `cpu (AMD EPYC)`.
        dataset: the name of the data set.
        dataset_digest: of all its bytes.
        stack_size: how many networks were trained together with it, itself included.
        is_right: for which validation images its answer is right, in their order, shape (images,);
            None where its run does not say.
    """

    recipe: Recipe
    history: History
    chosen: EpochRecord
    test: Score
    run_id: str
    page: str
    device: str
    device_name: str
    dataset: str
    dataset_digest: str
    stack_size: int
    is_right: NDArray[np.bool_] | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A network that has no result.

    Attributes:
        recipe: what it was made from.
        device: where it was trained, as in `Result`.
        device_name: the same for people.
        dataset: the name of the data set.
        dataset_digest: of all its bytes.
        reason: why it failed, in one line.
    """

    recipe: Recipe
    device: str
    device_name: str
    dataset: str
    dataset_digest: str
    reason: str

    @property
    def has_diverged(self) -> bool:
        """Whether its training has, so that another try would fail as well."""
        return self.reason.startswith(DIVERGED)
