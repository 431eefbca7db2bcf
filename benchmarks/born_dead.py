"""How many units are born dead, against published numbers, with 95 % intervals over networks.

1. The post's network on MNIST, D = all 60,000 training images, default initialisation of
   `nn.Linear`, pixels in [0, 1].
2. The toy: 4-3-3-2, D = ten samples of whole numbers 0-9 of each network's own.
3. Lu et al. 2020, "Dying ReLU and Initialization": nine hidden layers, symmetric weights, zero
   biases, inputs of one number: the share of networks one of whose layers is silent, against
   their bound. Without biases the network is positively homogeneous, so D = {-1, 1} is all.
"""

import math
import statistics
from collections.abc import Iterator, Sequence

import torch

from benchmarks.conditions import Conditions
from benchmarks.results import Row
from pipeline.config.recipe import Recipe
from pipeline.data import load
from pipeline.studies.births import dead_at_birth
from pipeline.studies.lu_born_dead import bound, silent_by_depth
from pipeline.training.batches import Batch, Examples
from pipeline.training.stack import Stack


def measure(conditions: Conditions) -> Iterator[Row]:
    """The three comparisons, in percent."""
    on_mnist, toys = conditions.pick(smoke=(2, 20), usual=(20, 4000))
    layers = born_dead_on_mnist(range(on_mnist))
    for index, (published, shares) in enumerate(
        zip((0.0, 0.3, 6.8, 33.4), layers, strict=True), start=1
    ):
        again = "; measured again 4.6 ± 0.5 and 5.1 ± 0.7 %" if index == 3 else ""
        note = f"published {published} % (4 seeds){again}"
        yield _row(f"MNIST, born dead in h{index}", shares, note)
    first, second, any_of_six = born_dead_toys(range(toys))
    for name, shares, published in (
        ("a first-layer unit", first, 20),
        ("a second-layer unit", second, 28),
        ("at least one of six", any_of_six, 79),
    ):
        yield _row(f"toy, born dead: {name}", shares, f"published {published} %")
    for width, published in ((10, 0.1), (5, 12.8), (3, 58)):
        yield _row(
            f"Lu et al., silent networks of width {width}",
            silent_by_depth(width, toys)[8].astype(float).tolist(),
            f"proven at most {bound((width,) * 9):.1f} %, simulated before {published} %",
        )


def _row(name: str, shares: Sequence[float], note: str) -> Row:
    """A mean over networks, which are independent, and its 95 % interval."""
    half = 1.96 * statistics.stdev(shares) / math.sqrt(len(shares))
    mean = statistics.mean(shares)
    return Row(name=name, value=100 * mean, unit="%", spread=100 * half, note=note)


def born_dead_on_mnist(seeds: Sequence[int]) -> list[list[float]]:
    """By hidden layer, each network's share of born-dead units."""
    data = load("mnist")
    examples = Examples(data.train_images.flatten(1), data.train_labels)
    recipes = [Recipe(seed=seed) for seed in seeds]
    return _dead_shares(Stack(recipes, inputs=784, classes=10), list(examples.in_order()))


def born_dead_toys(seeds: Sequence[int]) -> list[list[float]]:
    """For each toy network: its share dead of h1, of h2, and whether any of the six is dead."""
    source = torch.Generator().manual_seed(0)
    x = torch.randint(0, 10, (len(seeds), 10, 4), generator=source).float()
    stack = Stack([Recipe(seed=seed, widths=(3, 3)) for seed in seeds], inputs=4, classes=2)
    target = torch.zeros(len(seeds), 10, dtype=torch.int64)
    first, second = _dead_shares(stack, [Batch(x, target)])
    return [first, second, [float(a + b > 0) for a, b in zip(first, second, strict=True)]]


def _dead_shares(stack: Stack, batches: Sequence[Batch]) -> list[list[float]]:
    """By hidden layer, each network's share of units that are dead for all these batches."""
    return [layer.double().mean(1).tolist() for layer in dead_at_birth(stack, batches)]
