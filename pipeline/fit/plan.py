"""Which networks train together: those that can share a stack, as many as fit into memory."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import torch

from pipeline.fit.tasks import Task
from pipeline.training import device as devices
from pipeline.training.footprint import stack_bytes
from pipeline.workers import Slots

# What may differ between the members of a stack; everything else is shared.
VARYING = frozenset(
    {
        *("activation", "drop_rate", "output_dropout", "seed"),
        *("input_drop_rate", "recycle_every", "recycle_below"),
        *("init", "zero_biases", "scaling", "max_norm"),
    }
)


# More networks in a stack gain nothing on a CPU (`benchmarks.scaling`), and are finished later.
MOST_ON_A_CPU = 16


def stacks(
    tasks: Sequence[Task],
    *,
    memory_bytes: float | None,
    slots: Callable[[torch.device, int], Slots],
) -> list[list[Task]]:
    """The tasks in stacks that fit into memory, those with one seed side by side.

    Args:
        tasks: what is to be trained.
        memory_bytes: that the stacks of a device may take; None for what `device.memory_to_use`
            says.
        slots: how many stacks are trained at once on a device for so many networks.
    """
    alike: dict[tuple[str, ...], list[Task]] = {}
    for task in tasks:
        shared = [text for name, text in task.recipe.parameters.items() if name not in VARYING]
        alike.setdefault((task.data.digest, str(task.device), *shared), []).append(task)
    networks = Counter(task.device for task in tasks)
    every = {device: slots(device, count) for device, count in networks.items()}
    parts: list[list[Task]] = []
    for group in alike.values():
        device = group[0].device
        room = devices.memory_to_use(device) if memory_bytes is None else memory_bytes
        room /= every[device].beside
        largest = max(map(network_bytes, group))
        fitting = max(1, int(min(room / largest, len(group))))
        at_once = max(1, every[device].count)
        share = math.ceil(networks[device] / at_once)
        most = min(fitting, share, MOST_ON_A_CPU if device.type == "cpu" else share)
        # Networks with one seed share the random numbers behind their masks.
        group.sort(key=lambda task: task.recipe.seed)
        parts += _parts(group, math.ceil(len(group) / most), of=at_once)
    return parts


def _parts(tasks: list[Task], count: int, *, of: int) -> list[list[Task]]:
    """The tasks in at least so many parts of nearly the same size, as many for each worker."""
    if count > 1:
        count = min(len(tasks), of * math.ceil(count / of))
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
