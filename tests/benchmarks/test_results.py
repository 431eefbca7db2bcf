"""The table of results: a section for each machine, rewritten in place."""

from datetime import date
from pathlib import Path

import pytest

from benchmarks.results import Bound, Row, record

TODAY, LATER = date(2026, 1, 2), date(2026, 3, 4)
ROW = Row(name="a run", value=12.345, unit="s")


def write(path: Path, machine: str, benchmark: str, *rows: Row, today: date = TODAY) -> str:
    record(path, machine, benchmark=benchmark, rows=rows, today=today)
    return path.read_text("utf-8")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "RESULTS.md"


def test_recording_again_replaces_the_benchmarks_rows_on_that_machine_alone(path: Path) -> None:
    write(path, "left", "speed", ROW)
    write(path, "left", "memory", Row(name="peak", value=3, unit="GiB"))
    before = write(path, "right", "speed", Row(name="a walk", value=4, unit="s"))
    after = write(path, "left", "speed", Row(name="a ride", value=5, unit="s"), today=LATER)
    assert "a run" not in after
    assert "2026-03-04\n\n| what | value | bound |\n| --- | ---: | --- |\n| a ride |" in after
    assert after.partition("## right")[2] == before.partition("## right")[2]
    assert "| peak | 3.00 GiB |  |" in after


def test_the_table_is_the_same_whatever_the_order_of_recording(tmp_path: Path) -> None:
    texts = []
    for order in ([0, 1, 2], [2, 1, 0]):
        path = tmp_path / f"{order[0]}.md"
        entries = [("left", "speed"), ("left", "memory"), ("right", "speed")]
        texts.append([write(path, *entries[index], ROW) for index in order][-1])
    assert texts[0] == texts[1]
    assert texts[0].index("### memory") < texts[0].index("### speed") < texts[0].index("## right")


@pytest.mark.parametrize(
    ("bound", "value", "verdict"),
    [
        (Bound(limit=2.6, aim=2.2), 2.7, "at most 2.6 (aim 2.2): MISSED"),
        (Bound(limit=2.6, aim=2.2), 2.3, "at most 2.6 (aim 2.2): met"),
        (Bound(limit=2.6, aim=2.2), 2.2, "at most 2.6 (aim 2.2): aim met"),
        (Bound(limit=4, is_floor=True), 3.9, "at least 4: MISSED"),
        (Bound(limit=4, is_floor=True), 4.1, "at least 4: met"),
    ],
)
def test_a_bound_says_whether_it_is_kept(bound: Bound, value: float, verdict: str) -> None:
    assert bound.judge(value) == verdict


@pytest.mark.parametrize(
    ("value", "spread", "shown"),
    [
        (12.345, None, "12.3 s"),
        (1234.5, None, "1,234 s"),
        (0.01234, None, "0.0123 s"),
        (97.3861, 0.1049, "97.39 ± 0.10 s"),
        (0, 0, "0.0 ± 0.0 s"),
    ],
)
def test_a_value_shows_three_digits_or_what_its_interval_knows(
    value: float, spread: float | None, shown: str
) -> None:
    assert Row(name="x", value=value, unit="s", spread=spread).cells[1] == shown
