"""Classifies images: plainly, with unit counts, and under many masks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data import as_input
from pipeline.predict.answer import Answer
from pipeline.predict.mc_dropout import (
    InputMask,
    MaskedAnswer,
    Masks,
    masked_answer,
    masked_pass,
)
from pipeline.predict.network import LoadedNetwork
from pipeline.predict.unit_counts import UnitCount, count_units
from pipeline.training.batches import EVALUATION_BATCH


@dataclass(frozen=True, kw_only=True)
class Query:
    """Which network is asked, and what for.

    Attributes:
        inside: the network.
        classes: the names of its classes.
        masks: to try, as `hidden_masks` gives them; None for none.
        input_mask: to try with them, as the function of that name gives it.
        is_why: whether the units are to be counted.
    """

    inside: LoadedNetwork
    classes: tuple[str, ...]
    masks: Masks | None = None
    input_mask: InputMask = None
    is_why: bool = False


def answer_images(
    query: Query, names: Sequence[str], images: Sequence[NDArray[np.uint8]]
) -> list[Answer]:
    """An answer for each image, which depends on no other image.

    Args:
        query: which network, and what for.
        names: of the images.
        images: all of the size that the network takes, 0 … 255.
    """
    starts = range(0, len(names), EVALUATION_BATCH)
    return [
        answer
        for part in (slice(start, start + EVALUATION_BATCH) for start in starts)
        for answer in _answers(query, names[part], np.stack(images[part]))
    ]


def _answers(query: Query, names: Sequence[str], images: NDArray[np.uint8]) -> Iterator[Answer]:
    # As in training, so that an image of the data set gives the same bits.
    inputs = as_input(torch.from_numpy(images))
    with torch.no_grad():
        logits = query.inside.network(inputs)
    units: Sequence[tuple[UnitCount, ...]] = []
    if query.is_why:
        _, units = count_units(query.inside.stack, inputs.flatten(1), query.inside.dead)
    for place, name in enumerate(names):
        yield Answer(
            image=name,
            classes=query.classes,
            logits=logits[place].double().numpy(),
            units=units[place] if query.is_why else None,
            masked=_masked(query, inputs[place].flatten()),
        )


def _masked(query: Query, image: Float[Tensor, " inputs"]) -> MaskedAnswer | None:
    if query.masks is None:
        return None
    return masked_answer(
        *masked_pass(query.inside.stack, image, query.masks, inputs=query.input_mask)
    )
