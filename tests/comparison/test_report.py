"""The forms of a comparison: page, description and CSV files."""

import csv
import io
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser

import pytest

from pipeline.comparison.compare import compare
from pipeline.comparison.files import groups_csv, networks_csv
from pipeline.comparison.markdown import ROOM, markdown
from pipeline.comparison.page import page
from pipeline.comparison.tables import groups_table
from pipeline.records import networks_file
from pipeline.records.result import Result

Network = Callable[..., Result]
Sweep = Callable[..., list[Result]]

ACCURACIES = {
    0.0: (0.90, 0.91, 0.89, 0.90),
    0.2: (0.95, 0.96, 0.93, 0.95),
    0.5: (0.94, 0.97, 0.93, 0.94),
}


class Reader(HTMLParser):
    """Reads a page's words, ids and addresses, and whether what was opened is closed."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words, self.ids, self.addresses = "", list[str](), list[str]()
        self.open = list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self._take(attributes)

    def handle_startendtag(self, _tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._take(attributes)

    def _take(self, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            self.ids += [value or ""] if name == "id" else []
            self.addresses += [value or ""] if name in {"src", "href", "xlink:href"} else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data.replace("\u00a0", " ")


def test_the_page_is_whole_and_fetches_nothing(sweep: Sweep) -> None:
    text = page(compare(sweep(ACCURACIES)), {}, origin="a sweep")
    reader = Reader(text)
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert reader.addresses != []
    assert all(address.startswith("#") for address in reader.addresses)
    assert {address[1:] for address in reader.addresses} <= set(reader.ids)
    assert not re.search(r"url\((?!#)|@import|<script|<link", text)
    # Accuracy, two rows of differences, zeros of a layer, its states; no logit is ever zero.
    assert text.count("<figure") == 5


def test_the_page_shows_the_test_accuracy_of_the_chosen_group_alone(sweep: Sweep) -> None:
    results = [
        *sweep({0.2: ACCURACIES[0.2]}, test=0.6321),
        *sweep({0.5: ACCURACIES[0.5], 0.0: ACCURACIES[0.0]}, test=0.1234),
    ]
    for text in (
        page(compare(results), {}, origin="a sweep"),
        markdown(compare(results), {}, pages={"Page": "#"}, origin="a sweep"),
    ):
        assert text.count("63.21") == 1
        assert "12.34" not in text
    assert "0.1234" not in networks_csv(results) + groups_csv(compare(results))


def test_what_anybody_wrote_cannot_break_the_page(network: Network) -> None:
    bad = '<script>alert("1")</script>'
    results = [
        network(0.9, device_name=bad, seed=seed, drop_rate=rate)
        for seed in (0, 1)
        for rate in (0.0, 0.5)
    ]
    results += [network(0.9, device_name="$\\frac{", drop_rate=0.0)]
    text = page(compare(results), {bad: bad}, origin="a sweep")
    assert "<script" not in text
    assert bad in Reader(text).words
    assert "| a\\|b\u2003\u200b | one two\u2003\u200b |" in markdown(
        compare(results), {"a|b": "one\ntwo"}, pages={"Page": "#"}, origin="a sweep"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"fired": None, "born": None, "activation": "none"},
        {"counts": (0, 0, 0, 0), "probe_every": 0},
        {"seconds": None},
        {"holdout": 0},
        {"layers": ("h1", "h2", "h3"), "widths": (4, 4, 4)},
    ],
    ids=["linear", "nothing watched", "untrained", "nothing held out", "three layers"],
)
def test_every_kind_of_network_can_be_reported(
    changes: dict[str, object], sweep: Sweep, network: Network
) -> None:
    rows = {0.0: (0.9, 0.91), 0.5: (0.8, 0.85)}
    for results in (
        [network(0.9, **changes)],
        [*sweep(rows), *sweep(rows, **changes, learning_rate=0.1)],
    ):
        every = compare(results)
        reader = Reader(page(every, {}, origin="a sweep"))
        assert reader.open == []
        assert "nan" not in re.split(r"\W+", reader.words)
        text = markdown(every, {}, pages={"Page": "#"}, origin="a sweep")
        assert "nan" not in re.split(r"\W+", text)


def test_one_seed_has_no_columns_of_dashes_and_no_talk_of_intervals(sweep: Sweep) -> None:
    one = page(compare(sweep({0.0: (0.9,), 0.5: (0.8,)})), {}, origin="a sweep")
    several = page(compare(sweep(ACCURACIES)), {}, origin="a sweep")
    for column in ("effect size", "p corrected", "told apart"):
        assert f">{column}</th>" in several
        assert f">{column}</th>" not in one
    assert "One seed gives no interval, so no group can be told from another" in one
    assert "how well these seeds determine the mean" in several
    assert "is not widened holds the next network in 75 of 100 cases" in several
    assert "fail in up to 53 of 100 cases" in several
    assert "chosen from 3 (Bonferroni)" in several
    for words in ("Seeds are the replicates", "Hedges", "Holm", "their intervals"):
        assert words not in one


def test_the_report_shows_accuracy_once_and_no_error_beside_it(sweep: Sweep) -> None:
    text = page(compare(sweep(ACCURACIES)), {}, origin="a sweep")
    assert ">accuracy</th>" in text
    assert ">error</th>" not in text


def test_causes_that_never_occur_are_not_in_the_key(sweep: Sweep) -> None:
    def key(**changes: object) -> str:
        text = page(compare(sweep(ACCURACIES, **changes)), {}, origin="a sweep")
        return text[text.index("<ul class='key'>") : text.index("</ul>")]

    assert "zero by dropout alone" in key()
    assert "zero by dropout alone" not in key(counts=(5, 0, 5, 0))
    assert "zero by ReLU alone" in key(counts=(5, 0, 5, 0))


def test_what_cannot_be_said_is_said(sweep: Sweep) -> None:
    def words(**changes: object) -> str:
        return Reader(page(compare(sweep(ACCURACIES, **changes)), {}, origin="a sweep")).words

    assert "No training pass was watched (probe_every=0)" in words(counts=(0, 0, 0, 0))
    assert "No activation was zero" in words(counts=(10, 0, 0, 0))
    assert "no unit can die" in words(fired=None, born=None)
    assert "nothing is chosen" in words(holdout=0)


def test_data_sets_have_sections_of_their_own(sweep: Sweep) -> None:
    every = compare([*sweep(ACCURACIES), *sweep(ACCURACIES, digest="other", holdout=100)])
    words = Reader(page(every, {}, origin="a sweep")).words
    assert "Two comparisons: data or held-out images differ" in words
    assert "validated on 100 held-out training images" in words


def test_networks_that_failed_are_named_with_their_reason(sweep: Sweep) -> None:
    failures = {"relu p=0.9 seed 3": "loss must stay finite"}
    every = compare(sweep(ACCURACIES))
    assert (
        "relu p=0.9 seed 3: loss must stay finite"
        in Reader(page(every, failures, origin="a sweep")).words
    )
    assert "| relu p=0.9 seed 3\u2003\u200b | loss must" in markdown(
        every, failures, pages={"Page": "#"}, origin="a sweep"
    )


def test_a_description_fits_however_many_networks_there_are(sweep: Sweep) -> None:
    few = markdown(compare(sweep(ACCURACIES)), {}, pages={"Page": "#page"}, origin="a sweep")
    assert "[Page](#page)" in few
    assert few.count("](#/a-page)") == 12
    rates = {index / 500: (0.9, 0.8 + index / 5000) for index in range(250)}
    failures: Mapping[str, str] = {f"network {index}": "failed " * 20 for index in range(250)}
    many = markdown(compare(sweep(rates)), failures, pages={"Page": "#page"}, origin="a sweep")
    assert len(many) <= ROOM
    assert "more rows on the page" in many


def test_a_row_a_network_holds_what_the_run_holds(sweep: Sweep) -> None:
    results = sweep({0.5: (0.9, 0.8)}, widths=(4,))
    text = networks_csv(results)
    first, second = csv.DictReader(io.StringIO(text))
    assert networks_file.run_ids(text) == [result.run_id for result in results]
    assert (first["drop_rate"], first["seed"], second["seed"]) == ("0.5", "0", "1")
    assert first["dataset_digest"] == "abc"
    assert (first["val/accuracy"], first["zero/h1"], first["dead/h1"]) == ("0.9", "0.6", "0.25")
    assert (first["speed/epoch_seconds"], first["stack_size"]) == ("2.0", "1")


def test_a_row_a_group_holds_mean_and_interval(sweep: Sweep) -> None:
    none, chosen, half = csv.DictReader(io.StringIO(groups_csv(compare(sweep(ACCURACIES)))))
    assert (chosen["drop_rate"], chosen["is_chosen"], half["is_chosen"]) == ("0.2", "true", "false")
    assert (chosen["networks"], chosen["seeds"]) == ("4", "0,1,2,3")
    # s = 0.008165, t(0.975; 3) = 3.1824: half width 0.012992, times √5 for another seed.
    assert float(none["val/accuracy_low"]) == pytest.approx(0.9 - 0.012992, abs=1e-6)
    assert float(none["val/accuracy_another_seed_low"]) == pytest.approx(0.87095, abs=1e-5)
    # s = 0.012583; chosen from three, it has t(1 - 0.05 / 4; 3) = 4.1765: half width 0.026277.
    assert float(chosen["val/accuracy_mean"]) == pytest.approx(0.9475)
    assert float(chosen["val/accuracy_low"]) == pytest.approx(0.9475 - 0.026277, abs=1e-6)
    assert float(chosen["val/error_high"]) == pytest.approx(0.0525 + 0.026277, abs=1e-6)
    assert (chosen["seeds_judged"], chosen["seeds_diverged"]) == ("0,1,2,3", "")
    assert float(none["behind_chosen_mean"]) == pytest.approx(0.0475)
    assert chosen["behind_chosen_mean"] == ""
    # Shares of one and the same network in every seed: no spread, and s + p - s p at p = 0.2.
    assert float(chosen["zero_expected/h1_mean"]) == pytest.approx(0.5 + 0.2 - 0.5 * 0.2)


def test_one_network_has_no_interval_in_the_file(network: Network) -> None:
    [row] = csv.DictReader(io.StringIO(groups_csv(compare([network(0.9)]))))
    assert (row["val/accuracy_mean"], row["val/accuracy_low"]) == ("0.9", "")


def test_a_caution_and_where_networks_come_from_stand_in_every_form(sweep: Sweep) -> None:
    every, words = compare(sweep(ACCURACIES)), {"origin": "the search <x>", "caution": "Beware."}
    for text in (
        Reader(page(every, {}, **words)).words,
        markdown(every, {}, pages={"Page": "#"}, **words),
    ):
        assert text.index("Beware.") < text.index("highest accuracy")
        assert "Networks from the search <x>" in text


def test_weights_are_shared_only_where_widths_agree(sweep: Sweep) -> None:
    def words(*widths: tuple[int, ...]) -> str:
        results = [result for one in widths for result in sweep(ACCURACIES, widths=one)]
        return Reader(page(compare(results), {}, origin="a sweep")).words

    assert "start from the same weights; the test" in words((4,))
    assert "start from the same weights where their widths agree; the test" in words((4,), (5,))


def test_a_terminal_has_no_room_for_another_seed(sweep: Sweep) -> None:
    [comparison] = compare(sweep(ACCURACIES))
    assert "another seed" in groups_table(comparison).columns
    narrow = groups_table(comparison, is_narrow=True)
    assert "another seed" not in narrow.columns
    assert all(len(row) == len(narrow.columns) for row in narrow.rows)


def test_a_group_that_is_not_compared_is_marked(sweep: Sweep, network: Network) -> None:
    [comparison] = compare([*sweep(ACCURACIES), network(0.99, drop_rate=0.7, seed=9)])
    names = [row[0] for row in groups_table(comparison).rows]
    assert names == ["0", "0.2 (chosen)", "0.5", "0.7 (not compared)"]


def test_training_costs_have_no_interval(sweep: Sweep) -> None:
    """Networks of one stack share its time, which three seeds have not measured three times."""
    [row, *_] = csv.DictReader(io.StringIO(groups_csv(compare(sweep(ACCURACIES)))))
    assert row["speed/epoch_seconds_mean"] == "2.0"
    assert "speed/epoch_seconds_low" not in row
