"""Shows a comparison in the terminal and logs it to the run of the step that makes it."""

from collections.abc import Mapping, Sequence

from pipeline.comparison.compare import Comparison
from pipeline.comparison.figures import sweep_figure
from pipeline.comparison.files import groups_csv, networks_csv
from pipeline.comparison.markdown import markdown
from pipeline.comparison.outcome import outcome_metrics
from pipeline.comparison.page import page
from pipeline.comparison.tables import groups_table
from pipeline.comparison.terminal import colored
from pipeline.comparison.text import question, summary
from pipeline.comparison.verdict import chosen_on_the_test_set, verdict
from pipeline.console import Console
from pipeline.plots import to_png
from pipeline.records.networks_file import NETWORKS
from pipeline.records.result import Result
from pipeline.tracking import Run

GROUPS = "comparison.csv"
PAGE = "report/comparison.html"
PICTURE = "plots/drop_rates{}.png"


def publish(
    step: Run,
    results: Sequence[Result],
    comparisons: Sequence[Comparison],
    *,
    console: Console,
    origin: str,
    caution: str = "",
    failures: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
) -> None:
    """Show table and verdict, describe the run, and log page, picture, CSV files and metrics.

    Args:
        step: the open run of the step that compares.
        results: the networks, at least one.
        comparisons: what `compare` makes of them.
        console: where the table and the verdict are shown.
        origin: where the networks come from, in words.
        caution: a warning to read before the verdict.
        failures: why the networks that are not among the results failed, by name.
        links: other pages of the run, by their names.
    """
    failures = failures or {}
    for comparison in comparisons:
        table = groups_table(comparison, is_narrow=True)
        title = question(comparison, is_one_of_several=len(comparisons) > 1)
        console.table(title, table.columns, colored(table))
        for sentence in [*verdict(comparison), chosen_on_the_test_set(comparison)]:
            console.line(sentence)
    step.text(networks_csv(results), NETWORKS)
    step.text(groups_csv(comparisons), GROUPS)
    step.text(page(comparisons, failures, origin=origin, caution=caution), PAGE)
    by_rates = [comparison for comparison in comparisons if comparison.has_rates]
    for index, comparison in enumerate(by_rates, start=1):
        picture = to_png(sweep_figure(comparison, title=summary(comparison)))
        step.data(picture, PICTURE.format("" if len(by_rates) == 1 else f"_{index}"))
    step.metrics(outcome_metrics(comparisons), step=0)
    pages = {"Page with figures": step.artifact_page(PAGE), **(links or {})}
    step.describe(markdown(comparisons, failures, pages=pages, origin=origin, caution=caution))
