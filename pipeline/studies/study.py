"""What a published study is here: networks to train, published values, and what we find."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from matplotlib.figure import Figure
from scipy.stats import binomtest

from pipeline.comparison.statistics import Estimate
from pipeline.config.options import Scale
from pipeline.config.recipe import Recipe
from pipeline.data import ImageData
from pipeline.records import Weights
from pipeline.records.result import Result

# How a published value was read: in the source itself, in what others quote from it, off a figure,
# or not at all, so that it is known by hearsay.
Reading = Literal["read", "quoted", "off a figure", "unverified"]
# How ours and the published value are compared: see `Finding.agrees`.
Rule = Literal["mean", "one network", "at most", "at least"]
CPU = torch.device("cpu")
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Network:
    """One network that a study needs.

    Attributes:
        recipe: what it is made from.
        data: the name of its data set.
    """

    recipe: Recipe
    data: str = "mnist"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a study judges by.

    Attributes:
        scale: how much was computed.
        results: of those of the study's networks that have not diverged.
        weights: loads those of a network.
        data: loads a data set by name.
        device: where to compute what takes long.
    """

    scale: Scale
    results: Sequence[Result]
    weights: Callable[[Result], Weights]
    data: Callable[[str], ImageData]
    device: torch.device = CPU


@dataclass(frozen=True, kw_only=True)
class Published:
    """A value that a source states, in the unit of its finding.

    Attributes:
        value: as printed there.
        where: the place in the source: a table, figure, page or cell.
        half_width: of its own interval, or how exactly it can be read; 0 where it has neither.
        reading: how it came here.
    """

    value: float
    where: str
    half_width: float = 0.0
    reading: Reading = "read"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One number of ours beside the published one.

    Attributes:
        what: what was measured.
        ours: in `unit`.
        published: None where the source has no such number.
        rule: how the two are compared.
        unit: such as `%`; empty for a plain number.
        digits: behind the decimal point.
        note: what a reader must know, above all why the two differ.
    """

    what: str
    ours: Estimate
    published: Published | None = None
    rule: Rule = "mean"
    unit: str = "%"
    digits: int = 2
    note: str = ""

    @property
    def agrees(self) -> bool | None:
        """Whether ours and the published value agree; None where there is nothing to compare.

        - `mean`: they differ by no more than both intervals allow, √(a² + b²);
        - `one network`: what one network gave lies where another one of ours would, in the 95 %
          prediction interval;
        - `at most`, `at least`: our interval reaches to the right side of the published value.
        """
        if self.published is None or math.isnan(self.ours.mean):
            return None
        theirs = self.published.value
        ours = self.ours.for_one_more if self.rule == "one network" else self.ours
        allowed = math.hypot(known_half_width(ours), self.published.half_width) + _ROUNDING
        if self.rule == "at most":
            return ours.mean - allowed <= theirs
        if self.rule == "at least":
            return ours.mean + allowed >= theirs
        return abs(ours.mean - theirs) <= allowed


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a study found.

    Attributes:
        rows: one a number.
        figures: drawn as the source draws them, by file name without its ending.
        remark: what to read below the table.
    """

    rows: Sequence[Finding]
    figures: Mapping[str, Figure] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A published study, to be done again.

    Attributes:
        title: what it is about, in a sentence.
        source: the whole citation.
        quick: what `scale=quick` leaves out, and what that weakens.
        find: what is measured, from the finished networks.
        networks: those to be trained; none where the study trains nothing.
    """

    title: str
    source: str
    quick: str
    find: Callable[[Evidence], Findings]
    networks: Callable[[Scale], Sequence[Network]] = lambda _: ()


def exact(value: float) -> Estimate:
    """A number without chance."""
    return Estimate(value, math.nan, 1)


def share(successes: int, count: int) -> Estimate:
    """The percentage of successes, with an interval that is wide enough on both sides.

    Its half width reaches to the farther end of Wilson's interval (1927), which holds for rates
    near 0 and 1 as well.
    """
    rate = successes / count
    found = binomtest(successes, count).proportion_ci(0.95, method="wilson")
    return Estimate(100 * rate, 100 * float(max(rate - found.low, found.high - rate)), count)


def known_half_width(value: Estimate) -> float:
    """The half width of its interval; 0 where it has none."""
    return 0.0 if math.isnan(value.half_width) else value.half_width


def paired_differences(
    results: Iterable[Result], others: Iterable[Result], measure: Callable[[Result], float]
) -> list[float]:
    """What the measure of each network is above that of the other network with its seed.

    Networks without such a partner are left out.
    """
    of_others = {other.recipe.seed: measure(other) for other in others}
    return [
        measure(result) - of_others[result.recipe.seed]
        for result in results
        if result.recipe.seed in of_others
    ]
