"""What a network answers to images: by its graph, by its units, and under many masks.

It must not know files, stores or terminals.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.answers.answer import Answer
from pipeline.answers.inside import Inside
from pipeline.answers.mc_dropout import MaskedAnswer, Masks, masked_answer, masked_pass
from pipeline.answers.unit_counts import UnitCount, count_units
from pipeline.errors import PipelineError

BATCH = 1000
# Of the largest logit, at least 1: sums of float32 in another order differ by less.
SAME = 1e-4


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who is asked, and what.

    Attributes:
        network: the registered graph, whose answer counts.
        classes: what its classes are called.
        inside: its units; None where only the answer is wanted.
        masks: to try, as `hidden_masks` gives them; None for none.
        is_why: whether the units are to be counted.
    """

    network: nn.Module
    classes: tuple[str, ...]
    inside: Inside | None = None
    masks: Masks | None = None
    is_why: bool = False


def ask(asked: Asked, names: Sequence[str], images: Sequence[NDArray[np.uint8]]) -> list[Answer]:
    """An answer for each image, which depends on no other image.

    Args:
        asked: who, and what.
        names: of the images.
        images: all of the size that the network takes, 0 … 255.

    Raises:
        PipelineError: the units are not those of the graph.
    """
    starts = range(0, len(names), BATCH)
    return [
        answer
        for part in (slice(start, start + BATCH) for start in starts)
        for answer in _answers(asked, names[part], np.stack(images[part]))
    ]


def _answers(asked: Asked, names: Sequence[str], images: NDArray[np.uint8]) -> Iterator[Answer]:
    # As in training, so that an image of the data set gives the same bits.
    inputs = torch.from_numpy(images)[:, None] / 255
    with torch.no_grad():
        logits = asked.network(inputs)
    units: Sequence[tuple[UnitCount, ...]] = []
    if asked.inside is not None:
        rebuilt, units = count_units(asked.inside.stack, inputs.flatten(1), asked.inside.dead)
        _check_same(logits, rebuilt)
    for place, name in enumerate(names):
        yield Answer(
            image=name,
            classes=asked.classes,
            logits=logits[place].double().numpy(),
            units=units[place] if asked.is_why else None,
            masked=_masked(asked, inputs[place].flatten()),
        )


def _masked(asked: Asked, image: Float[Tensor, " inputs"]) -> MaskedAnswer | None:
    if asked.inside is None or asked.masks is None:
        return None
    return masked_answer(*masked_pass(asked.inside.stack, image, asked.masks))


def _check_same(
    graph: Float[Tensor, "images classes"], rebuilt: Float[Tensor, "images classes"]
) -> None:
    """Refuse to explain one network by the units of another.

    Raises:
        PipelineError: the two give other logits.
    """
    limit = SAME * max(1.0, float(graph.abs().max()))
    gap = float((graph - rebuilt).abs().max())
    if not gap <= limit:
        raise PipelineError(
            f"the weights in the run must be the registered model's, to {limit:g} in the logits, "
            f"got a difference of {gap:g}: leave why and passes out, or register the model again"
        )
