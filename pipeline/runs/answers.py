"""A network's answers to a set of images: its score, confusion, and which ones it is right for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save
from torch import Tensor, nn

from pipeline.data import ImageData, as_input, split
from pipeline.records import Score
from pipeline.records.words import csv_of
from pipeline.training.batches import EVALUATION_BATCH
from why_zero.records import Counts

RIGHT = "validation_right.safetensors"
CONFUSION = "confusion.csv"


@torch.no_grad()
def logits_of(
    network: nn.Module, images: UInt8[Tensor, "images height width"]
) -> Float[Tensor, "images classes"]:
    """The plain network's logits for each image."""
    return torch.cat([network(as_input(batch)) for batch in images.split(EVALUATION_BATCH)])


@dataclass(frozen=True)
class Answers:
    """What a network answers to the images of a test set.

    Attributes:
        score: its mean loss and accuracy.
        confusion: counts, shape (classes, classes): rows truth, columns prediction.
        is_right: for which images the answer is right, in their stored order.
    """

    score: Score
    confusion: Counts
    is_right: NDArray[np.bool_]


def answers(network: nn.Module, data: ImageData) -> Answers:
    """The answers of the plain network, in evaluation mode, to the test set of these data."""
    logits, labels = logits_of(network, data.test_images), data.test_labels
    found = logits.argmax(-1)
    confusion = np.zeros((len(data.classes), len(data.classes)), dtype=np.int64)
    np.add.at(confusion, (labels.numpy(), found.numpy()), 1)
    loss = float(F.cross_entropy(logits, labels, reduction="none").double().mean())
    return Answers(
        score=Score(loss, int(confusion.trace()) / len(labels)),
        confusion=confusion,
        is_right=(found == labels).numpy(),
    )


def validation_data(data: ImageData, holdout: int) -> ImageData:
    """The data set with the images in the place of the test set that a network is validated on.

    Args:
        data: what it was trained on.
        holdout: how many training images were held out; 0 for the test set itself.
    """
    if not holdout:
        return data
    _, held_out = split(len(data.train_labels), holdout)
    return replace(
        data, test_images=data.train_images[held_out], test_labels=data.train_labels[held_out]
    )


def packed(is_right: NDArray[np.bool_]) -> bytes:
    """The content of the file `RIGHT`: `right`, eight images a byte, and their number."""
    return save({"right": np.packbits(is_right)}, metadata={"images": str(len(is_right))})


def load_right(path: Path) -> NDArray[np.bool_]:
    """What `packed` took, from its file."""
    with safe_open(path, framework="numpy") as file:
        images = int(file.metadata()["images"])
        return np.unpackbits(file.get_tensor("right"), count=images).astype(np.bool_)


def confusion_csv(confusion: Counts, classes: Sequence[str]) -> str:
    """The content of the file `CONFUSION`: a row for each true class, a column for each answer."""
    rows = ([name, *row] for name, row in zip(classes, confusion.tolist(), strict=True))
    return csv_of([["truth", *classes], *rows])
