"""What to train, where, and the outcome."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from pipeline.config.recipe import Recipe
from pipeline.console import Console
from pipeline.data import ImageData
from pipeline.errors import PipelineError
from pipeline.records.result import Failure, Result
from pipeline.records.words import reasons
from pipeline.runs.fingerprint import fingerprint
from pipeline.tracking import Tracker
from pipeline.training import device as devices
from pipeline.workers import Engine, Local

CHECKPOINTS = Path("checkpoints")


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """One network to be trained.

    Attributes:
        recipe: what it is made from.
        data: the data set.
        device: where to train it.
        mark: what tells it from others with the same recipe and data, such as its device.
    """

    recipe: Recipe
    data: ImageData
    device: torch.device
    mark: str = ""

    @property
    def name(self) -> str:
        """Its display name; MNIST goes without saying."""
        data = "" if self.data.name == "mnist" else self.data.name
        return " ".join(filter(None, (self.recipe.name, data, self.mark)))

    @property
    def parameters(self) -> dict[str, str]:
        """All settings as canonical text, as in its run."""
        return self.recipe.parameters | {
            "device": str(self.device),
            "dataset": self.data.name,
            "dataset_digest": self.data.digest,
        }

    def failed(self, reason: str) -> Failure:
        """The record of its failure, for comparisons."""
        return Failure(
            recipe=self.recipe,
            device=str(self.device),
            device_name=devices.describe(self.device),
            dataset=self.data.name,
            dataset_digest=self.data.digest,
            reason=reason,
        )

    @cached_property
    def fingerprint(self) -> str:
        """What its numbers depend on: tasks with one fingerprint are one network."""
        settings = [f"{name}={value}" for name, value in self.recipe.parameters.items()]
        where = devices.describe(self.device)
        return fingerprint("network", *settings, self.data.digest, where)


@dataclass(frozen=True, kw_only=True)
class FitContext:
    """Where runs and messages go.

    Attributes:
        tracker: the experiment.
        console: where lines and progress are shown.
        step: the name of the step that trains.
        tags: tags of every new network's run, such as `pipeline`.
        is_forced: train again even if there is a finished run with the same fingerprint.
        keeps_all: give every network's run its pictures and its model as well, also those of a
            finished one that lacks them; otherwise `runs.complete` can make them later.
        cuda_graphs: capture an update once and replay it, on CUDA; the numbers are the same.
        memory_bytes: that networks trained at once on one device may take; None for
            `device.memory_to_use`.
        checkpoints: the folder of the state from which interrupted training resumes.
        engine: where stacks are trained.
    """

    tracker: Tracker
    console: Console
    step: str
    tags: dict[str, str]
    is_forced: bool = False
    keeps_all: bool = True
    cuda_graphs: bool = True
    memory_bytes: float | None = None
    checkpoints: Path = CHECKPOINTS
    engine: Engine = field(default_factory=Local)


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """The outcome of the tasks.

    Attributes:
        results: of the networks that finished, in the order of the tasks.
        failures: why others failed, by their names.
        failed: the same networks as records, for comparisons.
        under_way: what to say of the rest, which another process trains.
    """

    results: list[Result]
    failures: dict[str, str]
    failed: tuple[Failure, ...] = ()
    under_way: tuple[str, ...] = ()

    def complete(self) -> list[Result]:
        """All results.

        Raises:
            PipelineError: a network failed, or another process trains it.
        """
        if self.failures:
            total = len(self.results) + len(self.failures)
            networks = "network" if total == 1 else "networks"
            raise PipelineError(
                f"{len(self.failures)} of {total} {networks} failed: {reasons(self.failures)}"
            )
        if self.under_way:
            raise PipelineError("\n".join(self.under_way))
        return self.results
