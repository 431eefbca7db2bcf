"""A network's answers as artifacts: which validation images it is right for, and its confusion."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save
from torch import nn

from pipeline.data import ImageData, as_input, split
from pipeline.training.batches import EVALUATION_BATCH
from why_zero.records import Counts

RIGHT = "validation_right.safetensors"
CONFUSION = "confusion.csv"


@torch.no_grad()
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
    images, labels = data.test_images, data.test_labels
    if holdout:
        _, held_out = split(len(data.train_labels), holdout)
        images, labels = data.train_images[held_out], data.train_labels[held_out]
    logits = torch.cat([network(as_input(part)) for part in images.split(EVALUATION_BATCH)])
    return (logits.argmax(-1) == labels).numpy(), float(F.cross_entropy(logits, labels))


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
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["truth", *classes])
    writer.writerows([name, *row] for name, row in zip(classes, confusion.tolist(), strict=True))
    return file.getvalue()
