"""Shows a comparison in the terminal and logs it to the run of the step that makes it."""

from collections.abc import Mapping, Sequence

from pipeline.comparison.compare import compare
from pipeline.comparison.files import groups_csv, networks_csv
from pipeline.comparison.markdown import markdown
from pipeline.comparison.page import page
from pipeline.comparison.tables import groups_table
from pipeline.comparison.terminal import colored
from pipeline.comparison.text import question
from pipeline.comparison.verdict import chosen_on_the_test_set, verdict
from pipeline.console import Console
from pipeline.records.networks_file import NETWORKS
from pipeline.records.result import Result
from pipeline.tracking import Run

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
        results: the networks, at least one, newest first: of several with the same recipe, data
            and device the first counts.
        console: where the table and the verdict are shown.
        origin: where the networks come from, in words.
        caution: a warning to read before the verdict.
        failures: why the networks that are not among the results failed, by name.
    """
    failures = failures or {}
    comparisons = compare(results)
    for comparison in comparisons:
        table = groups_table(comparison)
        title = question(comparison, is_one_of_several=len(comparisons) > 1)
        console.table(title, table.columns, colored(table))
        for sentence in [*verdict(comparison), chosen_on_the_test_set(comparison)]:
            console.line(sentence)
    step.text(networks_csv(results), NETWORKS)
    step.text(groups_csv(comparisons), GROUPS)
    step.text(page(comparisons, failures, origin=origin, caution=caution), PAGE)
    address, _, query = step.page.partition("?")
    link = f"{address}/artifacts/{PAGE}?{query}"
    step.describe(markdown(comparisons, failures, page=link, origin=origin, caution=caution))
