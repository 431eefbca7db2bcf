"""Which networks train together: those that can share a stack, as many as fit into memory."""

import math
from collections.abc import Sequence

from pipeline.fit.tasks import Task
from pipeline.training import device as devices
from pipeline.training.footprint import stack_bytes

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
        shared = [text for name, text in task.recipe.parameters.items() if name not in VARYING]
        alike.setdefault((task.data.digest, str(task.device), *shared), []).append(task)
    return [part for group in alike.values() for part in _parts(group, memory_bytes)]


def _parts(tasks: list[Task], memory_bytes: float | None) -> list[list[Task]]:
    """The tasks in as few parts as memory allows, all of nearly the same size."""
    room = devices.memory_to_use(tasks[0].device) if memory_bytes is None else memory_bytes
    most = int(min(max(1.0, room / network_bytes(tasks[0])), len(tasks)))
    count = math.ceil(len(tasks) / most)
    bounds = [round(i * len(tasks) / count) for i in range(count + 1)]
    return [tasks[bounds[i] : bounds[i + 1]] for i in range(count)]


def network_bytes(task: Task) -> int:
    """The memory that one more network like this takes in a stack, in bytes."""
    return stack_bytes(
        task.recipe,
        networks=1,
        inputs=task.data.train_images[0].numel(),
        classes=len(task.data.classes),
        samples=len(task.data.train_labels),
    )
