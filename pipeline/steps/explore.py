"""The step `explore`: a page in which trained networks run. It logs nothing."""

from pipeline.comparison import compare
from pipeline.config.options import MOST_EXPLORED, ExploreSettings
from pipeline.console import Console
from pipeline.data import prepared
from pipeline.explorer import explorer_of, pair
from pipeline.files import check_folder_of, given_path, write_out
from pipeline.records.result import Result
from pipeline.registry.selection import networks_of
from pipeline.runs.load import load_data, load_result
from pipeline.tracking import Tracker, connect


def run(settings: ExploreSettings, console: Console) -> None:
    """Write the page of one network, or of two side by side.

    Raises:
        PipelineError: a network or its data are not there, the networks are too large for a page,
            or it cannot be written.
    """
    out = given_path(settings.out)
    check_folder_of(out)
    tracker = connect()
    named = [_named(name, tracker) for name in settings.networks]
    results = [result for several in named for result in several]
    if len(results) > MOST_EXPLORED:
        results = [first for first, *_ in named]
    data = load_data(results[0]) if settings.data == "auto" else prepared(settings.data)
    page = explorer_of(results, data, tracker)
    write_out(out, page)
    names = " beside ".join(result.recipe.name for result in results)
    console.elapsed(f"{out} was written, with {names},")


def _named(name: str, tracker: Tracker) -> list[Result]:
    """The network of a run, or what a sweep's own page shows: one that is chosen, one beside it."""
    results = [load_result(run, tracker) for run in networks_of(name, tracker)[1]]
    return results if name.startswith("run:") else pair(compare(results)[0])
