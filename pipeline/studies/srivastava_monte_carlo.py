"""Averaging over k dropout masks against scaled weights: figure 11 of Srivastava et al. 2014."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from pipeline.comparison.statistics import Estimate, estimate
from pipeline.config.options import Scale
from pipeline.config.recipe import Recipe
from pipeline.data import ImageData
from pipeline.records import Weights
from pipeline.studies.figures import Line, lines_figure
from pipeline.studies.srivastava import CITATION
from pipeline.studies.study import (
    CPU,
    Evidence,
    Finding,
    Findings,
    Network,
    Published,
    Study,
    exact,
)
from pipeline.training.masks import RandomMasks
from pipeline.training.stack import Stack
from why_zero.records import Floats

# Numbers of masks in an average, as far as the figure's axis goes.
COUNTS = (1, 2, 5, 10, 20, 30, 50, 80, 120)
AS_GOOD = 50


def _networks(scale: Scale) -> list[Network]:
    width, epochs, seeds = (256, 5, 3) if scale == "quick" else (1024, 100, 10)
    return [
        Network(Recipe(seed=seed, widths=(width,) * 3, epochs=epochs, output_dropout=False))
        for seed in range(seeds)
    ]


def _find(evidence: Evidence) -> Findings:
    passes = 120 if evidence.scale == "quick" else 1200
    data = evidence.data("mnist")
    averaged: dict[int, list[float]] = {count: [] for count in COUNTS}
    spreads: list[float] = []
    for result in evidence.results:
        weights = evidence.weights(result)
        found = averaged_errors(result.recipe, weights, data, passes=passes, device=evidence.device)
        for count, errors in found.items():
            averaged[count].append(float(errors.mean()))
        spreads.append(float(found[AS_GOOD].std(ddof=1)))
    scaled = [100 * (1 - result.test.accuracy) for result in evidence.results]
    gaps = {count: estimate(np.subtract(errors, scaled)) for count, errors in averaged.items()}
    spread = math.sqrt(float(np.mean(np.square(spreads)))) if spreads else 0.0
    return Findings(
        rows=_rows(gaps, scaled, spread=spread),
        figures={"error_by_masks": _figure(averaged, scaled)},
        remark=(
            f"Each network saw the test images under {passes} masks for each image, in "
            "averages of k; the standard deviation is that of such averages with k = 50."
        ),
    )


@torch.no_grad()
def averaged_errors(
    recipe: Recipe,
    weights: Weights,
    data: ImageData,
    *,
    passes: int,
    device: torch.device = CPU,
) -> dict[int, Floats]:
    """Test errors in per cent of averages over k masks, as many averages as there are passes for.

    Every image has masks of its own in every pass. Probabilities are averaged.

    Args:
        recipe: of a network whose inputs are not dropped.
        weights: its own.
        data: whose test images.
        passes: through all of them.
        device: where to compute.
    """
    images = (data.test_images.flatten(1) / 255).to(device)
    labels = data.test_labels.to(device)
    stack = Stack([recipe], inputs=images.shape[1], classes=len(data.classes))
    stack.load(0, weights)
    stack.to(device)
    masks = RandomMasks([recipe], stack.units, stream="Monte Carlo averages", device=device)
    first = stack.first(images[None])
    shape = len(images), len(data.classes)
    sums = {count: torch.zeros(shape, device=device) for count in COUNTS}
    errors: dict[int, list[float]] = {count: [] for count in COUNTS}
    for number in range(1, passes + 1):
        answer = stack.onward(first, masks.draw(len(images)))[0].softmax(-1)
        for count, total in sums.items():
            total.add_(answer)
            if number % count == 0:
                wrong = total.argmax(-1) != labels
                errors[count].append(100 * float(wrong.float().mean()))
                total.zero_()
    return {count: np.array(values) for count, values in errors.items()}


def _rows(gaps: Mapping[int, Estimate], scaled: Sequence[float], *, spread: float) -> list[Finding]:
    place = "section 7.5 and figure 11"
    good = [count for count, gap in gaps.items() if gap.mean <= spread]
    return [
        Finding(
            what="test error at k = 50, minus that of scaled weights",
            ours=gaps[AS_GOOD],
            published=Published(
                value=0.0,
                where=f"{place}: “around k = 50, the Monte-Carlo method becomes as good”",
                half_width=spread,
                reading="quoted",
            ),
            digits=3,
            unit="points",
            note="tolerance: one standard deviation of such an average",
        ),
        Finding(
            what="test error at k = 120, minus that of scaled weights",
            ours=gaps[COUNTS[-1]],
            published=Published(value=0.0, where=f"{place}: “slightly better”", reading="quoted"),
            rule="at most",
            digits=3,
            unit="points",
        ),
        Finding(
            what="smallest k within one standard deviation of scaled weights",
            ours=exact(float(min(good, default=COUNTS[-1]))),
            published=Published(
                value=float(AS_GOOD), where=f"{place}: “around”", half_width=20.0, reading="quoted"
            ),
            digits=0,
            unit="masks",
            note=""
            if good
            else f"none up to here, where k = {COUNTS[-1]} is {gaps[COUNTS[-1]].mean:.3f} points "
            f"above and one standard deviation is {spread:.3f}: see below",
        ),
        Finding(what="test error of scaled weights", ours=estimate(scaled)),
    ]


def _figure(averaged: Mapping[int, Sequence[float]], scaled: Sequence[float]) -> Figure:
    ours = {float(count): estimate(errors) for count, errors in averaged.items()}
    level = Estimate(estimate(scaled).mean, math.nan, len(scaled))
    return lines_figure(
        "How many dropout masks must be averaged to be as good as scaled weights",
        "Test error on MNIST, means with 95 % intervals over seeds, against the number k of masks "
        "in an average. Scaled weights are evaluation mode.",
        {
            "": [
                Line("average over k masks", ours),
                Line("scaled weights", {0.0: level, float(COUNTS[-1]): level}),
            ]
        },
        across="number of masks k",
        up="test error (%)",
        ticks={float(k): str(k) for k in range(0, 121, 20)},
    )


STUDY = Study(
    title="Averaging the answers under k dropout masks becomes as good as scaling the weights.",
    source=f"{CITATION}, section 7.5, figure 11.",
    quick=(
        "784-256-256-256-10 for 5 epochs, 3 seeds and 120 masks instead of 784-1024-1024-1024-10 "
        "for 100 epochs, 10 seeds and 1,200 masks: errors are higher, and so is their spread. "
        "Neither drops inputs, and the paper does not say which network its figure shows. Counted "
        "once in three such networks, averages over 120 masks were wrong on 55 images where scaled "
        "weights were right, and right on 33 where these were wrong (McNemar, p = 0.03): trained "
        "so briefly, scaled weights are slightly ahead, and more masks need not catch up. One "
        "network's difference has a standard error of 0.06 points from its test images alone, more "
        "than the standard deviation of an average: which k comes within that is largely chance."
    ),
    find=_find,
    networks=_networks,
)
