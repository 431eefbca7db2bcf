"""The toy's page as a text: complete, exact, self-contained, in two languages."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import page as shared
from pipeline.plots import style
from pipeline.toy import page
from pipeline.toy.experiment import Trace

PARTS = [Path(room.__file__).parent for room in (shared, page)]
SCRIPTS = "\n".join(path.read_text("utf-8") for part in PARTS for path in part.glob("*.js"))
STYLE = "".join(path.read_text("utf-8") for part in PARTS for path in part.glob("*.css"))


def text(trace: Trace, *, init: str = "notebook") -> str:
    return page.render_page(trace, drop_rate=0.5, learning_rate=0.01, init=init, seed=0)


def run_of(page: str) -> dict[str, Any]:
    """What the page's own script reads."""
    found = re.search(r'<script type="application/json" id="run">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_every_number_of_the_trace_comes_back_from_the_page_to_the_last_bit(trace: Trace) -> None:
    run = run_of(text(trace))
    assert run["trace"].keys() >= trace.arrays.keys()
    for name, array in trace.arrays.items():
        read = np.array(run["trace"][name]).astype(array.dtype)
        assert read.tobytes() == array.tobytes(), name


def test_a_dropped_negative_is_a_negative_zero_in_the_page(trace: Trace) -> None:
    y = np.array(run_of(text(trace))["trace"]["dropout/h1/y"])
    z, mask = (trace.arrays[f"dropout/h1/{quantity}"] for quantity in ("z", "mask"))
    assert (~mask & (z < 0)).any()
    np.testing.assert_array_equal(np.signbit(y[~mask]), z[~mask] < 0)


def test_infinite_and_undefined_values_are_written_so_that_the_page_can_read_them(
    trace: Trace,
) -> None:
    loss = trace.arrays["relu/loss"].copy()
    loss[:3] = [np.nan, np.inf, -np.inf]
    broken = Trace({**trace.arrays, "relu/loss": loss}, trace.histories)
    assert run_of(text(broken))["trace"]["relu/loss"][:3] == ["NaN", "Infinity", "-Infinity"]


def test_a_run_too_long_to_walk_through_is_cut_and_stays_below_three_megabytes(
    long: Trace,
) -> None:
    page = text(long)
    run = run_of(page)
    assert (run["updates"], run["shown"]) == (250, 200)
    assert len(run["trace"]["relu/loss"]) == len(run["trace"]["dropout/h1/z"]) == 200
    assert len(run["trace"]["relu/linear1.weight"]) == len(run["trace"]["relu/h1/fired"]) == 201
    assert len(run["trace"]["samples/x"]) == 10
    assert len(page.encode()) < 3_000_000


def test_without_an_update_the_page_holds_what_stands_before_the_first(born: Trace) -> None:
    run = run_of(text(born))
    assert run["updates"] == run["shown"] == 0
    assert len(run["trace"]["relu/h1/evaluation_z"]) == 1
    assert "relu/loss" not in run["trace"]


def test_the_page_is_one_file_that_can_fetch_nothing(trace: Trace) -> None:
    page = text(trace)
    assert "default-src 'none'" in page
    assert set(re.findall(r"https?://[^\"'\s<]+", page)) == {"http://www.w3.org/2000/svg"}
    assert re.findall(r'\s(?:src|href|srcset|action)="([^"]*)"', page) == ["data:,"]
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= {
        f"#hatch-{cause}" for cause in ("dropped", "inactive", "both")
    }
    for storage in ("localStorage", "sessionStorage", "cookie", "indexedDB", "fetch(", "import "):
        assert storage not in SCRIPTS


def test_nothing_that_a_run_says_can_end_the_script_that_holds_it(trace: Trace) -> None:
    page = text(trace, init="</script><!--<script>/* run */")
    assert run_of(page)["init"] == "</script><!--<script>/* run */"
    assert page.count("</script>") == text(trace).count("</script>")
    assert "<!--" not in page


@pytest.mark.parametrize("part", PARTS, ids=["shared", "own"])
def test_both_languages_say_the_same_things_with_the_same_values(part: Path) -> None:
    words = json.loads((part / "words.json").read_text("utf-8"))
    english, korean = words["en"], words["ko"]
    assert english.keys() == korean.keys()
    for key in english:
        # Korean nouns have no plural: only the values themselves must be there.
        values = [set(re.findall(r"\{(\w+)\}", said[key])) for said in (english, korean)]
        assert values[0] == values[1], key
        assert korean[key].strip()
        assert english[key].strip()


@pytest.mark.parametrize("cause", list(style.CAUSE_LOOKS))
def test_a_cause_has_the_colour_that_it_has_in_every_figure(cause: str) -> None:
    look = style.CAUSE_LOOKS[cause]  # type: ignore[index]
    assert colour(cause) == look.colour.lower()
    if look.hatch:
        assert colour(f"{cause}-hatch") == look.hatch_colour.lower()


def test_dead_and_firing_units_have_the_colours_that_they_have_in_every_figure() -> None:
    assert colour("dead") == style.DEAD.lower()
    assert style.FIRING.lower() in STYLE


@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        ("ink", "paper", 4.5),
        ("ink", "card", 4.5),
        ("ink", "soft", 4.5),
        ("pale", "paper", 4.5),
        ("pale", "card", 4.5),
        ("pale", "soft", 4.5),
        ("card", "ink", 4.5),
        ("accent", "paper", 3.0),
        ("accent", "card", 3.0),
        ("dead", "card", 3.0),
        ("inactive", "card", 3.0),
        ("both", "card", 3.0),
        # Its outline is what sets it off; the fill alone reaches 2.2.
        ("ink", "dropped", 3.0),
        ("ink", "active", 3.0),
    ],
)
def test_text_and_marks_stand_out_as_wcag_aa_asks(front: str, back: str, least: float) -> None:
    one, other = sorted(luminance(colour(name)) for name in (front, back))
    assert (other + 0.05) / (one + 0.05) >= least


def colour(name: str) -> str:
    """The value of a custom property of the style sheet."""
    found = re.search(rf"--{name}: (#[0-9a-f]{{6}});", STYLE)
    assert found, name
    return found[1]


def luminance(value: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [int(value[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
