"""The network that the gates examine: its run, logged model, weights and data."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float32
from torch import nn

from pipeline.data import ImageData, as_input
from pipeline.records import Weights
from pipeline.records.result import Result
from pipeline.runs.answers import answers
from pipeline.runs.load import load_data, load_result, load_weights
from pipeline.tracking import FoundRun, Tracker
from pipeline.training.stack import plain
from why_zero.records import Counts


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A trained network to be registered.

    Attributes:
        run: its run.
        address: of its logged model; empty without one, which `runs.complete` makes.
        result: what the run holds.
        weights: its state dict, as the run's artifact has it.
        data: what it was trained on.
    """

    run: FoundRun
    address: str
    result: Result
    weights: Weights
    data: ImageData

    @cached_property
    def rebuilt(self) -> nn.Sequential:
        """The plain network with the weights of the state dict, in evaluation mode."""
        return plain(self.result.recipe, self.weights).eval()

    @property
    def commit(self) -> str | None:
        """The commit of the code that trained it, marked if there were changes; None if unknown."""
        commit = self.run.tags.get("mlflow.source.git.commit")
        is_changed = "dirty" in self.run.tags
        return f"{commit} with uncommitted changes" if commit and is_changed else commit

    @cached_property
    def confusion(self) -> Counts:
        """Counts of the rebuilt network's answers to the test set: rows truth, columns answer."""
        return answers(self.rebuilt, self.data).confusion

    def test_images(self, count: int) -> Float32[torch.Tensor, "count 1 height width"]:
        """The first `count` test images as the network takes them, repeated if need be."""
        images = self.data.test_images
        return as_input(images[torch.arange(count) % len(images)])


def load_candidate(run: FoundRun, tracker: Tracker) -> Candidate:
    """The candidate that a finished network's run holds.

    Raises:
        PipelineError: the run lacks something, or its data set is missing or a different one.
    """
    result = load_result(run, tracker)
    return Candidate(
        run=run,
        address=run.model or "",
        result=result,
        weights=load_weights(run, tracker),
        data=load_data(result),
    )
