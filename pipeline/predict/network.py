"""A registered model's network rebuilt from its run: its answers and its units."""

from dataclasses import dataclass

from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.config.settings import parsed
from pipeline.errors import PipelineError
from pipeline.predict.unit_counts import Dead
from pipeline.runs.load import load_result, load_weights
from pipeline.tracking import FoundRun, Tracker
from pipeline.training.stack import Stack, plain


@dataclass(frozen=True, kw_only=True)
class LoadedNetwork:
    """A network and what its run says about it.

    Attributes:
        recipe: what it was made from.
        network: plain, in evaluation mode.
        stack: of this network alone, with its weights.
        dead: by layer, which units are dead over the images trained on, with these weights; None
            if unknown.
        note: why it is unknown; empty if it is known.
    """

    recipe: Recipe
    network: nn.Sequential
    stack: Stack
    dead: Dead | None
    note: str


def load_network(run: FoundRun, tracker: Tracker) -> LoadedNetwork:
    """The network that this run holds.

    Args:
        run: of a network.
        tracker: of the store that the run is in.

    Raises:
        PipelineError: the run's weights are missing, or are not of the network it describes.
    """
    recipe = parsed(Recipe, run.parameters)
    weights = load_weights(run, tracker)
    network = plain(recipe, weights).eval()
    inputs, classes = (
        weights["linear1.weight"].shape[1],
        len(weights[f"linear{len(recipe.layers)}.bias"]),
    )
    stack = Stack([recipe], inputs=inputs, classes=classes)
    stack.load(0, weights)
    dead, note = None, ""
    try:
        chosen = load_result(run, tracker).chosen
        dead = {name: states.dead for name, states in chosen.states.items()}
    except PipelineError as error:
        note = str(error)
    return LoadedNetwork(recipe=recipe, network=network, stack=stack, dead=dead, note=note)
