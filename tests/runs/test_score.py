"""The test score of a trained network."""

import math

import pytest
import torch
from torch import Tensor, nn

from pipeline.data import ImageData
from pipeline.runs.score import score


class Brightest(nn.Module):
    """Its answer is the place of the brightest pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def test_a_confusion_has_a_row_for_each_truth_and_a_column_for_each_answer() -> None:
    labels, answers = torch.tensor([0, 0, 0, 1, 2]), torch.tensor([0, 1, 1, 1, 0])
    pixels = torch.zeros(5, 1, 3, dtype=torch.uint8)
    pixels[torch.arange(5), 0, answers] = 255
    data = ImageData(
        name="spots",
        train_images=pixels,
        train_labels=labels,
        test_images=pixels,
        test_labels=labels,
        classes=("a", "b", "c"),
        digest="0",
        source="nowhere",
        licence="none",
    )
    found, confusion = score(Brightest(), data)
    assert confusion.tolist() == [[1, 2, 0], [0, 1, 0], [1, 0, 0]]
    # Logits of 1 for the answer and 0 for the others: two of five are right.
    assert found.accuracy == pytest.approx(0.4)
    assert found.loss == pytest.approx(math.log(math.e + 2) - 0.4)
