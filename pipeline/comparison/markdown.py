"""The comparison as Markdown, for the description of a run in MLflow."""

from collections.abc import Mapping, Sequence

from pipeline.comparison import tables, text
from pipeline.comparison.compare import Comparison
from pipeline.comparison.devices import device_pairs
from pipeline.comparison.tables import Table
from pipeline.comparison.verdict import chosen_on_the_test_set, verdict
from pipeline.comparison.words import count
from pipeline.markdown import table as markdown_table

# A description is a tag, which MLflow cuts at 8,000 characters.
ROOM = 7_900


def markdown(
    comparisons: Sequence[Comparison],
    failures: Mapping[str, str],
    *,
    pages: Mapping[str, str],
    origin: str,
    caution: str = "",
) -> str:
    """The whole comparison, with as many rows per table as fit into a description.

    Args:
        comparisons: at least one.
        failures: networks that failed, by name, and why.
        pages: links to pages that show more, by their names.
        origin: where the networks come from, in words.
        caution: a warning to read before the verdict.
    """
    parts = _parts(comparisons, failures, pages=pages)
    # Behind the first heading.
    parts[1:1] = [f"⚠ {caution}"] if caution else []
    parts += [f"Networks from {origin}."]
    whole = ""
    for most in (60, 40, 25, 15, 10, 6, 3, 1):
        whole = "\n\n".join(part if isinstance(part, str) else _cut(part, most) for part in parts)
        if len(whole) <= ROOM:
            return f"{whole}\n\n{_links(comparisons, ROOM - len(whole))}".rstrip()
    return whole[: whole.rindex("\n", 0, ROOM)]


def _parts(
    comparisons: Sequence[Comparison], failures: Mapping[str, str], *, pages: Mapping[str, str]
) -> list[str | Table]:
    parts: list[str | Table] = []
    links = " · ".join(f"[{name}]({page})" for name, page in pages.items())
    for comparison in comparisons:
        parts += [f"## {text.question(comparison, is_one_of_several=len(comparisons) > 1)}"]
        lead, *others = verdict(comparison)
        parts += [f"**{lead}**", *others]
        parts += [f"{chosen_on_the_test_set(comparison)} {links}."]
        parts += [tables.groups_table(comparison)]
        parts += [
            f"{text.method(comparison)} Common to all: {text.common(comparison)}.",
            *text.left_out(comparison),
        ]
        if comparison.against:
            reference = comparison.against[0].first.label
            title = f"### {reference} compared with every other group"
            parts += [title, tables.pairs_table(comparison.against, is_common=True)]
        if comparison.neighbours and len(comparison.groups) > 2:
            parts += ["### Each drop rate compared with the next smaller one"]
            parts += [tables.pairs_table(comparison.neighbours, is_common=False)]
        for title, table in (
            ("Zeros by layer", tables.zeros_table(comparison)),
            ("Dead units by layer", tables.dead_table(comparison)),
            ("Cost", tables.cost_table(comparison)),
        ):
            if len(table.columns) > 1:
                parts += [f"### {title}", table]
        for pair in device_pairs(comparison):
            parts += [
                "### Devices compared",
                text.device_sentence(pair),
                tables.devices_table(pair),
            ]
    if failures:
        rows = tuple((name, " ".join(why.split())) for name, why in failures.items())
        parts += [f"### {count(len(failures), 'network').capitalize()} failed"]
        parts += [Table(("network", "why"), rows)]
    return parts


def _links(comparisons: Sequence[Comparison], room: int) -> str:
    """Links to the networks' runs, one line per group, as many as fit."""
    links, more = "### Networks\n", "\n\n… and more in networks.csv."
    for comparison in comparisons:
        for group in comparison.groups:
            seeds = [f"[seed {result.recipe.seed}]({result.page})" for result in group.results]
            line = f"\n- {group.label}: {', '.join(seeds)}"
            if len(links) + len(line) + len(more) > room - 2:
                return links + more if "- " in links else ""
            links += line
    return links


def _cut(table: Table, most: int) -> str:
    rows = [[cell.replace("|", "\\|") for cell in row] for row in table.rows[:most]]
    text = markdown_table(table.columns, rows)
    more = len(table.rows) - len(rows)
    return f"{text}\n\n… and {count(more, 'more row')} on the page." if more else text
