"""Which networks share a stack, and how many."""

from dataclasses import replace

import pytest
import torch

from pipeline.config.recipe import Recipe
from pipeline.data import ImageData
from pipeline.fit.plan import network_bytes, stacks
from pipeline.fit.tasks import Task
from pipeline.workers import Slots

CPU = torch.device("cpu")


def images(digest: str = "a") -> ImageData:
    return ImageData(
        name="noise",
        train_images=torch.zeros(20, 4, 4, dtype=torch.uint8),
        train_labels=torch.zeros(20, dtype=torch.int64),
        test_images=torch.zeros(10, 4, 4, dtype=torch.uint8),
        test_labels=torch.zeros(10, dtype=torch.int64),
        classes=("0", "1"),
        digest=digest,
        source="nowhere",
        licence="none",
    )


DATA = images()


def task(recipe: Recipe, data: ImageData = DATA, device: torch.device = CPU) -> Task:
    return Task(recipe=recipe, data=data, device=device)


def sizes(tasks: list[Task], memory_bytes: float | None = None, *, workers: int = 1) -> list[int]:
    made = stacks(tasks, memory_bytes=memory_bytes, slots=lambda *_: Slots(workers, beside=workers))
    return [len(stack) for stack in made]


def test_networks_that_differ_in_what_a_stack_holds_for_each_share_one() -> None:
    recipe = Recipe(holdout=5)
    varied = [
        recipe,
        replace(recipe, drop_rate=0.1),
        replace(recipe, seed=3),
        replace(recipe, activation="none"),
        replace(recipe, output_dropout=False),
        replace(recipe, activation="sigmoid"),
        replace(recipe, init="he"),
        replace(recipe, zero_biases=True),
        replace(recipe, scaling="standard"),
        replace(recipe, max_norm=2.0),
    ]
    assert sizes([task(each) for each in varied]) == [10]


@pytest.mark.parametrize(
    "other",
    [
        {"widths": (8, 8)},
        {"learning_rate": 0.01},
        {"learning_rate_decay": 0.9},
        {"optimizer": "sgd"},
        {"batch_size": 100},
        {"epochs": 3},
        {"probe_every": 1},
        {"precision": "bfloat16"},
        {"holdout": 6},
    ],
)
def test_networks_that_differ_in_anything_else_do_not(other: dict[str, object]) -> None:
    recipe = Recipe(holdout=5)
    assert sizes([task(recipe), task(replace(recipe, **other))]) == [1, 1]  # type: ignore[arg-type]


def test_networks_on_other_data_or_devices_do_not() -> None:
    recipe = Recipe(holdout=5)
    elsewhere = torch.device("cpu", 0)
    tasks = [task(recipe), task(recipe, images("b")), task(recipe, DATA, elsewhere)]
    assert sizes(tasks) == [1, 1, 1]


@pytest.mark.parametrize(
    ("room", "expected"), [(7.0, [7]), (6.9, [3, 4]), (3.0, [2, 2, 3]), (0.1, [1] * 7)]
)
def test_as_many_networks_train_together_as_memory_takes_in_parts_of_nearly_one_size(
    room: float, expected: list[int]
) -> None:
    tasks = [task(Recipe(holdout=5, seed=seed)) for seed in range(7)]
    found = sizes(tasks, room * network_bytes(tasks[0]) + 1.0)
    assert sorted(found) == sorted(expected)


def test_the_estimate_grows_with_everything_that_takes_memory() -> None:
    recipe = Recipe(holdout=5)
    least = network_bytes(task(replace(recipe, widths=(64,))))
    assert network_bytes(task(replace(recipe, widths=(128,)))) > least
    assert network_bytes(task(replace(recipe, widths=(64, 64)))) > least


def test_each_worker_has_as_many_stacks_and_networks_with_one_seed_stay_together() -> None:
    tasks = [
        task(Recipe(holdout=5, seed=seed, drop_rate=rate))
        for rate in (0.1, 0.2, 0.3, 0.5)
        for seed in range(10)
    ]
    assert sizes(tasks, workers=1) == [13, 14, 13]  # not all in one: at most 16 on a CPU
    assert sizes(tasks, workers=2) == [10] * 4
    assert sorted(sizes(tasks, workers=16)) == [2] * 8 + [3] * 8
    assert sizes(tasks[:3], workers=16) == [1, 1, 1]
    assert sizes(tasks, 4.0 * 7 * network_bytes(tasks[0]) + 1.0, workers=4) == [5] * 8
    made = stacks(tasks, memory_bytes=None, slots=lambda *_: Slots(2, beside=2))
    assert [sorted({t.recipe.seed for t in part}) for part in made] == [
        [0, 1, 2], [2, 3, 4], [5, 6, 7], [7, 8, 9]
    ]  # fmt: skip
