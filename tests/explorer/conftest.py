"""Two networks, trained for a moment on real digits, and their pages on disk."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.recipe import Recipe
from pipeline.config.settings import ByLayer
from pipeline.data import ImageData, load, split
from pipeline.explorer.explored import Explored, explored
from pipeline.explorer.page import render_page
from pipeline.records import EpochRecord
from pipeline.records.result import Result
from pipeline.runs.answers import answers
from pipeline.training.batches import Examples
from pipeline.training.loop import epochs
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack, plain

RATES = (0.0, 0.5)


@pytest.fixture(scope="session")
def digits() -> ImageData:
    """MNIST's test images, and its first 3,000 training images."""
    whole = load("mnist")
    return replace(
        whole, train_images=whole.train_images[:3000], train_labels=whole.train_labels[:3000]
    )


@pytest.fixture(scope="session")
def networks(digits: ImageData) -> list[Explored]:
    """Two epochs of the post's network, without dropout and with p = 0.5."""
    return [trained(rate, digits) for rate in RATES]


@pytest.fixture(scope="session")
def unlike(digits: ImageData) -> list[Explored]:
    """Networks that drop pixels alone, and each layer and pixels at a rate of its own."""
    rates = ByLayer((0.5, 0.4, 0.0, 0.2, 0.1))
    return [
        trained(0.0, digits, input_drop_rate=0.3),
        trained(rates, digits, input_drop_rate=0.2),
    ]


@pytest.fixture(scope="session")
def other_networks(digits: ImageData) -> list[Explored]:
    """Small networks without ReLU that scale their inputs."""
    small = {"widths": (40, 20), "init": "he"}
    return [
        trained(0.5, digits, **small, activation="sigmoid", scaling="standard"),
        trained(0.5, digits, **small, activation="leaky_relu", scaling="symmetric"),
    ]


def trained(rate: float | ByLayer, data: ImageData, **options: Any) -> Explored:  # noqa: ANN401
    # A step large enough for some units to die.
    recipe = Recipe(drop_rate=rate, epochs=2, holdout=500, learning_rate=0.003, **options)
    kept, held_out = split(len(data.train_labels), recipe.holdout)
    inputs, labels = data.train_images.flatten(1), data.train_labels
    training = Examples(inputs[kept], labels[kept])
    sizes = {"inputs": inputs.shape[1], "classes": len(data.classes)}
    stack = Stack([recipe], **sizes, pixels=training.pixels)
    history: list[EpochRecord] = [
        record
        for records in epochs(
            stack,
            Optimizer(stack),
            training=training,
            validation=Examples(inputs[held_out], labels[held_out]),
        )
        for record in records
    ]
    chosen = history[-1]
    weights = stack.state(0)
    test = answers(plain(recipe, weights).eval(), data).score
    result = Result(
        recipe=recipe,
        history=history,
        chosen=chosen,
        test=test,
        run_id="0" * 32,
        page="",
        device="cpu",
        device_name="cpu",
        dataset=data.name,
        dataset_digest=data.digest,
        stack_size=1,
    )
    return explored(result, weights, data)


@pytest.fixture(scope="session")
def make_page(
    digits: ImageData, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Sequence[Explored]], Path]:
    """Writes the page of some networks to a folder of its own and returns its path."""

    def make(networks: Sequence[Explored]) -> Path:
        path = tmp_path_factory.mktemp("explorer") / "explorer.html"
        path.write_text(render_page(networks, digits), encoding="utf-8")
        return path

    return make
