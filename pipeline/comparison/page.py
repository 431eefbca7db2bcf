"""The comparison as one self-contained HTML page, for use from disk or in any frame."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files
from itertools import count as counter

from pipeline import plots
from pipeline.comparison import figures, html, tables, text
from pipeline.comparison.compare import Comparison, Pair
from pipeline.comparison.devices import device_pairs
from pipeline.comparison.groups import Group
from pipeline.comparison.verdict import chosen_on_the_test_set, verdict
from pipeline.comparison.words import count


def page(
    comparisons: Sequence[Comparison],
    failures: Mapping[str, str],
    *,
    origin: str,
    caution: str = "",
) -> str:
    """One self-contained HTML file: verdict, figures, tables, and how they were computed.

    Args:
        comparisons: at least one.
        failures: networks that failed, by name, and why.
        origin: where the networks come from, in words.
        caution: a warning to read before the verdict.
    """
    writer = _Writer()
    is_one_of_several = len(comparisons) > 1
    body = [f"<p class='caution'>{escape(caution)}</p>"] if caution else []
    for comparison in comparisons:
        if is_one_of_several:
            title = text.question(comparison, is_one_of_several=True)
            body.append(f"<h2 class='comparison'>{escape(title)}</h2>")
        body += writer.sections(comparison)
    if failures:
        items = [f"<li><b>{escape(name)}</b>: {escape(why)}</li>" for name, why in failures.items()]
        title = f"{count(len(failures), 'network').capitalize()} failed"
        body.append(html.section(title, f"<ul>{''.join(items)}</ul>"))
    title = text.question(comparisons[0], is_one_of_several=False)
    if is_one_of_several:
        title = (
            f"{count(len(comparisons), 'comparison').capitalize()}: data or held-out images differ"
        )
    lines = [*map(text.summary, comparisons), f"Networks from {origin}"]
    whole = (files("pipeline.comparison") / "page.html").read_text(encoding="utf-8")
    for mark, part in (
        ("/* style */", (files("pipeline.comparison") / "style.css").read_text(encoding="utf-8")),
        ("<!-- title -->", escape(title)),
        ("<!-- summary -->", "<br>".join(escape(line) for line in lines)),
        # Last, so that no text of a run is taken for a mark.
        ("<!-- body -->", "\n".join(body)),
    ):
        whole = whole.replace(mark, part)
    return whole


class _Writer:
    """Writes comparisons; gives every figure of the page a unique id."""

    def __init__(self) -> None:
        self._numbers = counter(1)

    def sections(self, comparison: Comparison) -> list[str]:
        parts = [
            _verdict(comparison),
            self._accuracies(comparison),
            self._differences(comparison),
            self._zeros(comparison),
            self._states(comparison),
            html.section(
                "What did it cost?",
                html.table(tables.cost_table(comparison)),
                html.prose(text.COST),
            ),
            _devices(comparison),
            html.section(
                "All networks",
                html.folded("Show the networks", tables.networks_table(comparison)),
            ),
        ]
        return [part for part in parts if part]

    def _accuracies(self, comparison: Comparison) -> str:
        notes = [
            text.marks(comparison),
            text.method(comparison),
            f"Common to all: {text.common(comparison)}.",
        ]
        combined, most = len(comparison.combinations), len(plots.CURVES)
        if comparison.has_rates and combined > most:
            notes.append(f"The figures show the {most} most accurate of {combined} lines.")
        elif not comparison.has_rates and len(comparison.groups) > figures.MOST_ROWS:
            notes.append(f"The figure shows the {figures.MOST_ROWS} most accurate groups.")
        notes += text.left_out(comparison)
        return html.section(
            f"How accurate are they on the {comparison.validated_on}?",
            self._figures([figures.accuracy_panel(comparison)]),
            html.prose(" ".join(notes)),
            html.table(tables.groups_table(comparison)),
            html.prose(text.seeds(comparison)) if text.has_seeds(comparison) else "",
        )

    def _differences(self, comparison: Comparison) -> str:
        if not comparison.against:
            return ""
        name = "the chosen group" if comparison.chosen else "the first group"
        title = f"{comparison.against[0].first.label}, {name}, compared with …"
        parts = [self._pairs(title, comparison.against, is_common=True)]
        if comparison.neighbours and len(comparison.groups) > 2:
            title = "Each drop rate compared with the next smaller one"
            parts.append(self._pairs(title, comparison.neighbours, is_common=False))
        return html.section(
            "Which differences are more than chance?", *parts, html.prose(text.tests(comparison))
        )

    def _pairs(self, title: str, pairs: Sequence[Pair], *, is_common: bool) -> str:
        drawn = self._figures([figures.difference_panel(pairs, is_common=is_common)])
        most = figures.MOST_ROWS
        many = f"The figure shows the {most} smallest differences of {len(pairs)}."
        note = html.prose(many) if len(pairs) > most else ""
        table = tables.pairs_table(pairs, is_common=is_common)
        return f"<h3>{escape(title)}</h3>{drawn}{note}{html.table(table)}"

    def _zeros(self, comparison: Comparison) -> str:
        title = "What causes the zeros?"
        parts = self._by_layer(comparison, figures.zero_panels)
        if not parts:
            return html.section(title, html.prose(text.no_zeros(comparison)))
        causes = [
            cause
            for cause in plots.CAUSE_LOOKS
            if cause == "active" or figures.has_cause(comparison, cause)
        ]
        return html.section(
            title,
            html.key([*map(html.swatch, causes), html.EXPECTED, html.MEASURED]),
            *parts,
            html.prose(f"{text.identity(comparison)} {text.ZEROS}"),
            html.table(tables.zeros_table(comparison)),
            html.folded("Show every cause, layer by layer", tables.causes_table(comparison)),
        )

    def _states(self, comparison: Comparison) -> str:
        title = "Which units are dead?"
        parts = self._by_layer(comparison, figures.state_panels)
        if not parts:
            return html.section(title, html.prose("No layer has a ReLU, so no unit can die."))
        return html.section(
            title,
            html.key([html.line(name) for name in plots.STATES]),
            *parts,
            html.prose(f"{text.STATES} In the figures, intervals are cut off at 0 %."),
            html.table(tables.dead_table(comparison)),
            html.folded(
                "Show dead, dormant but alive, and born dead units by layer",
                tables.states_table(comparison),
            ),
        )

    def _by_layer(
        self,
        comparison: Comparison,
        draw: Callable[[Comparison, Sequence[Group]], figures.Panels],
    ) -> list[str]:
        """Panels by layer for each combination, with a note on those left out; may be empty."""
        parts = []
        combinations = figures.by_layer(comparison)
        for label, groups in combinations.items():
            if panels := draw(comparison, groups):
                parts += [f"<h3>{escape(label)}</h3>" if label else "", self._figures(panels)]
        shown, there = len(combinations), len(comparison.combinations)
        if parts and comparison.has_rates and there > shown:
            parts.append(
                html.prose(f"Drawn for the {shown} most accurate of {there} combinations.")
            )
        if parts and not comparison.has_rates and len(comparison.groups) > len(combinations[""]):
            parts.append(html.prose("Drawn for the most accurate groups."))
        return parts

    def _figures(self, panels: figures.Panels) -> str:
        drawn = [
            f"<figure role='img' aria-label='{escape(name, quote=True)}'>"
            f"{plots.to_svg(figure, f'f{next(self._numbers)}')}</figure>"
            for name, figure in panels
        ]
        size = "narrow" if len(drawn) > 2 else "wide"
        return f"<div class='figures {size}'>{''.join(drawn)}</div>"


def _verdict(comparison: Comparison) -> str:
    sentences = [f"<p>{escape(sentence)}</p>" for sentence in verdict(comparison)]
    tested = f"<p class='test'>{escape(chosen_on_the_test_set(comparison))}</p>"
    return f"<section class='verdict'>{''.join(sentences)}{tested}</section>"


def _devices(comparison: Comparison) -> str:
    parts = [
        f"<p>{escape(text.device_sentence(pair))}</p>{html.table(tables.devices_table(pair))}"
        for pair in device_pairs(comparison)
    ]
    if not parts:
        return ""
    return html.section("Devices compared", *parts, html.prose(text.DEVICES))
