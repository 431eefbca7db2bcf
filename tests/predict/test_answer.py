"""Answers as rows, JSON and CSV."""

import csv
import json

import numpy as np
import pytest

from pipeline.predict import Answer, csv_lines, json_lines, tables
from pipeline.predict.mc_dropout import MaskedAnswer
from pipeline.predict.unit_counts import UnitCount
from why_zero.records import ZeroCauses

PROBABILITIES = np.array([0.002, 0.9, 0.0003, 0.0977])
CLASSES = ("a", "b", "c", "d")


@pytest.fixture
def plain() -> Answer:
    return Answer(image="x.png", classes=CLASSES, logits=np.log(PROBABILITIES) + 3)


@pytest.fixture
def full() -> Answer:
    counts = {"active": [3, 5], "dropped": [1, 0], "inactive": [0, 4], "both": [0, 1]}
    masked = MaskedAnswer(
        passes=10,
        mean=np.array([0.1, 0.8, 0.0, 0.1]),
        low=np.array([0.0, 0.25, 0.0, 0.0]),
        high=np.array([0.2, 0.95, 0.0, 0.2]),
        votes=np.array([1, 7, 0, 2]),
        entropy=0.6,
        mutual_information=0.2,
        causes={"h1": ZeroCauses(**{cause: np.array(n) for cause, n in counts.items()})},
    )
    unit = UnitCount(layer="h1", units=2, active=1, inactive=0, dead=1, woken=0)
    unknown = UnitCount(layer="h2", units=2, active=1, inactive=1, dead=None, woken=None)
    return Answer(
        image="y.png",
        classes=CLASSES,
        logits=np.log(PROBABILITIES),
        units=(unit, unknown),
        masked=masked,
    )


def test_a_row_shows_the_label_and_what_else_is_not_nothing(plain: Answer) -> None:
    assert tables.row(plain) == ("x.png", "b", "90.0 %", "d 9.8 %, a 0.2 %")


def test_probabilities_are_the_softmax_whatever_is_added_to_the_logits() -> None:
    huge = Answer(image="x", classes=CLASSES, logits=np.log(PROBABILITIES) + 1e4)
    np.testing.assert_allclose(huge.probabilities, PROBABILITIES, rtol=1e-9)


def test_under_masks_a_row_shows_interval_information_and_the_other_labels(full: Answer) -> None:
    assert tables.masked_rows(full) == [
        ("y.png", "b", "80.0 %", "25.0 % to 95.0 %", "0.600", "0.200", "d in 2, a in 1 of 10")
    ]


def test_units_have_a_row_a_layer_and_say_what_is_unknown(full: Answer) -> None:
    assert tables.unit_rows(full) == [
        ("y.png", "h1", "2", "1", "0", "1", "0"),
        ("", "h2", "2", "1", "1", "unknown", "unknown"),
    ]


def test_causes_are_mean_units_a_pass(full: Answer) -> None:
    assert tables.cause_rows(full) == [("y.png", "h1", "0.8", "0.1", "0.4", "0.1")]


def test_what_was_not_asked_for_has_no_rows(plain: Answer) -> None:
    assert tables.masked_rows(plain) == tables.unit_rows(plain) == []
    assert tables.cause_rows(plain) == []


def test_json_holds_a_line_an_image_with_every_number(plain: Answer, full: Answer) -> None:
    first, second = (json.loads(line) for line in json_lines([plain, full]))
    assert (first["image"], first["label"], first["class"]) == ("x.png", "b", 1)
    assert first["probabilities"] == pytest.approx(dict(zip(CLASSES, PROBABILITIES, strict=True)))
    assert first["logits"] == pytest.approx(
        dict(zip(CLASSES, np.log(PROBABILITIES) + 3, strict=True))
    )
    assert not {"units", "masks"} & first.keys()
    assert second["units"]["h2"] == {
        "units": 2,
        "active": 1,
        "inactive": 1,
        "dead": None,
        "woken": None,
    }
    assert second["masks"]["changed"] == 3
    assert second["masks"]["votes"] == {"a": 1, "b": 7, "c": 0, "d": 2}
    assert second["masks"]["units"]["h1"]["active"] == 0.8


def test_csv_has_one_header_and_the_same_numbers(full: Answer) -> None:
    rows = list(csv.DictReader(csv_lines([full, full])))
    assert len(rows) == 2
    assert rows[0]["label"] == "b"
    assert float(rows[0]["probabilities.d"]) == pytest.approx(0.0977)
    assert (rows[0]["units.h1.dead"], rows[0]["units.h2.dead"]) == ("1", "")
    assert rows[0]["masks.low.b"] == "0.25"


def test_no_answer_is_no_csv() -> None:
    assert csv_lines([]) == []
