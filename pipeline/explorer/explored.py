"""What a page knows of a network beside its result: what its units fire for."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from pipeline.data import ImageData, as_input, split
from pipeline.records import Weights
from pipeline.records.result import Result
from pipeline.training.batches import EVALUATION_BATCH
from pipeline.training.stack import plain
from why_zero.records import Counts

# 14 MB of weights, 19 in the page: a browser computes such a network in a few milliseconds.
MOST_PARAMETERS = 3_500_000


@dataclass(frozen=True, kw_only=True)
class Explored:
    """A network to explore.

    Attributes:
        result: what it was and did.
        weights: under the names that `plain` gives them.
        fired_by_class: of each ReLU layer, for how many images of each class that it was trained
            on a unit's z is above 0 in evaluation mode, shape (units, classes).
        class_counts: how many of these images each class has, shape (classes,).
    """

    result: Result
    weights: Weights
    fired_by_class: Mapping[str, Counts]
    class_counts: Counts

    @property
    def parameters(self) -> int:
        """How many weights and biases it has."""
        return sum(
            array.size for name, array in self.weights.items() if not name.startswith("scaling.")
        )


@torch.no_grad()
def explored(result: Result, weights: Weights, data: ImageData) -> Explored:
    """The network, with what its units fire for among the images that it was trained on.

    Args:
        result: as it was trained or loaded.
        weights: those that were kept.
        data: what it was trained on.
    """
    network = plain(result.recipe, weights).eval()
    kept, _ = split(len(data.train_labels), result.recipe.holdout)
    images, labels = data.train_images[kept], data.train_labels[kept]
    classes = len(data.classes)
    fired: dict[str, Counts] = {
        layer: np.zeros((width, classes), dtype=np.int64)
        for layer, width in zip(result.recipe.layers, result.recipe.widths, strict=False)
        if result.recipe.has_relu(layer)
    }
    for batch, answers in zip(
        images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True
    ):
        is_class = torch.nn.functional.one_hot(answers, classes).float()
        values = as_input(batch)
        number = 0
        for module in network:
            values = module(values)
            if isinstance(module, nn.ReLU):
                number += 1
                # Whole numbers far below 2 ** 24: exact.
                fires = torch.gt(values, 0, out=torch.empty_like(values))
                fired[f"h{number}"] += (is_class.T @ fires).T.long().numpy()
    return Explored(
        result=result,
        weights=weights,
        fired_by_class=fired,
        class_counts=np.bincount(labels.numpy(), minlength=classes),
    )
