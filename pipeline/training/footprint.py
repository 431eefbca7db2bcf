"""How much memory training a stack takes, estimated beforehand."""

from itertools import pairwise

from pipeline.config.recipe import Recipe
from pipeline.training.batches import EVALUATION_BATCH

# Bytes alive at the same time, read from the allocator on the CPU (`benchmarks.stack_memory`). Per
# parameter: weight, gradient, the weight before the epoch and the kept one; optimizer state comes
# on top. Per unit and sample: what the backward pass and the probe hold.
_OF_A_PARAMETER = 16
_OF_A_STATE = 4
_OF_THE_LARGEST_LAYER = 9
_OF_A_UNIT_IN_TRAINING = 28
_OF_A_UNIT_IN_EVALUATION = 14
_OF_AN_INPUT = 9
_OF_A_SCALED_INPUT = 4
_OF_A_DROPPED_INPUT = 11
_OF_A_SAMPLE = 16
# The most that the allocator was measured to hold beyond that, on the CPU.
_SLACK = 1.4


def stack_bytes(recipe: Recipe, *, networks: int, inputs: int, classes: int, samples: int) -> int:
    """The most bytes that a stack takes while it is trained and measured, the images not counted.

    Largest of three moments: an update with its probe, an evaluation, the comparison of the weights
    with those before the epoch. Not less than was measured, but up to twice as much on a CPU, which
    evaluates a large stack network by network.

    Args:
        recipe: of one of its networks.
        networks: how many.
        inputs: features of a sample.
        classes: logits of each network.
        samples: images trained on, whose order each network holds.
    """
    sizes = (inputs, *recipe.widths, classes)
    layers = [before * units + units for before, units in pairwise(sizes)]
    units = sum(sizes[1:])
    states = {"adam": 2, "sgd": int(recipe.momentum > 0)}[recipe.optimizer]
    scaled = _OF_A_SCALED_INPUT * inputs if recipe.scaling != "unit" else 0
    of_an_input = _OF_AN_INPUT + _OF_A_DROPPED_INPUT * (recipe.input_drop_rate > 0)
    update = recipe.batch_size * (_OF_A_UNIT_IN_TRAINING * units + of_an_input * inputs + scaled)
    moments = (
        update + _OF_A_SAMPLE * samples,
        EVALUATION_BATCH * (_OF_A_UNIT_IN_EVALUATION * units + scaled),
        _OF_THE_LARGEST_LAYER * max(layers),
    )
    held = sum(layers) * (_OF_A_PARAMETER + _OF_A_STATE * states)
    return round(_SLACK * networks * (held + max(moments)))
