"""Dormant units over training with and without recycling: after Sokar et al. 2023 (ReDo)."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from pipeline.comparison.statistics import estimate
from pipeline.config.options import Scale
from pipeline.config.recipe import Recipe
from pipeline.records import EpochRecord
from pipeline.records.result import Result
from pipeline.studies.figures import line_by_epoch, lines_figure
from pipeline.studies.study import (
    Evidence,
    Finding,
    Findings,
    Network,
    Published,
    Study,
    paired_differences,
)
from why_zero import DORMANT_TAU

RATES = (0.0, 0.5)
_KEPT, _RECYCLED = "never recycled", "recycled every epoch"


def _networks(scale: Scale) -> list[Network]:
    is_quick = scale == "quick"
    epochs, seeds = (4, 3) if is_quick else (50, 10)
    plain = Recipe()
    return [
        Network(
            Recipe(
                seed=seed,
                drop_rate=rate,
                widths=tuple(width // 2 for width in plain.widths) if is_quick else plain.widths,
                epochs=epochs,
                holdout=40_000 if is_quick else plain.holdout,
                learning_rate=0.01,
                recycle_every=every,
                recycle_below=DORMANT_TAU if every else 0.0,
                mask_passes=0,
                probe_every=0,
            )
        )
        for rate in RATES
        for every in (0, 1)
        for seed in range(seeds)
    ]


def dormant_share(record: EpochRecord) -> float:
    """Dormant units of all hidden units, in per cent; dead ones are among them."""
    dormant = [states.dormant for states in record.states.values()]
    return 100 * float(np.concatenate(dormant).mean())


def _at_the_end(result: Result) -> float:
    return dormant_share(result.history[-1])


def _find(evidence: Evidence) -> Findings:
    cells: dict[tuple[float, bool], list[Result]] = {}
    for result in evidence.results:
        recipe = result.recipe
        cells.setdefault((recipe.drop_rate_of("h1"), recipe.recycle_every > 0), []).append(result)
    rows = []
    for rate in RATES:
        kept, recycled = ([*cells.get((rate, flag), [])] for flag in (False, True))
        rows += [
            Finding(
                what=f"drop rate {rate:g}, {name}: dormant",
                ours=estimate([_at_the_end(result) for result in results]),
            )
            for name, results in ((_KEPT, kept), (_RECYCLED, recycled))
        ]
        rows.append(
            Finding(
                what=f"drop rate {rate:g}: dormant with recycling minus without",
                ours=estimate(paired_differences(recycled, kept, _at_the_end)),
                published=Published(
                    value=0.0, where="figure of dormant units with ReDo", reading="unverified"
                ),
                rule="at most",
                unit="points",
            )
        )
    return Findings(
        rows=rows,
        figures={"dormant_by_epoch": _figure(cells)},
        remark=(
            "The paper's networks learn from rewards, whose targets move; ours classify images, "
            "where fewer units become dormant. What can be compared is the direction. Units are "
            "counted before an epoch's recycling: those that are dormant again one epoch after "
            "they were recycled are counted again."
        ),
    )


def _figure(cells: Mapping[tuple[float, bool], Sequence[Result]]) -> Figure:
    last = max(len(result.history) for results in cells.values() for result in results)

    return lines_figure(
        "Dormant units over training, with and without recycling",
        f"Share of all hidden units with mean |h| at most {DORMANT_TAU:g} of their layer's, MNIST, "
        "means with 95 % intervals over seeds.",
        {
            f"drop rate {rate:g}": [
                line_by_epoch(name, cells[rate, flag], dormant_share, epochs=range(last))
                for name, flag in ((_KEPT, False), (_RECYCLED, True))
                if (rate, flag) in cells
            ]
            for rate in RATES
        },
        across="epoch (0: untrained)",
        up="dormant units (%)",
        ticks={float(epoch): str(epoch) for epoch in range(0, last, max(1, last // 10))},
    )


STUDY = Study(
    title="Units become dormant over training, and stay awake where they are recycled.",
    source=(
        "G. Sokar, R. Agarwal, P. S. Castro and U. Evci, The Dormant Neuron Phenomenon in Deep "
        "Reinforcement Learning, ICML 2023."
    ),
    quick=(
        "half of the units (784-128-128-64-64-10), 20,000 images, 4 epochs and 3 seeds instead of "
        "55,000, 50 and 10: little time to become dormant."
    ),
    find=_find,
    networks=_networks,
)
