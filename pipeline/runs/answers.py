"""A network's answers as artifacts: which validation images it is right for, and its confusion."""

from collections.abc import Sequence
from dataclasses import replace
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


def right_answers(
    network: nn.Module, data: ImageData, holdout: int
) -> tuple[NDArray[np.bool_], float]:
    """For which images the plain network's answer is right, shape (images,), and its mean loss.

    Args:
        network: in evaluation mode.
        data: what it was trained on.
        holdout: how many training images were held out, which then are these images, in their
            stored order; 0 for the test set.
    """
    judges = validation_data(data, holdout)
    logits, labels = logits_of(network, judges.test_images), judges.test_labels
    return (logits.argmax(-1) == labels).numpy(), float(F.cross_entropy(logits, labels))


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
