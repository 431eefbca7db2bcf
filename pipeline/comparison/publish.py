"""A comparison's way into the terminal and into the run of the step that makes it."""

from collections.abc import Mapping, Sequence

from rich.markup import escape

from pipeline.comparison.files import groups_csv, networks_csv
from pipeline.comparison.groups import contests
from pipeline.comparison.markdown import markdown
from pipeline.comparison.page import page
from pipeline.comparison.standings import standings
from pipeline.comparison.tables import groups_table
from pipeline.comparison.text import heading
from pipeline.comparison.verdict import chosen_on_the_test_set, verdict
from pipeline.console import Console
from pipeline.records.result import Result
from pipeline.tracking import Run

NETWORKS = "networks.csv"
GROUPS = "comparison.csv"
PAGE = "report/comparison.html"


def publish(
    step: Run,
    results: Sequence[Result],
    console: Console,
    *,
    origin: str,
    caution: str = "",
    failures: Mapping[str, str] | None = None,
) -> None:
    """Show table and verdict, describe the run, and log page and CSV files to it.

    Args:
        step: the open run of the step that compares.
        results: the networks, at least one; of equal recipe, data and device the first counts,
            so the newest comes first.
        console: where the table and the verdict are shown.
        origin: where the networks come from, in words.
        caution: what is to be known before a verdict is believed.
        failures: networks that are not among the results, by name, and why.
    """
    failures = failures or {}
    every = [standings(contest) for contest in contests(results)]
    for one in every:
        table = groups_table(one)
        title = heading(one.contest, is_one_of_several=len(every) > 1)
        console.table(title, table.columns, [[escape(cell) for cell in row] for row in table.rows])
        for sentence in [*verdict(one), chosen_on_the_test_set(one)]:
            console.line(sentence)
    step.text(networks_csv(results), NETWORKS)
    step.text(groups_csv(every), GROUPS)
    step.text(page(every, failures, origin=origin, caution=caution), PAGE)
    address, _, query = step.page.partition("?")
    link = f"{address}/artifacts/{PAGE}?{query}"
    step.describe(markdown(every, failures, page=link, origin=origin, caution=caution))
