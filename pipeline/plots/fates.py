"""What became of the units that were ever dead, layer by layer, in the order they are drawn."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.records import History, turnover

Cells = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Fates:
    """The units of one ReLU layer that were dead at the end of an epoch, the lowest row first.

    First stand those that are dead at last, then the others; among them those longest dead, and
    then those dead earliest.

    Attributes:
        layer: its name.
        units: how many units the layer has, those included that were never dead.
        dead: shape (rows, epochs), as all that follow; epoch 0 is the network as born.
        moved: dead, although the unit's weights moved in that epoch.
        born: born dead.
        died: dead, and not an epoch before.
        revived_by_weights: alive, and not an epoch before; its own weights moved.
        revived_by_inputs: the same, but only what feeds it moved.
    """

    layer: str
    units: int
    dead: Cells
    moved: Cells
    born: Cells
    died: Cells
    revived_by_weights: Cells
    revived_by_inputs: Cells


def fates(history: History) -> list[Fates]:
    """The fates of every ReLU layer, from h1 on.

    Args:
        history: the records of one network, epoch 0 first.
    """
    return [
        _of_layer(history, i)
        for i, layer in enumerate(history[0].layers)
        if layer.states is not None
    ]


def _of_layer(history: History, index: int) -> Fates:
    layers = [record.layers[index] for record in history]
    dead = np.stack([layer.states.dead for layer in layers if layer.states is not None], axis=1)
    turnovers = [turnover(before, after) for before, after in pairwise(layers)]
    none = np.zeros(len(dead), dtype=np.bool_)
    first_dead = dead.argmax(axis=1)
    order = np.lexsort((first_dead, -dead.sum(axis=1), ~dead[:, -1]))
    rows = order[dead[order].any(axis=1)]

    def cells(at_birth: Cells, later: list[Cells]) -> Cells:
        return np.stack([at_birth, *later], axis=1)[rows]

    return Fates(
        layer=layers[0].name,
        units=len(dead),
        dead=dead[rows],
        moved=dead[rows] & cells(none, [t.moved for t in turnovers]),
        born=cells(dead[:, 0], [none for _ in turnovers]),
        died=cells(none, [t.died for t in turnovers]),
        revived_by_weights=cells(none, [t.revived_by_weights for t in turnovers]),
        revived_by_inputs=cells(none, [t.revived_by_inputs for t in turnovers]),
    )
