"""Dead units of untrained networks on Fashion-MNIST: a tutorial of the University of Amsterdam."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from pipeline.comparison.statistics import Estimate, estimate
from pipeline.config.recipe import Recipe
from pipeline.data import ImageData
from pipeline.records import Weights
from pipeline.studies.births import dead_at_birth
from pipeline.studies.figures import Line, lines_figure
from pipeline.studies.study import Evidence, Finding, Findings, Published, Study, exact
from pipeline.training.batches import EVALUATION_BATCH, Batch
from pipeline.training.stack import Stack
from why_zero.records import Floats

DATA = "fashion-mnist"
# Dead units by hidden layer, as printed, by the widths of these layers.
PRINTED: Mapping[tuple[int, ...], tuple[int, ...]] = {
    (512, 256, 256, 128): (0, 0, 3, 10),
    (*(256,) * 5, *(128,) * 5): (0, 0, 7, 27, 89, 60, 58, 61, 72, 56),
}
# The tutorial's own seed, of its split as of its weights, and how many images it trains on.
SEED, TRAINED_ON = 42, 50_000
_INPUTS = 784
_WHERE = "output below “measure_number_dead_neurons(net_relu)”"


def _find(evidence: Evidence) -> Findings:
    networks = 12 if evidence.scale == "quick" else 100
    data = evidence.data(DATA)
    x = data.train_images.flatten(1) / 127.5 - 1  # from -1 to 1, as there
    split = torch.randperm(len(x), generator=torch.Generator().manual_seed(SEED))[:TRAINED_ON]
    rows: list[Finding] = []
    panels = {}
    for widths, printed in PRINTED.items():
        recipes = [Recipe(seed=seed, widths=widths) for seed in range(networks)]
        stack = Stack(recipes, inputs=_INPUTS, classes=len(data.classes))
        dead = [layer.sum(1).double().numpy() for layer in dead_at_birth(stack, _batches(x))]
        same = [
            int(layer.sum()) for layer in dead_at_birth(_same(widths, data), _batches(x[split]))
        ]
        name = f"{len(widths)} layers"
        for number, (count, ours, theirs) in enumerate(zip(same, dead, printed, strict=True), 1):
            what = f"{name}, h{number}: dead of {widths[number - 1]}"
            rows += [
                _row(f"{what}, the tutorial's own network", count, theirs),
                _row_of_seeds(f"{what}, {networks} seeds of ours", ours, theirs),
            ]
        panels[name] = _lines(widths, dead, printed)
    comparisons = sum(map(len, PRINTED))
    return Findings(
        rows=rows,
        figures={"dead_by_layer": _figure(panels)},
        remark=(
            "The tutorial's own network is drawn anew here from its seed 42, as torch.nn.Linear "
            f"draws it, and looked at over the {TRAINED_ON:,} images of its own split. Other seeds "
            f"are held against it in {comparisons} comparisons, of which one in twenty is expected "
            "to differ by chance."
        ),
    )


def _row(what: str, ours: int, theirs: int) -> Finding:
    published = Published(value=float(theirs), where=_WHERE)
    return Finding(what=what, ours=exact(float(ours)), published=published, unit="", digits=0)


def _row_of_seeds(what: str, ours: Floats, theirs: int) -> Finding:
    as_many = int((ours >= theirs).sum())
    return Finding(
        what=what,
        ours=estimate(ours),
        published=Published(value=float(theirs), where=_WHERE),
        rule="one network",
        unit="",
        digits=1,
        note=f"{as_many} of {len(ours)} have at least as many",
    )


def _batches(x: Float[Tensor, "samples inputs"]) -> list[Batch]:
    parts = x.split(EVALUATION_BATCH)
    return [Batch(part[None], torch.zeros(1, len(part), dtype=torch.int64)) for part in parts]


def _same(widths: Sequence[int], data: ImageData) -> Stack:
    """The tutorial's own untrained network."""
    source = torch.Generator().manual_seed(SEED)
    sizes = (_INPUTS, *widths, len(data.classes))
    weights: dict[str, Tensor] = {}
    for number, (inputs, units) in enumerate(pairwise(sizes), start=1):
        reach = 1 / math.sqrt(inputs)
        for kind, shape in (("weight", (units, inputs)), ("bias", (units,))):
            drawn = torch.empty(shape).uniform_(-reach, reach, generator=source)
            weights[f"linear{number}.{kind}"] = drawn
    stack = Stack([Recipe(widths=tuple(widths))], inputs=_INPUTS, classes=len(data.classes))
    state: Weights = {name: values.numpy() for name, values in weights.items()}
    stack.load(0, state)
    return stack


def _lines(widths: Sequence[int], dead: Sequence[Floats], printed: Sequence[int]) -> list[Line]:
    ours, theirs = {}, {}
    for number, (width, counts, count) in enumerate(zip(widths, dead, printed, strict=True), 1):
        ours[float(number)] = estimate(100 * counts / width)
        theirs[float(number)] = Estimate(100 * count / width, math.nan, 1)
    return [Line("ours", ours), Line("the tutorial's network", theirs, is_published=True)]


def _figure(panels: Mapping[str, Sequence[Line]]) -> Figure:
    return lines_figure(
        "The deeper a layer, the more of its units are dead before training",
        "Share of units that are 0 for every training image of Fashion-MNIST, scaled to [-1, 1]; "
        "our means with 95 % intervals over seeds.",
        panels,
        across="hidden layer",
        up="dead units (%)",
        ticks={float(number): str(number) for number in range(1, 11)},
        limits=(0.0, 75.0),
    )


STUDY = Study(
    title="Dead units by layer of untrained networks on Fashion-MNIST.",
    source=(
        "P. Lippe, UvA Deep Learning Tutorials, Tutorial 3: Activation Functions, “Finding dead "
        "neurons in ReLU networks” (uvadlc-notebooks.readthedocs.io), as in its repository on "
        "16 March 2025."
    ),
    quick="12 networks of ours instead of 100: wider intervals. Nothing is trained.",
    find=_find,
)
