"""Networks born dead against depth and width: the bound of Lu et al. 2020, simulated twice."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.comparison.statistics import Estimate, estimate
from pipeline.config.recipe import Recipe
from pipeline.studies.births import dead_at_birth, is_silent, without_biases
from pipeline.studies.figures import Line, lines_figure
from pipeline.studies.study import Evidence, Finding, Findings, Published, Study, share
from pipeline.toy.experiment import CLASSES, INPUTS, SAMPLES
from pipeline.toy.experiment import WIDTHS as TOY
from pipeline.training.batches import Batch, Examples
from pipeline.training.stack import Stack

WIDTHS = (2, 3, 5, 10)
DEEPEST = 20
# Hidden layers of which the table tells; the figure shows more.
DEPTHS = (2, 5, 9, 20)
_DRAWN = (1, 2, 3, 5, 7, 9, 12, 16, DEEPEST)
POST = Recipe().widths
_BOUND = "theorem: at most 1 - ∏(1 - 2^-N) over the widths N of the hidden layers"


def bound(widths: Sequence[int]) -> float:
    """The most that the probability of being born dead can be, in per cent.

    It is 1 - ∏ (1 - 2^-N): with symmetric weights and no biases a layer of N units is silent for
    an input with probability 2^-N. Computed so that it does not round to 0.
    """
    return -100 * math.expm1(sum(math.log1p(-(2.0**-width)) for width in widths))


def silent_by_depth(width: int, networks: int) -> NDArray[np.bool_]:
    """Whether a layer is silent among the first d of each network, shape (DEEPEST, networks).

    Through the code that trains: without biases, and with inputs of one number. Such a network is
    positively homogeneous, so -1 and 1 stand for all inputs.
    """
    recipes = [Recipe(seed=seed, widths=(width,) * DEEPEST) for seed in range(networks)]
    stack = without_biases(Stack(recipes, inputs=1, classes=1))
    x = torch.tensor([-1.0, 1.0])[None, :, None]
    dead = dead_at_birth(stack, [Batch(x, torch.zeros(1, 2, dtype=torch.int64))])
    return np.logical_or.accumulate([layer.all(1).numpy() for layer in dead])


def simulated_by_depth(width: int, networks: int, *, seed: int) -> NDArray[np.bool_]:
    """The same by a program of its own, in numpy and float64."""
    source = np.random.default_rng(seed)
    first = source.uniform(-1, 1, (networks, width))
    values = np.stack([np.maximum(first, 0), np.maximum(-first, 0)], axis=2)
    silent = [(values == 0).all((1, 2))]
    for _ in range(DEEPEST - 1):
        weights = source.uniform(-1, 1, (networks, width, width))
        values = np.maximum(weights @ values, 0)
        # Only signs matter, so sizes are kept from running out of range.
        size = values.max((1, 2), keepdims=True)
        values /= np.where(size > 0, size, 1)
        silent.append(silent[-1] | (values == 0).all((1, 2)))
    return np.array(silent)


def _find(evidence: Evidence) -> Findings:
    networks, of_the_post = (2000, 10) if evidence.scale == "quick" else (20_000, 100)
    ours = {width: _rates(silent_by_depth(width, networks)) for width in WIDTHS}
    again = {width: _rates(simulated_by_depth(width, networks, seed=width)) for width in WIDTHS}
    rows = []
    for width in WIDTHS:
        for depth in DEPTHS:
            what = f"{depth} layers of {width}: born dead"
            rows += [
                _bounded(what, ours[width][depth], (width,) * depth),
                Finding(
                    what=f"{what}, by another program",
                    ours=ours[width][depth],
                    published=Published(
                        value=again[width][depth].mean,
                        where="simulated here in numpy, without the code that trains",
                        half_width=again[width][depth].half_width,
                    ),
                ),
            ]
    rows += [*_toy_rows(networks), *_post_rows(evidence, of_the_post)]
    return Findings(
        rows=rows,
        figures={"born_dead": _figure(ours, again)},
        remark=(
            "The bound is for symmetric weights without biases; the toy and the post's network "
            "have both, and what they are born with is measured beside it. Inputs of the first "
            "part are single numbers, whose both signs are tried: then no first layer is silent, "
            f"which the bound does not use. For the post's widths it is {bound(POST):.0e} %."
        ),
    )


def _rates(silent: NDArray[np.bool_]) -> dict[int, Estimate]:
    """The share of silent networks in per cent, by depth."""
    return {
        depth: share(int(row.sum()), silent.shape[1]) for depth, row in enumerate(silent, start=1)
    }


def _bounded(what: str, ours: Estimate, widths: Sequence[int]) -> Finding:
    published = Published(value=bound(widths), where=_BOUND, reading="quoted")
    return Finding(what=what, ours=ours, published=published, rule="at most")


def _toy_rows(networks: int) -> list[Finding]:
    """Toys with ten samples of their own, without biases and as they are made."""
    source = torch.Generator().manual_seed(0)
    x = torch.randint(0, 10, (networks, SAMPLES, INPUTS), generator=source).float()
    batch = Batch(x, torch.zeros(networks, SAMPLES, dtype=torch.int64))
    recipes = [Recipe(seed=seed, widths=TOY) for seed in range(networks)]

    def silent(stack: Stack) -> Estimate:
        return share(int(is_silent(dead_at_birth(stack, [batch])).sum()), networks)

    def stack() -> Stack:
        return Stack(recipes, inputs=INPUTS, classes=CLASSES)

    return [
        _bounded(
            "the toy, 4-3-3-2, without biases: born dead", silent(without_biases(stack())), TOY
        ),
        Finding(what="the toy as it is made: born dead", ours=silent(stack())),
    ]


def _post_rows(evidence: Evidence, networks: int) -> list[Finding]:
    """The post's network over all training images of MNIST."""
    data = evidence.data("mnist")
    batches = list(Examples(data.train_images.flatten(1), data.train_labels).in_order())
    recipes = [Recipe(seed=seed) for seed in range(networks)]
    inputs, classes = data.train_images[0].numel(), len(data.classes)
    dead = dead_at_birth(Stack(recipes, inputs=inputs, classes=classes), batches)
    return [
        Finding(
            what=f"the post's network as it is made: units of h{number} born dead",
            ours=estimate((100 * layer.double().mean(1)).numpy()),
        )
        for number, layer in enumerate(dead, start=1)
    ]


def _figure(
    ours: Mapping[int, Mapping[int, Estimate]], again: Mapping[int, Mapping[int, Estimate]]
) -> Figure:
    def bare(value: float) -> Estimate:
        return Estimate(value, math.nan, 0)

    panels = {}
    for width in WIDTHS:
        depths = _DRAWN
        panels[f"width {width}"] = [
            Line("ours", {float(d): ours[width][d] for d in depths}),
            Line("another program", {float(d): bare(again[width][d].mean) for d in depths}),
            Line(
                "bound (Lu et al. 2020)",
                {float(d): bare(bound((width,) * d)) for d in depths},
                is_published=True,
            ),
        ]
    return lines_figure(
        "Deep and narrow networks are born dead",
        "Share of untrained networks with a silent layer, symmetric weights without biases, inputs "
        "of one number; 95 % intervals over networks.",
        panels,
        across="hidden layers",
        up="born dead (%)",
        ticks={float(d): str(d) for d in range(0, DEEPEST + 1, 5)},
        limits=(0, 102),
    )


STUDY = Study(
    title="A network is born dead the likelier, the deeper and narrower it is.",
    source=(
        "L. Lu, Y. Shin, Y. Su and G. E. Karniadakis, Dying ReLU and Initialization: Theory and "
        "Numerical Examples, Communications in Computational Physics 28, 2020, 1671–1706 "
        "(arXiv:1903.06733, 2019), the theorem on the probability of being born dead."
    ),
    quick="2,000 networks a width instead of 20,000, so that intervals are three times as wide.",
    find=_find,
)
