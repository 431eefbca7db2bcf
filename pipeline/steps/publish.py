"""The step `publish`: the pictures and models that networks' runs lack. It logs no run itself."""

from functools import partial

from pipeline.config.options import PublishSettings
from pipeline.config.settings import texts
from pipeline.console import Console
from pipeline.data import ImageData, prepared
from pipeline.records.result import Result
from pipeline.records.words import counted
from pipeline.registry.selection import networks_of
from pipeline.runs.complete import complete
from pipeline.runs.load import load_data, load_result
from pipeline.tracking import adopted_run, connect


def run(settings: PublishSettings, console: Console) -> None:
    """Make what these networks' runs lack.

    Raises:
        PipelineError: a network or its data are not there, or a network could not be published;
            the others still are.
    """
    tracker = connect()
    named = [run.id for name in settings.runs for run in networks_of(name, tracker)[1]]
    run_ids = list(dict.fromkeys(named))
    given = None if settings.data == "auto" else prepared(settings.data)
    known: dict[tuple[str, str], ImageData] = {}

    def data_of(result: Result) -> ImageData:
        if given:
            return given
        key = result.dataset, result.dataset_digest
        known[key] = known.get(key) or load_data(result)
        return known[key]

    with adopted_run("publish", texts(settings)):
        completed = complete(
            run_ids,
            tracker,
            result_of=partial(load_result, tracker=tracker),
            data_of=data_of,
            console=console,
        )
        completed.check()
    if not completed.made:
        console.line(f"nothing to do: {counted(len(run_ids), 'network')}, nothing is missing")
    console.elapsed("done")
