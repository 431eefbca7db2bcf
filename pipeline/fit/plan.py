"""Which networks train together: those that can share a stack, as many as memory takes.

It must not know whether a network has been trained before.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import fields

from pipeline import device as devices
from pipeline.batches import EVALUATION_BATCH
from pipeline.fit.tasks import Task
from pipeline.recipe import Recipe
from pipeline.settings import canonical

# What may differ between the members of a stack; everything else is shared.
VARYING = frozenset({"activation", "drop_rate", "output_dropout", "seed"})


def stacks(tasks: Sequence[Task], *, memory_bytes: float | None) -> list[list[Task]]:
    """The tasks in stacks that fit into memory, in the order in which they first appear.

    Args:
        tasks: what is to be trained.
        memory_bytes: that a stack may take; None for what `device.memory_to_use` says.
    """
    alike: dict[tuple[str, ...], list[Task]] = {}
    for task in tasks:
        shared = tuple(
            canonical(getattr(task.recipe, item.name))
            for item in fields(Recipe)
            if item.name not in VARYING
        )
        key = (task.data.digest, str(task.device), *shared)
        alike.setdefault(key, []).append(task)
    return [part for group in alike.values() for part in _parts(group, memory_bytes)]


def _parts(tasks: list[Task], memory_bytes: float | None) -> list[list[Task]]:
    """The tasks in as few parts as memory allows, all of nearly the same size."""
    room = devices.memory_to_use(tasks[0].device) if memory_bytes is None else memory_bytes
    most = max(1, int(room / network_bytes(tasks[0])))
    count = math.ceil(len(tasks) / most)
    bounds = [round(i * len(tasks) / count) for i in range(count + 1)]
    return [tasks[bounds[i] : bounds[i + 1]] for i in range(count)]


def network_bytes(task: Task) -> int:
    """An estimate of the memory that one more network in a stack takes, in bytes.

    `benchmarks.scaling` measures it.
    """
    recipe = task.recipe
    inputs = task.data.train_images[0].numel()
    sizes = (inputs, *recipe.widths, len(task.data.classes))
    parameters = sum((a + 1) * b for a, b in itertools.pairwise(sizes))
    units = sum(sizes[1:])
    samples = min(recipe.batch_size, len(task.data.train_labels))
    # float32: weights, gradient, two of Adam's, and three copies while an epoch is summed up.
    states = 7 * 4 * parameters
    # An update keeps z, h, mask bits, mask, y and their gradients, and each network's own batch.
    update = samples * (40 * units + 8 * inputs)
    evaluation = EVALUATION_BATCH * 16 * units
    return states + max(update, evaluation)
