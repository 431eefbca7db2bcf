"""What a benchmark is told: where to compute, and how long it may take.

It must not know any benchmark.
"""

from dataclasses import dataclass
from typing import Literal, TypeVar

import torch

Effort = Literal["smoke", "usual", "full"]
Chosen = TypeVar("Chosen")


class UnavailableError(Exception):
    """What a benchmark compares with is not on this machine; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How to measure.

    Attributes:
        device: where the networks are trained.
        effort: `smoke` only shows that a benchmark runs, and its numbers mean nothing; `full`
            measures what `usual` leaves out or scales up.
    """

    device: torch.device
    effort: Effort = "usual"

    def pick(self, *, smoke: Chosen, usual: Chosen, full: Chosen | None = None) -> Chosen:
        """The value for this effort; that of `usual` where `full` has none of its own."""
        if self.effort == "smoke":
            return smoke
        return usual if self.effort == "usual" or full is None else full
