"""Predictions as rows of readable tables."""

import numpy as np

from pipeline.markdown import Row
from pipeline.predict.answer import Answer, mean_causes, numbers_of
from why_zero.records import CAUSES

COLUMNS: Row = ("image", "label", "probability", "next")
MASKED_COLUMNS: Row = (
    "image",
    "label",
    "mean",
    "95 % of masks",
    "entropy",
    "from masks",
    "other labels",
)
UNIT_COLUMNS: Row = ("image", "layer", "units", "active", "inactive", "dead", "woken")
CAUSE_COLUMNS: Row = ("image", "layer", *CAUSES)
_NEXT = 3  # classes shown next to the label
_SHOWN = 0.0005  # what would be shown as 0.0 % is left out


def row(answer: Answer) -> Row:
    """One image under `COLUMNS`."""
    shares, label = answer.probabilities, answer.label
    others = [index for index in np.argsort(-shares, kind="stable") if index != label]
    following = [
        f"{answer.classes[index]} {_percent(shares[index])}"
        for index in others[:_NEXT]
        if shares[index] >= _SHOWN
    ]
    return (
        answer.image,
        answer.classes[label],
        _percent(shares[label]),
        ", ".join(following) or "–",
    )


def masked_rows(answer: Answer) -> list[Row]:
    """One image under `MASKED_COLUMNS`; no row where there were no masks."""
    masked, label = answer.masked, answer.label
    if masked is None:
        return []
    votes = [
        f"{answer.classes[index]} in {masked.votes[index]}"
        for index in np.argsort(-masked.votes, kind="stable")
        if index != label and masked.votes[index]
    ]
    cells = (
        answer.image,
        answer.classes[label],
        _percent(masked.mean[label]),
        f"{_percent(masked.low[label])} to {_percent(masked.high[label])}",
        f"{masked.entropy:.3f}",
        f"{masked.mutual_information:.3f}",
        f"{', '.join(votes) or 'in 0'} of {masked.passes}",
    )
    return [cells]


def unit_rows(answer: Answer) -> list[Row]:
    """The layers of one image under `UNIT_COLUMNS`, the image's name beside the first."""
    return [
        (
            _once(answer, place),
            count.layer,
            *(_known(value) for value in numbers_of(count).values()),
        )
        for place, count in enumerate(answer.units or ())
    ]


def cause_rows(answer: Answer) -> list[Row]:
    """The layers of one image under `CAUSE_COLUMNS`: mean units per pass."""
    causes = mean_causes(answer.masked) if answer.masked else {}
    return [
        (_once(answer, place), layer, *(f"{value:.1f}" for value in causes[layer].values()))
        for place, layer in enumerate(causes)
    ]


def _once(answer: Answer, place: int) -> str:
    return "" if place else answer.image


def _known(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
