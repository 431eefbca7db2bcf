"""The last lines of a step that has compared networks: how to open the UI, and where."""

from collections.abc import Sequence

from pipeline.console import Console
from pipeline.records.result import Result
from pipeline.runs.saved_views import DROP_RATES, saved_views
from pipeline.tracking import Tracker, any_of


def print_links(
    results: Sequence[Result], tracker: Tracker, console: Console, *, report: str
) -> None:
    """Save the views of these networks, and show the addresses.

    Args:
        results: the networks.
        tracker: of the experiment that they are in.
        console: where the addresses are shown.
        report: the id of the run that holds the report.
    """
    search = any_of([result.run_id for result in results])
    pages = tracker.save_views(saved_views([result.recipe for result in results], search=search))
    if tracker.ui_command:
        console.line(f"open the UI:  {tracker.ui_command}")
    console.line(f"report:       {tracker.run_page(report)}")
    # If MLflow refuses our views, it shows its own charts.
    page = pages.get(DROP_RATES) or tracker.comparison_page(search, order_by="drop_rate")
    console.line(f"compare:      {page}")
