"""The comparison as one HTML page that works alone, from disk or in any frame.

It must not compute: numbers and sentences come from its neighbours, figures from `plots`.
"""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from itertools import count as counter

from pipeline import plots
from pipeline.comparison import text
from pipeline.comparison.devices import device_pairs
from pipeline.comparison.figures import (
    MOST_COMBINATIONS,
    MOST_ROWS,
    Panels,
    accuracy_panels,
    by_layer,
    difference_panel,
    state_panels,
    zero_panels,
)
from pipeline.comparison.standings import Pair, Standings
from pipeline.comparison.tables import (
    Table,
    causes_table,
    cost_table,
    dead_table,
    devices_table,
    groups_table,
    networks_table,
    pairs_table,
    states_table,
    zeros_table,
)
from pipeline.comparison.verdict import test_of_the_chosen, verdict
from pipeline.comparison.words import count
from pipeline.records import Cause

# A longer table is folded up.
_LONG = 12
_EXPECTED = "<span class='swatch line'></span>expected: s + p - s p"
_MEASURED = "<span class='swatch dot'></span>all zeros, as measured"


def page(every: Sequence[Standings], failures: Mapping[str, str]) -> str:
    """One self-contained HTML file: verdict, figures, tables, and how they were computed.

    Args:
        every: the standings of each contest.
        failures: networks that failed, by name, and why.
    """
    writer = _Writer()
    body = [writer.contest(one, is_one_of_several=len(every) > 1) for one in every]
    if failures:
        body.append(_failures(failures))
    title = text.heading(every[0].contest, is_one_of_several=False)
    if len(every) > 1:
        title = f"{count(len(every), 'comparison').capitalize()}: data or held-out images differ"
    summaries = "<br>".join(escape(text.summary(one.contest)) for one in every)
    whole = (files("pipeline.comparison") / "page.html").read_text(encoding="utf-8")
    for mark, part in (
        ("/* style */", (files("pipeline.comparison") / "style.css").read_text(encoding="utf-8")),
        ("<!-- title -->", escape(title)),
        ("<!-- summary -->", summaries),
        # The last, so that nothing that a run says is taken for a mark.
        ("<!-- body -->", "\n".join(body)),
    ):
        whole = whole.replace(mark, part)
    return whole


class _Writer:
    """Writes contests; its figures have ids that no other figure of the page has."""

    def __init__(self) -> None:
        self._numbers = counter(1)

    def contest(self, standings: Standings, *, is_one_of_several: bool) -> str:
        contest = standings.contest
        title = text.heading(contest, is_one_of_several=True) if is_one_of_several else ""
        parts = [
            f"<h2 class='contest'>{escape(title)}</h2>" if title else "",
            self._verdict(standings),
            self._accuracies(standings),
            self._differences(standings),
            self._zeros(standings),
            self._states(standings),
            _section("What did it cost?", _table(cost_table(contest)), _prose(text.COST)),
            _devices(standings),
            _section("All networks", _folded("Show the networks", networks_table(contest))),
        ]
        return "\n".join(part for part in parts if part)

    def _verdict(self, standings: Standings) -> str:
        sentences = [f"<p>{escape(sentence)}</p>" for sentence in verdict(standings)]
        tested = f"<p class='test'>{escape(test_of_the_chosen(standings))}</p>"
        return f"<section class='verdict'>{''.join(sentences)}{tested}</section>"

    def _accuracies(self, standings: Standings) -> str:
        contest = standings.contest
        panels = accuracy_panels(contest)
        notes = [f"{text.METHOD}.", f"Alike in all: {text.common(contest)}."]
        combined, most = len(contest.combinations), len(plots.CURVES)
        if contest.has_rates and combined > most:
            notes.append(f"The figures show the {most} most accurate of {combined} lines.")
        elif not contest.has_rates and len(contest.groups) > MOST_ROWS:
            notes.append(f"The figure shows the {MOST_ROWS} most accurate groups.")
        notes += text.left_out(contest)
        judges = contest.validated_on
        return _section(
            f"How accurate are they, on the {judges}?",
            self._figures(panels),
            _prose("Dots: means with their intervals; rings: single networks. " + " ".join(notes)),
            _table(groups_table(standings)),
            _prose(text.SEEDS),
        )

    def _differences(self, standings: Standings) -> str:
        if not standings.against:
            return ""
        reference = standings.against[0].one
        name = "the chosen group" if standings.chosen else "the first group"
        parts = [
            self._pairs(f"{reference.label}, {name}, against …", standings.against, is_common=True)
        ]
        if standings.neighbours and len(standings.contest.groups) > 2:
            title = "Each drop rate against the next smaller one"
            parts.append(self._pairs(title, standings.neighbours, is_common=False))
        notes = [text.PAIRS, text.corrected(standings)]
        return _section("Which differences are more than chance?", *parts, _prose(" ".join(notes)))

    def _pairs(self, title: str, pairs: Sequence[Pair], *, is_common: bool) -> str:
        panel = difference_panel(pairs, is_common=is_common)
        drawn = self._figures([panel]) if panel else _prose("No two groups share a seed.")
        many = f"The figure shows the {MOST_ROWS} smallest differences of {len(pairs)}."
        note = _prose(many) if len(pairs) > MOST_ROWS else ""
        return f"<h3>{escape(title)}</h3>{drawn}{note}{_table(pairs_table(pairs))}"

    def _zeros(self, standings: Standings) -> str:
        contest = standings.contest
        parts = []
        for label, groups in by_layer(contest).items():
            panels = zero_panels(contest, groups)
            if panels:
                parts += [f"<h3>{escape(label)}</h3>" if label else "", self._figures(panels)]
        if not parts:
            return _section("Why are zeros zero?", _prose(text.identity(contest)))
        return _section(
            "Why are zeros zero?",
            _key([_swatch(cause) for cause in plots.CAUSES] + [_EXPECTED, _MEASURED]),
            *parts,
            _combinations(standings),
            _prose(f"{text.identity(contest)} {text.ZEROS}"),
            _table(zeros_table(contest)),
            _folded("Show every cause, layer by layer", causes_table(contest)),
        )

    def _states(self, standings: Standings) -> str:
        contest = standings.contest
        parts = []
        for label, groups in by_layer(contest).items():
            panels = state_panels(contest, groups)
            if panels:
                parts += [f"<h3>{escape(label)}</h3>" if label else "", self._figures(panels)]
        if not parts:
            return _section(
                "Which units are dead?", _prose("No layer has a ReLU, so no unit can die.")
            )
        return _section(
            "Which units are dead?",
            _key([_line(name) for name in plots.STATES]),
            *parts,
            _combinations(standings),
            _prose(f"{text.STATES} Intervals end at 0 % in the figures."),
            _table(dead_table(contest)),
            _folded("Show dead, dormant and born dead units by layer", states_table(contest)),
        )

    def _figures(self, panels: Panels) -> str:
        drawn = [
            f"<figure role='img' aria-label='{escape(name, quote=True)}'>"
            f"{plots.to_svg(figure, f'f{next(self._numbers)}')}</figure>"
            for name, figure in panels
        ]
        size = "narrow" if len(drawn) > 2 else "wide"
        return f"<div class='figures {size}'>{''.join(drawn)}</div>"


def _devices(standings: Standings) -> str:
    parts = [
        f"<p>{escape(text.device_sentence(pair))}</p>{_table(devices_table(pair))}"
        for pair in device_pairs(standings.contest)
    ]
    return _section("Device against device", *parts, _prose(text.DEVICES)) if parts else ""


def _failures(failures: Mapping[str, str]) -> str:
    items = [f"<li><b>{escape(name)}</b>: {escape(why)}</li>" for name, why in failures.items()]
    title = f"{count(len(failures), 'network').capitalize()} failed"
    return _section(title, f"<ul>{''.join(items)}</ul>")


def _combinations(standings: Standings) -> str:
    contest = standings.contest
    shown, there = len(by_layer(contest)), len(contest.combinations)
    if contest.has_rates and there > shown:
        return _prose(f"Drawn for the {MOST_COMBINATIONS} most accurate of {there} combinations.")
    if not contest.has_rates and len(contest.groups) > len(by_layer(contest)[""]):
        return _prose("Drawn for the most accurate groups.")
    return ""


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def _prose(words: str) -> str:
    return f"<p class='note'>{escape(words)}</p>"


def _table(table: Table) -> str:
    if len(table.rows) <= _LONG:
        return _grid(table)
    return _folded(f"Show the {len(table.rows)} rows", table)


def _folded(title: str, table: Table) -> str:
    return f"<details><summary>{escape(title)}</summary>{_grid(table)}</details>"


def _grid(table: Table) -> str:
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in table.columns)
    rows = "".join(
        f"<tr><th scope='row'>{escape(first)}</th>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in others)
        + "</tr>"
        for first, *others in table.rows
    )
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<div class='scroll' tabindex='0'>{body}</div>"


def _key(entries: Sequence[str]) -> str:
    return f"<ul class='key'>{''.join(f'<li>{entry}</li>' for entry in entries)}</ul>"


def _swatch(cause: Cause) -> str:
    return f"<span class='swatch {cause}'></span>{escape(plots.CAUSES[cause].label)}"


def _line(name: str) -> str:
    look = plots.STATES[name]
    dashes = {"-": "none", "--": "6 3", "-.": "6 3 2 3"}[look.dashes]
    shape = {
        "o": "<circle cx='17' cy='6' r='4'/>",
        "s": "<rect x='13.5' y='2.5' width='7' height='7'/>",
        "^": "<path d='M17 1.5 21.5 10h-9z'/>",
    }[look.marker]
    line = (
        f"<path d='M0 6h34' stroke='{look.colour}' stroke-width='2' stroke-dasharray='{dashes}'/>"
    )
    sample = f"<svg viewBox='0 0 34 12' fill='{look.colour}' aria-hidden='true'>{line}{shape}</svg>"
    return f"{sample}{escape(name)}"
