"""The step `reproduce`: published studies, done again and compared."""

import platform
from collections.abc import Mapping

import torch

from pipeline.comparison.files import networks_csv
from pipeline.config.options import ReproduceSettings
from pipeline.config.settings import texts
from pipeline.console import Console, literal
from pipeline.data import prepared
from pipeline.errors import PipelineError
from pipeline.fit import FitContext, Fitted, Task, fit
from pipeline.health import check_before_training
from pipeline.plots import to_png
from pipeline.records.networks_file import NETWORKS
from pipeline.records.words import reasons
from pipeline.runs.load import load_weights
from pipeline.studies import STUDIES, Evidence, Findings, Study, tables
from pipeline.tracking import Run, Tracker, connect
from pipeline.training import device as devices

TABLE = "findings.md"
ROWS = "findings.csv"
PAGE = "studies.md"


def run(settings: ReproduceSettings, console: Console) -> None:
    """Do one study again, or all of them one after another, each in a run of its own.

    Raises:
        PipelineError: a device or a data set is missing, or a network failed; of several studies
            the others are still done.
    """
    tracker = connect()
    check_before_training(tracker)
    devices.resolve(settings.device)  # refused before there is a run
    if settings.study != "all":
        _reproduce(settings.study, settings, tracker=tracker, console=console)
        return
    name = f"reproduce all studies, {settings.scale}"
    with tracker.start_step("reproduce", name, parameters=texts(settings)) as step:
        found: dict[str, Findings] = {}
        failures: dict[str, str] = {}
        for study in STUDIES:
            try:
                found[study] = _reproduce(
                    study, settings, tracker=tracker, console=console, pipeline=step.id
                )
            except PipelineError as error:
                failures[study] = str(error)
                console.line(literal(f"{study} failed: {error}"))
        step.text(tables.page(STUDIES, found, scale=settings.scale, made_with=_made_with()), PAGE)
        step.describe(tables.summary(found) + _failed(failures))
        if failures:
            raise PipelineError(
                f"{len(failures)} of {len(STUDIES)} studies failed: {reasons(failures)}"
            )


def _failed(failures: Mapping[str, str]) -> str:
    return "".join(f"\n\n`{study}` failed: {why}" for study, why in failures.items())


def _made_with() -> str:
    return f"torch {torch.__version__} on {platform.machine()}"


def _reproduce(
    name: str,
    settings: ReproduceSettings,
    *,
    tracker: Tracker,
    console: Console,
    pipeline: str | None = None,
) -> Findings:
    """Do one study again, in a run of its own."""
    study = STUDIES[name]
    console.line(f"{name} ({settings.scale})")
    tags = {"study": name} | ({"pipeline": pipeline} if pipeline else {})
    title = f"reproduce {name}, {settings.scale}"
    parameters = texts(settings) | {"study": name}
    with tracker.start_step("reproduce", title, parameters=parameters, tags=tags) as step:
        fitted = _fitted(name, settings, tracker=tracker, console=console, step=step)
        runs = {result.run_id: tracker.run(result.run_id) for result in fitted.results}
        found = study.find(
            Evidence(
                scale=settings.scale,
                results=fitted.results,
                weights=lambda result: load_weights(runs[result.run_id], tracker),
                data=prepared,
                device=devices.resolve(settings.device),
            )
        )
        _publish(study, found, fitted, scale=settings.scale, step=step)
        _show(name, found, console)
    return found


def _fitted(
    study: str, settings: ReproduceSettings, *, tracker: Tracker, console: Console, step: Run
) -> Fitted:
    """The study's networks. One that diverged is a finding; any other failure ends the study."""
    wanted = STUDIES[study].networks(settings.scale)
    sets = {network.data: prepared(network.data) for network in wanted}
    device = devices.resolve(settings.device)
    tasks = [
        Task(recipe=network.recipe, data=sets[network.data], device=device) for network in wanted
    ]
    context = FitContext(
        tracker=tracker,
        console=console,
        step="reproduce",
        tags={"pipeline": step.id, "study": study},
        is_forced=settings.force,
        keeps_all=False,
    )
    fitted = fit(tasks, context)
    if not all(failure.has_diverged for failure in fitted.failed) or fitted.under_way:
        fitted.complete()
    return fitted


def _publish(study: Study, found: Findings, fitted: Fitted, *, scale: str, step: Run) -> None:
    """Log table, figures and networks, and describe the run."""
    step.text(tables.plain(tables.markdown(study, found, scale=scale)) + "\n", TABLE)
    step.text(tables.findings_csv(found.rows), ROWS)
    for name, figure in found.figures.items():
        step.data(to_png(figure), f"plots/{name}.png")
    if fitted.results:
        step.text(networks_csv(fitted.results), NETWORKS)
    judged = [row.agrees for row in found.rows if row.agrees is not None]
    counts = {"values/compared": float(len(judged)), "values/agree": float(sum(judged))}
    step.metrics(counts, step=0)
    diverged = f"\n\nDiverged: {', '.join(fitted.failures)}." if fitted.failures else ""
    step.describe(tables.description(study, found, scale=scale, more=diverged))


def _show(name: str, found: Findings, console: Console) -> None:
    rows = [tuple(map(literal, cells)) for cells in tables.narrow_rows(found.rows)]
    console.table(f"{name}: {tables.counted_verdicts(found.rows)}", tables.NARROW, rows)
