"""The last lines of a step that has compared networks: how to open the UI, and where."""

from collections.abc import Iterable, Sequence

from pipeline.console import Console
from pipeline.records.result import Result
from pipeline.runs.saved_views import DROP_RATES, saved_views
from pipeline.tracking import Tracker, any_of


def print_links(
    results: Sequence[Result],
    tracker: Tracker,
    console: Console,
    *,
    report: str,
    explorers: Iterable[str] = (),
) -> None:
    """Save the views of these networks, and show the addresses.

    Args:
        results: the networks.
        tracker: of the experiment that they are in.
        console: where the addresses are shown.
        report: the id of the run that holds the report.
        explorers: links to the pages in which networks run.
    """
    if not tracker.is_settled():
        print_pages(tracker, console, report=report)
        console.line("views:        not saved, as MLflow's server is away")
        return
    search = any_of([tracker.known(result.run_id) for result in results])
    views = saved_views(
        [result.recipe for result in results],
        search=search,
        devices=list(dict.fromkeys(result.device_name for result in results)),
        stacks=[tracker.known(run_id) for run_id in _one_per_stack(results)],
    )
    pages = tracker.save_views(views)
    # If MLflow refuses our views, it shows its own charts.
    page = pages.get(DROP_RATES) or tracker.comparison_page(search, order_by="drop_rate")
    print_pages(tracker, console, report=report, comparison=page, explorers=explorers)


def print_pages(
    tracker: Tracker,
    console: Console,
    *,
    report: str,
    comparison: str | None = None,
    explorers: Iterable[str] = (),
) -> None:
    """Show in which experiment the runs are, how to open the UI, and the addresses in it.

    Args:
        tracker: of the experiment.
        console: where they are shown.
        report: the id of the run that holds the report.
        comparison: the address of the charts that compare the networks.
        explorers: as in `print_links`.
    """
    is_there = tracker.is_settled()
    console.line(f"experiment:   {tracker.experiment_name(tracker.experiment_id)}")
    if not is_there:
        console.line("report:       in MLflow, once its server has what was logged")
        return
    if tracker.ui_command:
        console.line(f"open the UI:  why-zero open   (or {tracker.ui_command}, and follow a link)")
    console.link("report:", tracker.run_page(report))
    for explorer in explorers:
        console.link("explorer:", tracker.address(explorer))
    if comparison:
        console.link("compare:", comparison)


def _one_per_stack(results: Sequence[Result]) -> list[str]:
    """The run of the first network of each stack: those trained together share its time equally."""
    stacks: dict[tuple[float | str | None, ...], str] = {}
    for result in results:
        seconds = [record.epoch_seconds for record in result.history]
        stacks.setdefault((result.device_name, *seconds), result.run_id)
    return list(stacks.values())
