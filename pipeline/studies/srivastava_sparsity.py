"""How sparse hidden activations become with dropout: figure 8 of Srivastava et al. 2014."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure

from pipeline.comparison.statistics import Estimate, estimate
from pipeline.config.options import Scale
from pipeline.config.recipe import Recipe
from pipeline.data import ImageData
from pipeline.plots.figure_layout import LEFT, RIGHT, WIDTH, add_axes_at, head, new_figure
from pipeline.plots.scales import power_of_ten
from pipeline.plots.style import CURVES, INK, NORMAL
from pipeline.records import Weights
from pipeline.studies.srivastava import CITATION
from pipeline.studies.study import Evidence, Finding, Findings, Network, Published, Study
from pipeline.training.stack import LayerPass, Stack
from why_zero.records import Floats

UNITS = 256
RATES = (0.0, 0.5)
_IMAGES = 1000
# Ticks of a logarithmic count of all activations.
_POWERS = {power: power_of_ten(power) for power in range(0, 7, 2)}


@dataclass(frozen=True)
class Activations:
    """Of one network's hidden layer over a batch of test images, in evaluation mode.

    Attributes:
        every: all of them, shape (images * units,).
        of_units: their mean by unit, shape (units,).
    """

    every: Floats
    of_units: Floats

    @property
    def zero_share(self) -> float:
        """Of all activations, in per cent."""
        return 100 * float((self.every == 0).mean())


def _networks(scale: Scale) -> list[Network]:
    epochs, seeds = (5, 3) if scale == "quick" else (50, 10)
    return [
        Network(
            Recipe(seed=seed, drop_rate=rate, widths=(UNITS,), epochs=epochs, output_dropout=False)
        )
        for rate in RATES
        for seed in range(seeds)
    ]


def _find(evidence: Evidence) -> Findings:
    data = evidence.data("mnist")
    found: dict[float, list[Activations]] = {rate: [] for rate in RATES}
    for result in evidence.results:
        seen = activations(result.recipe, evidence.weights(result), data)
        found[result.recipe.drop_rate_of("h1")].append(seen)
    means = {
        rate: [float(one.of_units.mean()) for one in networks] for rate, networks in found.items()
    }
    ratio = estimate(np.array(means[0.5]) / np.array(means[0.0])) if _are_pairs(means) else None
    return Findings(
        rows=_rows(found, means, ratio),
        figures={"activations": _figure({rate: nets[0] for rate, nets in found.items() if nets})},
        remark=(
            "The paper's networks are autoencoders with 256 ReLUs, ours are classifiers: there is "
            "no autoencoder here. What can be compared is the direction, not the activations "
            "themselves, which are those of another task."
        ),
    )


def _are_pairs(means: Mapping[float, Sequence[float]]) -> bool:
    return len({len(values) for values in means.values()}) == 1 and bool(means[0.0])


@torch.no_grad()
def activations(recipe: Recipe, weights: Weights, data: ImageData) -> Activations:
    """A network's first hidden layer over the first 1,000 test images."""
    images = data.test_images[:_IMAGES].flatten(1) / 255
    stack = Stack([recipe], inputs=images.shape[1], classes=len(data.classes))
    stack.load(0, weights)
    trace: list[LayerPass] = []
    stack(images[None], trace=trace)
    h = trace[0].h[0].double().numpy()
    return Activations(h.ravel(), h.mean(0))


def _rows(
    found: Mapping[float, Sequence[Activations]],
    means: Mapping[float, Sequence[float]],
    ratio: Estimate | None,
) -> list[Finding]:
    rows = []
    for rate, theirs in zip(RATES, (2.0, 0.7), strict=True):
        rows += [
            Finding(
                what=f"mean activation, drop rate {rate:g}",
                ours=estimate(means[rate]),
                unit="",
                note=f"the paper's autoencoder: about {theirs}",
            ),
            Finding(
                what=f"activations that are zero, drop rate {rate:g}",
                ours=estimate([one.zero_share for one in found[rate]]),
            ),
        ]
    zeros = [
        with_dropout.zero_share - without.zero_share
        for without, with_dropout in zip(found[0.0], found[0.5], strict=False)
    ]
    place = "section 7.2, figure 8"
    if ratio:
        published = Published(
            value=0.7 / 2.0, where=f"{place}: 0.7 over 2.0", half_width=0.05, reading="quoted"
        )
        rows.append(
            Finding(
                what="mean activation with dropout over that without",
                ours=ratio,
                published=published,
                unit="",
                note="another task, see below",
            )
        )
    rows.append(
        Finding(
            what="zeros with dropout minus zeros without",
            ours=estimate(zeros),
            published=Published(value=0.0, where=f"{place}: sparser", reading="quoted"),
            rule="at least",
            unit="points",
        )
    )
    return rows


def _figure(networks: Mapping[float, Activations]) -> Figure:
    """Histograms as in the paper: means by unit on the left, all activations on the right."""
    height, foot, title = 1.7, 0.5, 0.3
    row_height = height + foot + title
    figure = new_figure(
        "Hidden activations with and without dropout",
        "One classifier each (seed 0), 256 ReLUs, the first 1,000 test images of MNIST, in "
        "evaluation mode. All activations on a logarithmic axis.",
        body=row_height * len(networks),
    )
    wide = (WIDTH - LEFT - RIGHT - 0.7) / 2
    most = max((float(one.every.max()) for one in networks.values()), default=1.0)
    means = max((float(one.of_units.max()) for one in networks.values()), default=1.0)
    for row, (rate, seen) in enumerate(networks.items()):
        low = foot + row_height * (len(networks) - 1 - row)
        look = CURVES[row].colour
        for column, (values, end, what) in enumerate(
            ((seen.of_units, means, "mean activation of a unit"), (seen.every, most, "activation"))
        ):
            box = (LEFT + column * (wide + 0.7), low, wide, height)
            axes = add_axes_at(figure, box)
            axes.hist(values, bins=40, range=(0, end), color=look, log=bool(column))
            if column:
                axes.set_yticks([10.0**power for power in _POWERS], _POWERS.values())
            head(axes, f"drop rate {rate:g}: {what}")
            axes.set_ylabel("count", fontsize=NORMAL, color=INK)
    return figure


STUDY = Study(
    title="Hidden activations become sparse with dropout, without any penalty for it.",
    source=f"{CITATION}, section 7.2, figure 8.",
    quick="5 epochs and 3 seeds instead of 50 and 10: less trained, so less sparse.",
    find=_find,
    networks=_networks,
)
