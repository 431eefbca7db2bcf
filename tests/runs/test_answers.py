"""A network's answers as files of numbers."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.data import ImageData, split
from pipeline.runs.answers import answers, confusion_csv, load_right, packed, validation_data


class Brightest(nn.Module):
    """Its answer is the place of the brightest pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def images(places: list[int]) -> Tensor:
    pixels = torch.zeros(len(places), 1, 3, dtype=torch.uint8)
    pixels[torch.arange(len(places)), 0, torch.tensor(places)] = 200
    return pixels


def data(train: list[int], test: list[int]) -> ImageData:
    """Images whose brightest pixels are here; their labels run 0, 1, 2, 0 and so on."""
    return ImageData(
        name="spots",
        train_images=images(train),
        train_labels=torch.arange(len(train)) % 3,
        test_images=images(test),
        test_labels=torch.arange(len(test)) % 3,
        classes=("a", "b", "c"),
        digest="0",
        source="nowhere",
        licence="none",
    )


def test_an_answer_is_right_where_it_is_the_image_s_label() -> None:
    found = answers(Brightest(), data([0, 0, 0, 0], [0, 1, 0, 2, 1]))
    assert found.is_right.tolist() == [True, True, False, False, True]
    assert found.score.accuracy == pytest.approx(3 / 5)
    # Logits of 200 / 255 for the answer and 0 for the others.
    together = math.log(math.exp(200 / 255) + 2)
    assert found.score.loss == pytest.approx(together - 3 / 5 * 200 / 255)


def test_a_confusion_has_a_row_for_each_truth_and_a_column_for_each_answer() -> None:
    found = answers(Brightest(), data([0], [0, 1, 1, 1, 0]))  # to the labels 0, 1, 2, 0, 1
    assert found.confusion.tolist() == [[1, 1, 0], [1, 1, 0], [0, 1, 0]]


def test_held_out_images_are_judged_in_their_stored_order() -> None:
    # Right for the even ones alone.
    spots = [number % 3 if number % 2 == 0 else (number + 1) % 3 for number in range(20)]
    _, held_out = split(20, 6)
    found = answers(Brightest(), validation_data(data(spots, [0]), 6))
    assert found.is_right.tolist() == [number % 2 == 0 for number in held_out.tolist()]


def test_answers_are_read_as_they_were_packed_eight_images_a_byte(tmp_path: Path) -> None:
    for count in (1, 7, 8, 9, 5000):
        answers = np.random.default_rng(count).random(count) < 0.5
        path = tmp_path / f"{count}.safetensors"
        path.write_bytes(packed(answers))
        assert path.stat().st_size < count / 8 + 150
        assert load_right(path).tolist() == answers.tolist()


def test_the_confusion_has_a_row_for_each_true_class() -> None:
    text = confusion_csv(np.array([[8, 2], [1, 9]]), ("shirt, blue", "coat"))
    assert text == 'truth,"shirt, blue",coat\n"shirt, blue",8,2\ncoat,1,9\n'
