"""The post's ten epochs, and what dropping the logits costs."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from pipeline.comparison.statistics import Estimate, estimate
from pipeline.config.options import Scale
from pipeline.config.recipe import Recipe
from pipeline.records import Score
from pipeline.records.result import Result
from pipeline.studies.figures import Line, lines_figure
from pipeline.studies.study import Evidence, Finding, Findings, Network, Published, Study, exact

DROP_RATE = 0.5
SECONDS = 208.18
# Epoch by epoch, as printed: loss and accuracy over the training images in evaluation mode, then
# over the test images, which the post calls validation.
TRAIN = (
    (0.29718, 0.93165), (0.20175, 0.95115), (0.16657, 0.96088), (0.12829, 0.96875),
    (0.12563, 0.97037), (0.11393, 0.97392), (0.11319, 0.97408), (0.09571, 0.97757),
    (0.09665, 0.97868), (0.08790, 0.97927),
)  # fmt: skip
VALIDATION = (
    (0.29076, 0.93140), (0.20255, 0.94890), (0.17110, 0.95880), (0.14193, 0.96140),
    (0.13734, 0.96710), (0.12805, 0.97030), (0.13106, 0.96800), (0.11463, 0.97140),
    (0.11790, 0.97390), (0.11196, 0.97440),
)  # fmt: skip
_PRINTED = {"train": TRAIN, "validation": VALIDATION}
_EPOCHS = len(TRAIN)


def _networks(scale: Scale) -> list[Network]:
    seeds = range(3 if scale == "quick" else 20)
    return [
        Network(
            Recipe(
                seed=seed,
                drop_rate=DROP_RATE,
                output_dropout=is_dropped,
                epochs=_EPOCHS,
                holdout=0,
            )
        )
        for is_dropped in (True, False)
        for seed in seeds
    ]


def _find(evidence: Evidence) -> Findings:
    ours = {
        is_dropped: [r for r in evidence.results if r.recipe.output_dropout is is_dropped]
        for is_dropped in (True, False)
    }
    rows = []
    for epoch in (1, 5, _EPOCHS):
        for part, printed in _PRINTED.items():
            loss, accuracy = printed[epoch - 1]
            where = f"Epoch[{epoch}/{_EPOCHS}], {part}"
            scores = [_score(result, part, epoch) for result in ours[True]]
            rows += [
                _row(f"epoch {epoch}: {part} accuracy", scores, accuracy, where),
                _row(f"epoch {epoch}: {part} loss", scores, loss, where, is_loss=True),
            ]
    rows += [_seconds(ours[True]), *_costs(ours)]
    return Findings(rows=rows, figures={"accuracy_by_epoch": _figure(ours)})


def _score(result: Result, part: str, epoch: int) -> Score:
    record = result.history[epoch]
    score = record.train_eval if part == "train" else record.validation
    return Score(math.nan, math.nan) if score is None else score


def _row(
    what: str, scores: Sequence[Score], value: float, where: str, *, is_loss: bool = False
) -> Finding:
    """One printed number, which is that of one network."""
    size = 1 if is_loss else 100
    values = [size * (score.loss if is_loss else score.accuracy) for score in scores]
    return Finding(
        what=what,
        ours=estimate(values),
        published=Published(value=size * value, where=where, half_width=size * 5e-6),
        rule="one network",
        unit="" if is_loss else "%",
        digits=3 if is_loss else 2,
    )


def _seconds(results: Sequence[Result]) -> Finding:
    seconds = [sum(record.epoch_seconds or 0 for record in result.history) for result in results]
    where = results[0].device_name if results else ""
    size = max((result.stack_size for result in results), default=1)
    return Finding(
        what="ten epochs of one network",
        ours=exact(float(np.mean(seconds)) if seconds else math.nan),
        published=Published(value=SECONDS, where="the last line of the output, on a CPU"),
        rule="at most",
        unit="s",
        digits=1,
        note=f"ours without evaluations, {size} networks at once, on {where}",
    )


def _costs(ours: Mapping[bool, Sequence[Result]]) -> list[Finding]:
    """What dropout on the logits changes, seed by seed."""
    floor = DROP_RATE * _mean_logarithm(9, DROP_RATE)
    pairs = [
        (dropped, kept)
        for dropped in ours[True]
        for kept in ours[False]
        if dropped.recipe.seed == kept.recipe.seed
    ]
    losses = [result.history[-1].train for result in ours[True]]
    changes = {
        "accuracy on the test images": ("%", 2, [_gap(pair, "accuracy") for pair in pairs]),
        "loss on the test images": ("", 4, [_gap(pair, "loss") for pair in pairs]),
    }
    return [
        Finding(
            what="training loss with dropped logits, epoch 10",
            ours=estimate([score.loss for score in losses if score]),
            published=Published(
                value=floor,
                where="arithmetic: p E[ln(1 + Binomial(9, p))] is the least that is possible",
            ),
            rule="at least",
            unit="",
            digits=3,
        ),
        *(
            Finding(
                what=f"{what}: logits dropped minus kept",
                ours=estimate(values),
                unit=unit,
                digits=digits,
                note="the post has no network that keeps its logits; same seeds, in pairs",
            )
            for what, (unit, digits, values) in changes.items()
        ),
    ]


def _gap(pair: tuple[Result, Result], kind: str) -> float:
    size = 100 if kind == "accuracy" else 1
    dropped, kept = (getattr(_score(one, "validation", _EPOCHS), kind) for one in pair)
    return size * float(dropped - kept)


def _mean_logarithm(others: int, rate: float) -> float:
    """E[ln(1 + K)] for K of so many logits dropped at this rate."""
    return sum(
        math.comb(others, k) * rate**k * (1 - rate) ** (others - k) * math.log1p(k)
        for k in range(others + 1)
    )


def _figure(ours: Mapping[bool, Sequence[Result]]) -> Figure:
    epochs = range(1, _EPOCHS + 1)

    def line(label: str, part: str, *, is_dropped: bool) -> Line:
        return Line(
            label,
            {
                float(epoch): estimate(
                    [100 * _score(result, part, epoch).accuracy for result in ours[is_dropped]]
                )
                for epoch in epochs
            },
        )

    panels = {
        title: [
            line("logits dropped, as in the post", part, is_dropped=True),
            line("logits kept", part, is_dropped=False),
            Line(
                "the post",
                {
                    float(epoch): Estimate(100 * accuracy, math.nan, 1)
                    for epoch, (_, accuracy) in zip(epochs, _PRINTED[part], strict=True)
                },
                is_published=True,
            ),
        ]
        for title, part in (("training images", "train"), ("test images", "validation"))
    }
    return lines_figure(
        "Ten epochs of the post's network, beside the post's own",
        "Accuracy in evaluation mode on MNIST, means with 95 % intervals over seeds; the post "
        "printed one network.",
        panels,
        across="epoch",
        up="accuracy (%)",
        ticks={float(epoch): str(epoch) for epoch in epochs},
    )


STUDY = Study(
    title="The post's network over its ten epochs, with and without dropout on the logits.",
    source=(
        "The post “Dropout” (Deeplearning_Pytorch, 07, improving models), which trains "
        "784-256-256-128-128-10 with dropout 0.5 after every layer on MNIST, and validates on the "
        "test images."
    ),
    quick="3 seeds instead of 20, so that intervals are four times as wide and agree with more.",
    find=_find,
    networks=_networks,
)
