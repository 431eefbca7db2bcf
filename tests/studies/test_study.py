"""When ours and a published value agree, and how both are shown."""

import csv
import io
import math

import pytest

from pipeline.comparison.statistics import Estimate
from pipeline.config.options import STUDIES as NAMES
from pipeline.config.options import Scale
from pipeline.studies import STUDIES, Findings, Study, tables
from pipeline.studies.study import Finding, Published, Rule, exact, share


def finding(
    ours: Estimate, value: float, *, rule: Rule = "mean", half_width: float = 0.0
) -> Finding:
    published = Published(value=value, where="table 1", half_width=half_width)
    return Finding(what="error", ours=ours, published=published, rule=rule)


@pytest.mark.parametrize(("value", "agrees"), [(13.0, True), (15.0, True), (15.1, False)])
def test_means_agree_within_the_root_of_both_squared_intervals(
    value: float, *, agrees: bool
) -> None:
    # 3 and 4 make 5.
    assert finding(Estimate(10.0, 3.0, 5), value, half_width=4.0).agrees is agrees


@pytest.mark.parametrize(("value", "agrees"), [(16.0, True), (16.1, False)])
def test_what_one_network_gave_must_lie_where_another_of_ours_would(
    value: float, *, agrees: bool
) -> None:
    # Of 8 seeds the prediction interval is √(8 + 1) = 3 times as wide.
    assert finding(Estimate(10.0, 2.0, 8), value, rule="one network").agrees is agrees


@pytest.mark.parametrize(
    ("rule", "value", "agrees"),
    [
        ("at most", 9.0, True),
        ("at most", 7.9, False),
        ("at least", 11.0, True),
        ("at least", 12.1, False),
    ],
)
def test_a_bound_is_kept_if_our_interval_reaches_it(
    rule: Rule, value: float, *, agrees: bool
) -> None:
    assert finding(Estimate(10.0, 2.0, 5), value, rule=rule).agrees is agrees


def test_a_number_without_chance_agrees_only_if_it_is_the_same() -> None:
    assert finding(exact(3.0), 3.0).agrees is True
    assert finding(exact(4.0), 3.0).agrees is False


def test_nothing_agrees_or_differs_where_one_side_is_missing() -> None:
    assert Finding(what="error", ours=Estimate(1.0, 1.0, 3)).agrees is None
    assert finding(Estimate(math.nan, math.nan, 0), 1.0).agrees is None


@pytest.mark.parametrize(("successes", "half_width"), [(0, 27.75), (5, 26.34), (10, 27.75)])
def test_a_share_s_interval_reaches_to_the_farther_end_of_wilson_s(
    successes: int, half_width: float
) -> None:
    """By hand: 1.96² / (10 + 1.96²) at both ends."""
    found = share(successes, 10)
    assert found.mean == 10 * successes
    assert found.half_width == pytest.approx(half_width, abs=0.005)


def test_the_settings_name_every_study_in_its_order() -> None:
    assert tuple(STUDIES) == NAMES


@pytest.mark.parametrize("scale", ["quick", "full"])
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_asks_for_no_network_twice(name: str, scale: Scale) -> None:
    wanted = [
        (network.data, *network.recipe.parameters.items())
        for network in STUDIES[name].networks(scale)
    ]
    assert len(set(wanted)) == len(wanted)


@pytest.mark.parametrize("name", STUDIES)
def test_the_quick_scale_asks_for_no_more_than_the_full_one(name: str) -> None:
    quick, full = (
        sum(network.recipe.epochs for network in STUDIES[name].networks(scale))
        for scale in ("quick", "full")
    )
    assert quick < full or quick == full == 0


STUDY = Study(title="A title.", source="A source.", quick="less.", find=lambda _: Findings(rows=()))
ROWS = (
    finding(Estimate(10.123, 0.5, 3), 10.2),
    Finding(
        what="a | b",
        ours=exact(2.0),
        published=Published(value=3.0, where="figure 9", half_width=0.5, reading="off a figure"),
        unit="",
        digits=1,
        note="too short",
    ),
    finding(Estimate(1.0, 0.1, 3), 2.0, rule="at most"),
    Finding(what="seconds", ours=exact(4.0), unit="s", digits=0),
)


def test_the_table_says_what_agrees_where_it_stands_and_how_it_was_read() -> None:
    lines = tables.plain(tables.markdown(STUDY, Findings(rows=ROWS), scale="full")).splitlines()
    assert lines[0] == "**A title.** 2 of 3 agree."
    assert [line.replace("\u00a0", " ") for line in lines[4:8]] == [
        "| error | 10.20 % | 10.12 ± 0.50 % | yes | table 1 |",
        "| a \\| b | 3.0 ± 0.5 | 2.0 | **no** | figure 9 (off a figure); too short |",
        "| error | ≤ 2.00 % | 1.00 ± 0.10 % | yes | table 1 |",
        "| seconds | – | 4 s | – |  |",
    ]
    assert lines[-1] == "Source: A source."


def test_what_one_network_gave_stands_beside_the_interval_for_one_network() -> None:
    row = finding(Estimate(10.0, 1.0, 8), 11.0, rule="one network")
    assert tables.narrow_rows([row])[0][2].replace("\u00a0", " ") == (
        "10.00 ± 1.00 % (one network: ± 3.00)"
    )


def test_the_quick_scale_says_what_it_weakens() -> None:
    quick, full = (
        tables.markdown(STUDY, Findings(rows=ROWS), scale=scale) for scale in ("quick", "full")
    )
    assert "scale=quick: less." in quick
    assert "less." not in full


def test_the_csv_file_has_numbers_in_full() -> None:
    rows = list(csv.DictReader(io.StringIO(tables.findings_csv(ROWS))))
    assert [row["agrees"] for row in rows] == ["yes", "no", "yes", ""]
    assert (rows[0]["ours"], rows[0]["ours_half_width"], rows[0]["n"]) == ("10.123", "0.5", "3")
    assert (rows[1]["published"], rows[1]["reading"]) == ("3.0", "off a figure")
    assert rows[3]["published"] == ""


def test_a_description_fits_into_its_run_and_keeps_what_does_not_agree() -> None:
    many = [finding(Estimate(10.0, 1.0, 3), 10.0) for _ in range(500)]
    many.append(finding(Estimate(10.0, 1.0, 3), 99.0))
    text = tables.description(STUDY, Findings(rows=many), scale="quick", more="\n\nDiverged: one.")
    assert len(text) <= 8000
    assert "99.00" in text
    assert "more in findings.csv" in text
    assert text.endswith("Diverged: one.")


def test_the_page_of_all_studies_names_those_values_that_do_not_agree() -> None:
    page = tables.page({"one": STUDY}, {"one": Findings(rows=ROWS)}, scale="quick", made_with="x")
    assert "| `one` | 2 of 3 agree | a \\| b |" in page
    assert "## one\n" in page
    assert tables.WIDE not in page
