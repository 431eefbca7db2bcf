"""Predictions under many dropout masks: Monte Carlo dropout (Gal and Ghahramani 2016).

Each mask makes a network of its own, drawn from an approximate posterior over the weights
("Dropout as a Bayesian Approximation", ICML 2016, arXiv:1506.02142, section 4); how far their
answers differ says how sure the network is. Masks are applied to inputs and hidden layers, as in
training: in that paper a mask comes before weights, and there are none after the logits, so dropout
on them, which training may have used, would only hide answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pipeline.config.recipe import Recipe
from pipeline.training.masks import RandomMasks
from pipeline.training.stack import LayerPass, Stack
from why_zero import causes_of, count_causes
from why_zero.records import Counts, Floats, ZeroCauses

INTERVAL = (0.025, 0.975)
InputMask = Bool[Tensor, "networks batch inputs"] | None
Masks = Sequence[Bool[Tensor, "networks batch _"] | None]


@dataclass(frozen=True, kw_only=True)
class MaskedAnswer:
    """The predictions for one image over many masks; arrays have the shape (classes,).

    Attributes:
        passes: the number of masks.
        mean: mean probability.
        low: 2.5 % of the masks give less, linearly interpolated between passes.
        high: 2.5 % of the masks give more.
        votes: under how many masks the class was the most probable one.
        entropy: of the mean, in nats: the total uncertainty.
        mutual_information: between answer and mask, in nats: the entropy of the mean less the
            mean entropy, the part of it that comes from the masks' disagreement (BALD, Houlsby
            et al. 2011, arXiv:1112.5745, equation 2).
        causes: by hidden layer that drops units, why its activations were zero, over all passes.
    """

    passes: int
    mean: Floats
    low: Floats
    high: Floats
    votes: Counts
    entropy: float
    mutual_information: float
    causes: Mapping[str, ZeroCauses]


def hidden_masks(recipe: Recipe, units: Sequence[int], passes: int, *, seed: int) -> Masks:
    """Masks for so many passes, one for each layer along the batch: True = kept, None for logits.

    All images get the same masks, so that an answer depends on no other image.

    Args:
        recipe: of the network; its drop rates are the masks'.
        units: of each layer, logits included.
        passes: how many.
        seed: of the masks.
    """
    return [*_source(recipe, units, seed).draw(passes)[:-1], None]


def input_mask(recipe: Recipe, inputs: int, passes: int, *, seed: int) -> InputMask:
    """A mask of the inputs for so many passes, likewise; None where no inputs are dropped."""
    return _source(recipe, (), seed).draw_inputs(passes, inputs)


def _source(recipe: Recipe, units: Sequence[int], seed: int) -> RandomMasks:
    return RandomMasks(
        [replace(recipe, seed=seed)],
        units,
        stream="Monte Carlo dropout",
        device=torch.device("cpu"),
    )


@torch.no_grad()
def masked_pass(
    stack: Stack, image: Float[Tensor, " inputs"], masks: Masks, *, inputs: InputMask = None
) -> tuple[Float[Tensor, "passes classes"], dict[str, ZeroCauses]]:
    """One image's logits under each mask, and the causes of zeros by hidden layer.

    Args:
        stack: of a single network.
        image: in [0, 1].
        masks: as `hidden_masks` gives them.
        inputs: as `input_mask` gives it.

    Raises:
        BrokenIdentity: the causes do not add up to the passes.
    """
    passes = next(len(keep[0]) for keep in (inputs, *masks) if keep is not None)
    trace: list[LayerPass] = []
    seen = stack.enter(image.expand(1, passes, -1), inputs)
    logits = stack.onward(stack.first(seen.y), masks, trace=trace)
    causes = {}
    for name, layer in zip(stack.layer_names, trace, strict=True):
        if layer.keep is not None:
            counts = count_causes(layer.z, layer.keep, has_no_relu=stack.has_no_relu_at(name))
            causes[name] = causes_of(counts[:, 0], passes, layer=name)
    return logits[0], causes


def masked_answer(
    logits: Float[Tensor, "passes classes"], causes: Mapping[str, ZeroCauses]
) -> MaskedAnswer:
    """The summary of all passes, in float64."""
    probabilities = torch.softmax(logits.double(), -1).numpy()
    mean = probabilities.mean(0)
    low, high = np.quantile(probabilities, INTERVAL, axis=0)
    entropy = float(_entropy(mean))
    votes = np.bincount(probabilities.argmax(-1), minlength=probabilities.shape[1])
    return MaskedAnswer(
        passes=len(probabilities),
        mean=mean,
        low=low,
        high=high,
        votes=votes.astype(np.int64),
        entropy=entropy,
        # Rounding may take it below 0 if no mask changes anything.
        mutual_information=max(0.0, entropy - float(_entropy(probabilities).mean())),
        causes=causes,
    )


def _entropy(probabilities: Floats) -> Floats:
    """-Σ p ln p along the last axis, in nats; a probability of 0 adds nothing."""
    logarithms = np.log(np.where(probabilities > 0, probabilities, 1))
    return np.asarray(-(probabilities * logarithms).sum(-1))
