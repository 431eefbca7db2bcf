"""A network's answers for images, as machine-readable records."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pipeline.predict.mc_dropout import MaskedAnswer
from pipeline.predict.unit_counts import UnitCount
from pipeline.records.words import csv_of
from why_zero.records import CAUSES, Floats


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A network's answer for one image.

    Attributes:
        image: its name.
        classes: the names of the network's classes.
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


def record(answer: Answer) -> dict[str, Any]:
    """One image as a machine-readable record; numbers by class are keyed by class name."""

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
        found["units"] = {count.layer: numbers_of(count) for count in answer.units}
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
            found["masks"]["units"] = mean_causes(masked)
    return found


def json_lines(answers: Sequence[Answer]) -> list[str]:
    """A JSON object for each image."""
    return [json.dumps(record(answer)) for answer in answers]


def csv_lines(answers: Sequence[Answer]) -> list[str]:
    """A header and a line for each image, none without images; inner keys are joined by points."""
    if not answers:
        return []
    rows = [dict(_flat(record(answer))) for answer in answers]
    return csv_of([rows[0], *(row.values() for row in rows)]).splitlines()


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def numbers_of(count: UnitCount) -> dict[str, int | None]:
    """One layer's counts by their names."""
    return {key: value for key, value in asdict(count).items() if key != "layer"}


def mean_causes(masked: MaskedAnswer) -> dict[str, dict[str, float]]:
    """By layer, the mean number of units with each cause in a pass."""
    return {
        layer: {cause: float(getattr(causes, cause).sum() / masked.passes) for cause in CAUSES}
        for layer, causes in masked.causes.items()
    }
