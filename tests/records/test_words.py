"""Numbers and reasons as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records.words import counted, percent, reasons


@given(st.floats(min_value=1e-6, max_value=1 - 1e-6))
def test_a_share_is_never_rounded_to_none_or_all(share: float) -> None:
    number = float(percent(share, 0).removesuffix("\u00a0%"))
    assert 0 < number < 100
    assert number == pytest.approx(100 * share, abs=0.5)


@pytest.mark.parametrize(
    ("share", "digits", "expected"),
    [
        (0.0, 0, "0"), (1.0, 0, "100"), (0.334, 0, "33"), (0.9741, 1, "97.4"), (0.996, 0, "99.6"),
        (0.003, 0, "0.3"),
    ],
)  # fmt: skip
def test_shares_are_written_as_people_read_them(share: float, digits: int, expected: str) -> None:
    assert percent(share, digits) == f"{expected}\u00a0%"


def test_a_share_that_is_not_known_is_called_so() -> None:
    assert percent(math.nan) == "–"
    assert percent(math.nan, unknown="unknown") == "unknown"


def test_things_are_counted_in_singular_and_plural() -> None:
    assert [counted(number, "unit") for number in (0, 1, 2000)] == [
        "0 units",
        "1 unit",
        "2,000 units",
    ]


def test_a_reason_that_several_share_is_said_once_with_the_first_three_names() -> None:
    failures = dict.fromkeys("abcde", "no room") | {"f": "NaN"}
    assert reasons(failures) == "a, b, c and 2 more: no room; f: NaN"
