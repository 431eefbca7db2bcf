"""One training pass of the post's network against the bare matrix products of that pass.

The products: `torch.mm` for the forward pass, the weight gradients, and the input gradients of
all layers but the first, at batch 200, with the same threads. All contestants take turns, a block
of updates each.
"""

import itertools
from collections.abc import Callable, Iterator

import torch

from benchmarks.blocks import BLOCK, noise, stack_of, training
from benchmarks.conditions import Conditions
from benchmarks.interleaved import medians
from benchmarks.results import Bound, Row
from pipeline.training import device as devices

ONE, TWELVE = Bound(limit=2.6, aim=2.2), Bound(limit=1.9, aim=1.6)


def measure(conditions: Conditions) -> Iterator[Row]:
    """Each contestant's time for an update and network, over that of the products."""
    data = noise(conditions.device)
    contestants = {
        "one network": stack_of(1, probe_every=0),
        "one, probe every 20th": stack_of(1, probe_every=20),
        "one, probe every update": stack_of(1, probe_every=1),
        "one, bfloat16": stack_of(1, probe_every=0, precision="bfloat16"),
        "eight": stack_of(8, probe_every=0),
        "twelve": stack_of(12, probe_every=0),
        "twelve, probe every 20th": stack_of(12, probe_every=20),
        "twelve, bfloat16": stack_of(12, probe_every=0, precision="bfloat16"),
    }
    functions = {name: training(recipes, data) for name, recipes in contestants.items()}
    rounds = conditions.pick(smoke=1, usual=9, full=25)
    warm_up = conditions.pick(smoke=0, usual=3)
    seconds = medians(
        {"products": _products(conditions.device), **functions}, rounds=rounds, warm_up=warm_up
    )
    base = seconds["products"]
    yield Row(name="an update of the bare products", value=1e3 * base / BLOCK, unit="ms")
    for name, recipes in contestants.items():
        bound = {"one network": ONE, "twelve": TWELVE}.get(name)
        ratio = seconds[name] / len(recipes) / base
        yield Row(name=f"{name}, over the products", value=ratio, unit="x", bound=bound)
    for few, watched in (
        ("one network", "one, probe every 20th"),
        ("one network", "one, probe every update"),
        ("twelve", "twelve, probe every 20th"),
    ):
        share = 100 * (seconds[watched] / seconds[few] - 1)
        yield Row(name=f"{watched}: what it adds", value=share, unit="%")


def _products(device: torch.device) -> Callable[[], None]:
    """A block of the products alone."""
    sizes = (784, 256, 256, 128, 128, 10)
    values = [torch.rand(200, size, device=device) for size in sizes]
    weights = [torch.rand(out, size, device=device) for size, out in itertools.pairwise(sizes)]

    def run() -> None:
        for _ in range(BLOCK):
            for weight, value in zip(weights, values, strict=False):
                torch.mm(value, weight.t())
            for layer in reversed(range(len(weights))):
                torch.mm(values[layer + 1].t(), values[layer])
                if layer:
                    torch.mm(values[layer + 1], weights[layer])
        devices.synchronize(device)

    return run
