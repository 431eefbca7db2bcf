"""One training pass of the post's network against the bare matrix products of that pass.

The products: `torch.mm` for the forward pass, the weight gradients, and the input gradients of
all layers but the first, at batch 200, with the same threads. All contestants take turns, a block
of updates each.
"""

import itertools
from collections.abc import Callable, Iterator

import torch

from benchmarks.interleaved import medians
from pipeline.batches import Batch, Examples, batches
from pipeline.masks import RandomMasks
from pipeline.measure import ScoreSum, Watch
from pipeline.recipe import Recipe
from pipeline.stack import Stack
from pipeline.train import optimizer_of, updates

BLOCK = 20
IMAGES = 60_000
CPU = torch.device("cpu")


def main() -> None:
    """Print each contestant's time for an update and network, over that of the products."""
    data = Examples(
        torch.randint(0, 256, (IMAGES, 784), dtype=torch.uint8), torch.randint(0, 10, (IMAGES,))
    )
    contestants: dict[str, tuple[int, Callable[[], object]]] = {"products": (1, _products())}
    for name, recipes in (
        ("one", [Recipe(probe_every=0)]),
        ("one, probe every 20th", [Recipe(probe_every=20)]),
        ("one, probe every batch", [Recipe(probe_every=1)]),
        ("one, bfloat16", [Recipe(probe_every=0, precision="bfloat16")]),
        ("eight", [Recipe(probe_every=0, seed=seed) for seed in range(8)]),
        ("twelve", [Recipe(probe_every=0, seed=seed) for seed in range(12)]),
        ("twelve, probe every 20th", [Recipe(probe_every=20, seed=s) for s in range(12)]),
        (
            "twelve, bfloat16",
            [Recipe(probe_every=0, seed=seed, precision="bfloat16") for seed in range(12)],
        ),
    ):
        contestants[name] = (len(recipes), _training(recipes, data))
    seconds = medians({name: run for name, (_, run) in contestants.items()}, rounds=9)
    base = seconds["products"]
    threads = torch.get_num_threads()
    print(f"{threads} threads; an update of the bare products: {1e3 * base / BLOCK:.2f} ms")
    for name, (networks, _) in contestants.items():
        print(f"{name:26} {seconds[name] / networks / base:5.2f} x the products, each network")
    one = seconds["one"]
    for every in ("every 20th", "every batch"):
        share = seconds[f"one, probe {every}"] / one - 1
        print(f"the probe, {every}: {100 * share:+.1f} % of training time")
        if every == "every batch":
            print(f"the probe, every 100th (a hundredth of that): {share:+.2f} %")
    twelve = seconds["twelve, probe every 20th"] / seconds["twelve"] - 1
    print(f"the probe, every 20th, twelve networks: {100 * twelve:+.1f} %")


def _products() -> Callable[[], None]:
    """A block of the products alone."""
    sizes = (784, 256, 256, 128, 128, 10)
    values = [torch.rand(200, size) for size in sizes]
    weights = [torch.rand(out, size) for size, out in itertools.pairwise(sizes)]

    def run() -> None:
        for _ in range(BLOCK):
            for weight, value in zip(weights, values, strict=False):
                torch.mm(value, weight.t())
            for layer in reversed(range(len(weights))):
                torch.mm(values[layer + 1].t(), values[layer])
                if layer:
                    torch.mm(values[layer + 1], weights[layer])

    return run


def _training(recipes: list[Recipe], data: Examples) -> Callable[[], None]:
    """A block of updates as an epoch takes them, each network with its own order and masks."""
    stack = Stack(recipes, inputs=784, classes=10)
    optimizer = optimizer_of(stack)
    every = recipes[0].probe_every
    total, watch = ScoreSum(len(recipes), CPU), Watch(stack)

    def stream() -> Iterator[Batch]:
        for epoch in itertools.count(1):
            yield from batches(recipes, data, epoch=epoch)

    taken = updates(
        stack,
        optimizer,
        batches=stream(),
        masks=RandomMasks(recipes, stack.units, stream="epoch 1", device=CPU),
        is_watched=lambda index: every > 0 and index % every == 0,
    )

    def run() -> None:
        for _ in range(BLOCK):
            update = next(taken)
            total.add(update.logits, update.losses, update.batch.target)
            if update.layers:
                watch.add(update.layers)

    return run


if __name__ == "__main__":
    main()
