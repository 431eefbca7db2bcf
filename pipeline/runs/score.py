"""The test score of a trained network."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from pipeline.data import ImageData, as_input
from pipeline.records import Score
from pipeline.training.batches import EVALUATION_BATCH
from why_zero.records import Counts


@torch.no_grad()
def score(network: nn.Module, data: ImageData) -> tuple[Score, Counts]:
    """The plain network's score on the test set, and its confusion matrix.

    Returns:
        The score, and counts of shape (classes, classes): rows truth, columns prediction.
    """
    classes, total = len(data.classes), len(data.test_labels)
    loss, confusion = 0.0, np.zeros((classes, classes), dtype=np.int64)
    for images, labels in zip(
        data.test_images.split(EVALUATION_BATCH),
        data.test_labels.split(EVALUATION_BATCH),
        strict=True,
    ):
        logits = network(as_input(images))
        loss += float(F.cross_entropy(logits, labels, reduction="sum"))
        np.add.at(confusion, (labels.numpy(), logits.argmax(-1).numpy()), 1)
    return Score(loss / total, int(confusion.trace()) / total), confusion
