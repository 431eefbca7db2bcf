"""Test error against the drop rate: figure 9 of Srivastava et al. 2014."""

import math
from collections.abc import Mapping

from matplotlib.figure import Figure

from pipeline.comparison.statistics import Estimate, estimate
from pipeline.config.options import Scale
from pipeline.config.recipe import Recipe
from pipeline.records.result import Result
from pipeline.studies.figures import Line, lines_figure
from pipeline.studies.srivastava import CITATION
from pipeline.studies.study import Evidence, Finding, Findings, Network, Published, Study, exact

# The paper's p is the probability of keeping a unit. Of the quick scale's narrow layers a tenth is
# too little to learn with.
KEPT: Mapping[Scale, tuple[float, ...]] = {
    "quick": (0.2, 0.4, 0.6, 0.8, 1.0),
    "full": (0.1, 0.2, 0.4, 0.6, 0.8, 1.0),
}
FLAT = (0.4, 0.6, 0.8)
# Units of each hidden layer: with their number fixed; and how many are kept on average where that
# is fixed, in the first two layers and in the last.
UNITS = 2048
EXPECTED = (256, 512)
# What the quick scale divides numbers of units by, and how many images it trains on: few enough
# for a network without dropout to overfit within its few epochs.
QUICK_SHARE, QUICK_IMAGES = 16, 10_000
_TRAINING, _TEST = "training error", "test error"


def _networks(scale: Scale) -> list[Network]:
    is_quick = scale == "quick"
    epochs, seeds = (12, 3) if is_quick else (200, 5)
    plain = Recipe()
    return [
        Network(
            Recipe(
                seed=seed,
                drop_rate=round(1 - kept, 6),
                widths=widths,
                epochs=epochs,
                batch_size=50 if is_quick else plain.batch_size,
                holdout=60_000 - QUICK_IMAGES if is_quick else plain.holdout,
                output_dropout=False,
                mask_passes=0,
                probe_every=0,
            )
        )
        for kept in KEPT[scale]
        for widths in dict.fromkeys((_fixed(scale), _expected(scale, kept)))
        for seed in range(seeds)
    ]


def _fixed(scale: Scale) -> tuple[int, ...]:
    return (UNITS // (QUICK_SHARE if scale == "quick" else 1),) * 3


def _expected(scale: Scale, kept: float) -> tuple[int, ...]:
    share = QUICK_SHARE if scale == "quick" else 1
    early, late = (round(units / share / kept) for units in EXPECTED)
    return early, early, late


def _find(evidence: Evidence) -> Findings:
    def errors(kept: float, widths: tuple[int, ...], part: str) -> Estimate:
        chosen = [
            result
            for result in evidence.results
            if result.recipe.widths == widths
            and math.isclose(result.recipe.drop_rate_of("h1"), 1 - kept, abs_tol=1e-6)
        ]
        return estimate([_error(result, part) for result in chosen])

    scale = evidence.scale
    fixed, expected = (
        {
            part: {
                kept: errors(kept, _fixed(scale) if is_fixed else _expected(scale, kept), part)
                for kept in KEPT[scale]
            }
            for part in (_TRAINING, _TEST)
        }
        for is_fixed in (True, False)
    )
    return Findings(
        rows=_rows(fixed, expected),
        figures={"error_by_rate": _figure(fixed, expected)},
        remark="p is the probability of keeping a unit, as in the paper: 1 - our drop rate.",
    )


def _error(result: Result, part: str) -> float:
    score = result.test if part == _TEST else result.chosen.train_eval
    return 100 * (1 - score.accuracy)


def _rows(
    by_fixed: Mapping[str, Mapping[float, Estimate]],
    by_expected: Mapping[str, Mapping[float, Estimate]],
) -> list[Finding]:
    fixed, expected = by_fixed[_TEST], by_expected[_TEST]

    def at_a_tenth(errors: Mapping[str, Mapping[float, Estimate]], value: float) -> Finding:
        name = "n fixed" if errors is by_fixed else "pn fixed"
        return Finding(
            what=f"{name}: test error at p = 0.1",
            ours=errors[_TEST][0.1],
            published=Published(
                value=value, where="section 7.3", half_width=0.05, reading="quoted"
            ),
            note=f"training error: {errors[_TRAINING][0.1].mean:.1f} %",
        )

    flat = [fixed[kept].mean for kept in FLAT]
    widest = max(fixed[kept].half_width for kept in FLAT)
    best = min(expected, key=lambda kept: expected[kept].mean)
    rise = Estimate(
        fixed[1.0].mean - fixed[0.6].mean,
        math.hypot(fixed[1.0].half_width, fixed[0.6].half_width),
        fixed[1.0].count,
    )
    tenth = [at_a_tenth(by_fixed, 2.7), at_a_tenth(by_expected, 1.7)] if 0.1 in fixed else []
    return [
        *tenth,
        Finding(
            what="n fixed: range of test errors from p = 0.4 to 0.8",
            ours=Estimate(max(flat) - min(flat), widest, fixed[0.4].count),
            published=Published(
                value=0.0, where="section 7.3: “flat”", half_width=0.1, reading="quoted"
            ),
            unit="points",
            note=f"{', '.join(f'{error:.2f}' for error in flat)} %; a tenth of a point is allowed",
        ),
        Finding(
            what="n fixed: test error at p = 1 minus at p = 0.6",
            ours=rise,
            published=Published(
                value=0.0, where="section 7.3: rises towards p = 1", reading="quoted"
            ),
            rule="at least",
            unit="points",
        ),
        Finding(
            what="pn fixed: the p with the lowest test error",
            ours=exact(best),
            published=Published(
                value=0.6, where="section 7.3, “about”", half_width=0.1, reading="quoted"
            ),
            unit="",
            digits=1,
        ),
    ]


def _figure(
    fixed: Mapping[str, Mapping[float, Estimate]], expected: Mapping[str, Mapping[float, Estimate]]
) -> Figure:
    def panel(errors: Mapping[str, Mapping[float, Estimate]], stated: float) -> list[Line]:
        published = Line(
            "stated in the paper (test)", {0.1: Estimate(stated, math.nan, 1)}, is_published=True
        )
        lines = [Line(part, errors[part]) for part in (_TEST, _TRAINING)]
        return [*lines, published] if 0.1 in errors[_TEST] else lines

    return lines_figure(
        "Error against the probability of keeping a unit",
        "MNIST, means with 95 % intervals over seeds. Left: n units in each layer; right: more "
        "units where fewer are kept, so that pn is fixed.",
        {"n fixed": panel(fixed, 2.7), "pn fixed": panel(expected, 1.7)},
        across="probability of keeping a unit, p",
        up="error (%)",
        ticks={kept: f"{kept:g}" for kept in fixed[_TEST]},
    )


STUDY = Study(
    title="Test error against the probability of keeping a unit, with n and with pn fixed.",
    source=f"{CITATION}, section 7.3, figure 9.",
    quick=(
        "a sixteenth of the units (784-128-128-128-10, and pn = 16, 16, 32), 10,000 images, 12 "
        "epochs of Adam with batches of 50, and 3 seeds instead of 784-2048-2048-2048-10, 55,000 "
        "images, 200 epochs and 5 seeds. Fewer images make networks overfit sooner, and every "
        "error higher; narrow layers bear less dropout, so that the flat part lies further right, "
        "and where pn is fixed the few units that are kept learn best undisturbed. p = 0.1 is left "
        "out: the 13 units of a layer that it keeps learn too little."
    ),
    find=_find,
    networks=_networks,
)
