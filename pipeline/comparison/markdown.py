"""The comparison as Markdown, for the description of a run in MLflow."""

from collections.abc import Mapping, Sequence

from pipeline.comparison.devices import device_pairs
from pipeline.comparison.standings import Standings
from pipeline.comparison.tables import (
    Table,
    cost_table,
    dead_table,
    devices_table,
    groups_table,
    pairs_table,
    zeros_table,
)
from pipeline.comparison.text import METHOD, common, device_sentence, heading, left_out
from pipeline.comparison.verdict import chosen_on_the_test_set, verdict
from pipeline.comparison.words import count
from pipeline.markdown import table as markdown_table

# MLflow cuts a tag, which a description is, at 8,000 characters.
ROOM = 7_900


def markdown(
    every: Sequence[Standings],
    failures: Mapping[str, str],
    *,
    page: str,
    origin: str,
    caution: str = "",
) -> str:
    """The whole comparison, with as many rows a table as a description has room for.

    Args:
        every: the standings of each contest.
        failures: networks that failed, by name, and why.
        page: a link to the page with figures.
        origin: where the networks come from, in words.
        caution: what is to be known before a verdict is believed.
    """
    parts = _parts(every, failures, page=page)
    # Behind the first heading.
    parts[1:1] = [f"⚠ {caution}"] if caution else []
    parts += [f"Networks of {origin}."]
    text = ""
    for most in (60, 40, 25, 15, 10, 6, 3, 1):
        text = "\n\n".join(part if isinstance(part, str) else _cut(part, most) for part in parts)
        if len(text) <= ROOM:
            return f"{text}\n\n{_links(every, ROOM - len(text))}".rstrip()
    return text[: text.rindex("\n", 0, ROOM)]


def _parts(
    every: Sequence[Standings], failures: Mapping[str, str], *, page: str
) -> list[str | Table]:
    parts: list[str | Table] = []
    for standings in every:
        contest = standings.contest
        parts += [f"## {heading(contest, is_one_of_several=len(every) > 1)}"]
        lead, *others = verdict(standings)
        parts += [f"**{lead}**", *others]
        parts += [f"{chosen_on_the_test_set(standings)} [The page with figures]({page})."]
        parts += [groups_table(standings)]
        parts += [f"{METHOD}. Alike in all: {common(contest)}.", *left_out(contest)]
        if standings.against:
            reference = standings.against[0].one.label
            title = f"### {reference} against each other group, by seed"
            parts += [title, pairs_table(standings.against, is_common=True)]
        if standings.neighbours and len(contest.groups) > 2:
            parts += ["### Each drop rate against the next smaller one"]
            parts += [pairs_table(standings.neighbours, is_common=False)]
        for title, table in (
            ("Zeros by layer", zeros_table(contest)),
            ("Dead units by layer", dead_table(contest)),
            ("Cost", cost_table(contest)),
        ):
            if len(table.columns) > 1:
                parts += [f"### {title}", table]
        for pair in device_pairs(contest):
            parts += ["### Device against device", device_sentence(pair), devices_table(pair)]
    if failures:
        rows = tuple((name, " ".join(why.split())) for name, why in failures.items())
        parts += [f"### {count(len(failures), 'network').capitalize()} failed"]
        parts += [Table(("network", "why"), rows)]
    return parts


def _links(every: Sequence[Standings], room: int) -> str:
    """The networks' runs, a line a group, as many as there is room for."""
    text, more = "### Networks\n", "\n\n… and more in networks.csv."
    for standings in every:
        for group in standings.contest.groups:
            links = [f"[seed {result.recipe.seed}]({result.page})" for result in group.results]
            line = f"\n- {group.label}: {', '.join(links)}"
            if len(text) + len(line) + len(more) > room - 2:
                return text + more if "- " in text else ""
            text += line
    return text


def _cut(table: Table, most: int) -> str:
    rows = [[cell.replace("|", "\\|") for cell in row] for row in table.rows[:most]]
    text = markdown_table(table.columns, rows)
    more = len(table.rows) - len(rows)
    return f"{text}\n\n… and {count(more, 'more row')} in the page." if more else text
