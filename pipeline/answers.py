"""What a network says of images, as rows for people and as records for programs.

It must not know how an answer is found, nor where it is shown.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipeline.mc_dropout import MaskedAnswer
from pipeline.records import CAUSES, Floats
from pipeline.report import Row
from pipeline.unit_counts import UnitCount

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
_NEXT = 3  # classes beside the label
_SHOWN = 0.0005  # what would be shown as 0.0 % is left out


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a network says of one image.

    Attributes:
        image: its name.
        classes: what the network's classes are called.
        logits: shape (classes,).
        units: of each ReLU layer; None where they were not asked for.
        masked: under many dropout masks; None where they were not asked for.
    """

    image: str
    classes: tuple[str, ...]
    logits: Floats
    units: tuple[UnitCount, ...] | None = None
    masked: MaskedAnswer | None = None

    @property
    def probabilities(self) -> Floats:
        """The softmax of the logits."""
        weights = np.exp(self.logits - self.logits.max())
        return np.asarray(weights / weights.sum())

    @property
    def label(self) -> int:
        """The index of the most probable class."""
        return int(self.logits.argmax())


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
        (_once(answer, place), count.layer, *(_known(value) for value in _numbers(count).values()))
        for place, count in enumerate(answer.units or ())
    ]


def cause_rows(answer: Answer) -> list[Row]:
    """The layers of one image under `CAUSE_COLUMNS`: mean units a pass."""
    causes = _causes(answer.masked) if answer.masked else {}
    return [
        (_once(answer, place), layer, *(f"{value:.1f}" for value in causes[layer].values()))
        for place, layer in enumerate(causes)
    ]


def record(answer: Answer) -> dict[str, Any]:
    """One image as a program reads it; numbers by class have the classes' names as keys."""

    def by_class(values: Iterable[Any]) -> dict[str, Any]:
        return dict(zip(answer.classes, np.asarray(values).tolist(), strict=True))

    label, probabilities = answer.label, answer.probabilities
    found: dict[str, Any] = {
        "image": answer.image,
        "label": answer.classes[label],
        "class": label,
        "probability": float(probabilities[label]),
        "probabilities": by_class(probabilities),
        "logits": by_class(answer.logits),
    }
    if answer.units is not None:
        found["units"] = {count.layer: _numbers(count) for count in answer.units}
    masked = answer.masked
    if masked is not None:
        found["masks"] = {
            "passes": masked.passes,
            "changed": masked.passes - int(masked.votes[label]),
            "entropy": masked.entropy,
            "mutual_information": masked.mutual_information,
            **{key: by_class(getattr(masked, key)) for key in ("mean", "low", "high", "votes")},
        }
        if answer.units is not None:
            found["masks"]["units"] = _causes(masked)
    return found


def json_lines(answers: Sequence[Answer]) -> list[str]:
    """A JSON object for each image."""
    return [json.dumps(record(answer)) for answer in answers]


def csv_lines(answers: Sequence[Answer]) -> list[str]:
    """A header and a line for each image, none without images; inner keys are joined by points."""
    if not answers:
        return []
    rows = [dict(_flat(record(answer))) for answer in answers]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().splitlines()


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _numbers(count: UnitCount) -> dict[str, int | None]:
    return {key: value for key, value in asdict(count).items() if key != "layer"}


def _causes(masked: MaskedAnswer) -> dict[str, dict[str, float]]:
    """By layer, the mean number of units with each cause in a pass."""
    return {
        layer: {cause: float(getattr(causes, cause).sum() / masked.passes) for cause in CAUSES}
        for layer, causes in masked.causes.items()
    }


def _once(answer: Answer, place: int) -> str:
    return "" if place else answer.image


def _known(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
