"""A registered model's network rebuilt from its run, for whoever wants to see its units.

It must not know what images are shown to it.
"""

from dataclasses import dataclass

from safetensors import SafetensorError
from safetensors.numpy import load_file

from pipeline.answers.unit_counts import Dead
from pipeline.errors import PipelineError
from pipeline.recall import recall
from pipeline.recipe import Recipe
from pipeline.settings import parsed
from pipeline.stack import Stack
from pipeline.tracking import STATE_DICT, FoundRun, Tracker


@dataclass(frozen=True, kw_only=True)
class Inside:
    """A network and what its run knows of it.

    Attributes:
        recipe: what it was made from.
        stack: of this network alone, with its weights.
        dead: by layer, which units are dead over the images trained on, with these weights; None
            where that is unknown.
        note: why it is unknown; empty where it is known.
    """

    recipe: Recipe
    stack: Stack
    dead: Dead | None
    note: str


def look_inside(run: FoundRun, tracker: Tracker) -> Inside:
    """The network that this run holds.

    Args:
        run: of a network.
        tracker: of the store that the run is in.

    Raises:
        PipelineError: the run's weights are missing, or are not of the network it describes.
    """
    recipe = parsed(Recipe, run.parameters)
    try:
        weights = load_file(tracker.artifact(run.id, STATE_DICT))
        first, last = weights["linear1.weight"], weights[f"linear{len(recipe.layers)}.weight"]
        stack = Stack([recipe], inputs=first.shape[1], classes=len(last))
        stack.load(0, weights)
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise PipelineError(
            f"a run must hold the weights of the network it describes, got {run.name!r} "
            f"({run.id}: {error!r}): leave why and passes out, or train it again"
        ) from error
    try:
        layers = recall(run, tracker).chosen.layers
    except PipelineError as error:
        return Inside(recipe=recipe, stack=stack, dead=None, note=str(error))
    dead = {layer.name: layer.states.dead for layer in layers if layer.states is not None}
    return Inside(recipe=recipe, stack=stack, dead=dead, note="")
