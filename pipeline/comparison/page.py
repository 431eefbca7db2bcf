"""The comparison as one HTML page that works alone, from disk or in any frame."""

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
from pipeline.comparison.html import (
    EXPECTED,
    MEASURED,
    folded,
    key,
    line,
    prose,
    section,
    shown,
    swatch,
)
from pipeline.comparison.standings import Pair, Standings
from pipeline.comparison.tables import (
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
from pipeline.comparison.verdict import chosen_on_the_test_set, verdict
from pipeline.comparison.words import count


def page(
    every: Sequence[Standings], failures: Mapping[str, str], *, origin: str, caution: str = ""
) -> str:
    """One self-contained HTML file: verdict, figures, tables, and how they were computed.

    Args:
        every: the standings of each contest.
        failures: networks that failed, by name, and why.
        origin: where the networks come from, in words.
        caution: what is to be known before a verdict is believed.
    """
    writer = _Writer()
    body = [f"<p class='caution'>{escape(caution)}</p>"] if caution else []
    body += [writer.contest(one, is_one_of_several=len(every) > 1) for one in every]
    if failures:
        body.append(_failures(failures))
    title = text.heading(every[0].contest, is_one_of_several=False)
    if len(every) > 1:
        title = f"{count(len(every), 'comparison').capitalize()}: data or held-out images differ"
    lines = [*(text.summary(one.contest) for one in every), f"Networks of {origin}"]
    summaries = "<br>".join(escape(line) for line in lines)
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
            section("What did it cost?", shown(cost_table(contest)), prose(text.COST)),
            _devices(standings),
            section("All networks", folded("Show the networks", networks_table(contest))),
        ]
        return "\n".join(part for part in parts if part)

    def _verdict(self, standings: Standings) -> str:
        sentences = [f"<p>{escape(sentence)}</p>" for sentence in verdict(standings)]
        tested = f"<p class='test'>{escape(chosen_on_the_test_set(standings))}</p>"
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
        return section(
            f"How accurate are they, on the {judges}?",
            self._figures(panels),
            prose(" ".join([text.marks(contest), *notes])),
            shown(groups_table(standings)),
            prose(text.SEEDS),
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
        notes = [text.pairs(standings.contest), text.corrected(standings)]
        return section("Which differences are more than chance?", *parts, prose(" ".join(notes)))

    def _pairs(self, title: str, pairs: Sequence[Pair], *, is_common: bool) -> str:
        panel = difference_panel(pairs, is_common=is_common)
        drawn = self._figures([panel]) if panel else prose("No two groups share a seed.")
        many = f"The figure shows the {MOST_ROWS} smallest differences of {len(pairs)}."
        note = prose(many) if len(pairs) > MOST_ROWS else ""
        table = pairs_table(pairs, is_common=is_common)
        return f"<h3>{escape(title)}</h3>{drawn}{note}{shown(table)}"

    def _zeros(self, standings: Standings) -> str:
        contest = standings.contest
        parts = []
        for label, groups in by_layer(contest).items():
            panels = zero_panels(contest, groups)
            if panels:
                parts += [f"<h3>{escape(label)}</h3>" if label else "", self._figures(panels)]
        if not parts:
            return section("Why are zeros zero?", prose(text.identity(contest)))
        return section(
            "Why are zeros zero?",
            key([swatch(cause) for cause in plots.CAUSES] + [EXPECTED, MEASURED]),
            *parts,
            _combinations(standings),
            prose(f"{text.identity(contest)} {text.ZEROS}"),
            shown(zeros_table(contest)),
            folded("Show every cause, layer by layer", causes_table(contest)),
        )

    def _states(self, standings: Standings) -> str:
        contest = standings.contest
        parts = []
        for label, groups in by_layer(contest).items():
            panels = state_panels(contest, groups)
            if panels:
                parts += [f"<h3>{escape(label)}</h3>" if label else "", self._figures(panels)]
        if not parts:
            return section(
                "Which units are dead?", prose("No layer has a ReLU, so no unit can die.")
            )
        return section(
            "Which units are dead?",
            key([line(name) for name in plots.STATES]),
            *parts,
            _combinations(standings),
            prose(f"{text.STATES} Intervals end at 0 % in the figures."),
            shown(dead_table(contest)),
            folded("Show dead, dormant and born dead units by layer", states_table(contest)),
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
        f"<p>{escape(text.device_sentence(pair))}</p>{shown(devices_table(pair))}"
        for pair in device_pairs(standings.contest)
    ]
    return section("Device against device", *parts, prose(text.DEVICES)) if parts else ""


def _failures(failures: Mapping[str, str]) -> str:
    items = [f"<li><b>{escape(name)}</b>: {escape(why)}</li>" for name, why in failures.items()]
    title = f"{count(len(failures), 'network').capitalize()} failed"
    return section(title, f"<ul>{''.join(items)}</ul>")


def _combinations(standings: Standings) -> str:
    contest = standings.contest
    shown, there = len(by_layer(contest)), len(contest.combinations)
    if contest.has_rates and there > shown:
        return prose(f"Drawn for the {MOST_COMBINATIONS} most accurate of {there} combinations.")
    if not contest.has_rates and len(contest.groups) > len(by_layer(contest)[""]):
        return prose("Drawn for the most accurate groups.")
    return ""
