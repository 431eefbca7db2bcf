"""Makes the page of networks from their runs, and logs it to a run."""

from collections.abc import Callable, Sequence

from pipeline.comparison.compare import Comparison
from pipeline.console import Console
from pipeline.data import ImageData
from pipeline.errors import PipelineError
from pipeline.explorer.explored import MOST_PARAMETERS, Explored, explored
from pipeline.explorer.page import render_page
from pipeline.records.result import Result
from pipeline.runs.load import load_weights
from pipeline.tracking import Run, Tracker

EXPLORER = "explorer.html"


def explorer_of(results: Sequence[Result], data: ImageData, tracker: Tracker) -> str:
    """The page in which these networks run.

    Args:
        results: one, or two to be compared side by side.
        data: what they were trained on.
        tracker: of the store that their runs are in.

    Raises:
        PipelineError: they are too large for a page, a run lacks its weights, or a network was
            trained on other data.
    """
    networks: list[Explored] = []
    for result in results:
        if result.dataset_digest != data.digest:
            raise PipelineError(
                f"networks must be explored with the data they were trained on, got {data.name!r} "
                f"for {result.recipe.name!r}, trained on {result.dataset!r} with the digest "
                f"{result.dataset_digest}: give these data, or explore the networks one by one"
            )
        weights = result.chosen.weights or load_weights(tracker.run(result.run_id), tracker)
        parameters = sum(array.size for array in weights.values())
        parameters += sum(network.parameters for network in networks)
        if parameters > MOST_PARAMETERS:
            raise PipelineError(
                f"an explorer must have at most {MOST_PARAMETERS:,} parameters in all its "
                f"networks, got {parameters:,}: explore fewer or smaller networks"
            )
        networks.append(explored(result, weights, data))
    return render_page(networks, data)


def log_explorer(
    run: Run,
    results: Sequence[Result],
    data: ImageData,
    *,
    tracker: Tracker,
    console: Console,
    path: str = EXPLORER,
) -> dict[str, str]:
    """Log the page of these networks to a run, or say why there is none.

    Args:
        run: open.
        results: as in `explorer_of`; of two that are too large together, the first.
        data: likewise.
        tracker: likewise.
        console: told where there is no page.
        path: where, below the run's artifacts.

    Returns:
        A link to the page by its name; nothing where there is none.
    """
    try:
        page = explorer_of(results, data, tracker)
    except PipelineError as problem:
        console.line(f"no {path}: {problem}")
        if len(results) == 1:
            return {}
        alone = results[:1]
        return log_explorer(run, alone, data, tracker=tracker, console=console, path=path)
    run.text(page, path)
    number = path.removeprefix("explorer").removesuffix(".html").replace("_", " ")
    return {f"Explorer{number}: draw, and see why each unit is zero": run.artifact_page(path)}


def log_explorers(
    run: Run,
    comparisons: Sequence[Comparison],
    data_of: Callable[[Result], ImageData],
    *,
    tracker: Tracker,
    console: Console,
) -> dict[str, str]:
    """Log a page of each comparison's chosen network, with another beside it.

    Args:
        run: open.
        comparisons: of one data set each.
        data_of: what a network was trained on, or a `PipelineError` where that is missing.
        tracker: of the store that the networks' runs are in.
        console: told where there is no page.

    Returns:
        Links to the pages, by their names.
    """
    links: dict[str, str] = {}
    for number, comparison in enumerate(comparisons, start=1):
        path = EXPLORER if len(comparisons) == 1 else f"explorer_{number}.html"
        results = pair(comparison)
        try:
            data = data_of(results[0])
        except PipelineError as problem:
            console.line(f"no {path}: {problem}")
        else:
            links |= log_explorer(run, results, data, tracker=tracker, console=console, path=path)
    return links


def pair(comparison: Comparison) -> list[Result]:
    """The network to explore, and one beside it that differs in the drop rate alone, if any does.

    The first is of the chosen group, or of the first group where nothing may choose; beside it
    stands the network of the same seed without dropout; if there is none, or the first is it, the
    one with the most.
    """
    group = comparison.chosen or comparison.groups[0]
    first = group.first
    others = [
        result
        for other in comparison.combinations[group.combination]
        for result in other.results
        if other is not group and result.recipe.seed == first.recipe.seed
    ]
    without = [result for result in others if not result.recipe.has_dropout]
    return [first, *(without or others[-1:])]
