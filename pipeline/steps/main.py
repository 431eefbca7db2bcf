"""The step `main`: prepare, toy, then one network for every drop rate, compared."""

from dataclasses import fields

from pipeline import comparison
from pipeline.config.options import MainSettings, PrepareSettings, ToySettings
from pipeline.config.recipe import Recipe, Training
from pipeline.config.settings import texts
from pipeline.console import Console
from pipeline.data import KNOWN_NAMES, prepared, split
from pipeline.explorer import log_explorers
from pipeline.fit import FitContext, Task, fit
from pipeline.health import check_before_training
from pipeline.runs.links import print_links
from pipeline.steps import prepare, toy
from pipeline.tracking import connect
from pipeline.training import device as devices


def run(settings: MainSettings, console: Console) -> None:
    """Run the whole pipeline.

    Raises:
        PipelineError: the device or the data set is missing, or a network failed.
    """
    tracker = connect()
    check_before_training(tracker)
    shared = {item.name: getattr(settings, item.name) for item in fields(Training)}
    recipes = list(dict.fromkeys(Recipe(drop_rate=p, **shared) for p in settings.drop_rates))
    device = devices.resolve(settings.device)
    known = None
    if settings.data in KNOWN_NAMES:
        known = PrepareSettings(dataset=settings.data, force=settings.force)
    data = prepare.read(known) if known else prepared(settings.data)
    split(len(data.train_labels), settings.holdout)  # refused now, not after the toy
    with tracker.start_step("main", "main", parameters=texts(settings)) as step:
        if known:
            prepare.log(data, known, tracker, console, pipeline=step.id)
        toy.run(ToySettings(seed=settings.seed, force=settings.force), console, pipeline=step.id)
        context = FitContext(
            tracker=tracker,
            console=console,
            step="main",
            tags={"pipeline": step.id},
            is_forced=settings.force,
            cuda_graphs=settings.cuda_graphs,
        )
        tasks = [Task(recipe=recipe, data=data, device=device) for recipe in recipes]
        results = fit(tasks, context).complete()
        comparisons = comparison.compare(results)
        links = log_explorers(step, comparisons, lambda _: data, tracker=tracker, console=console)
        comparison.publish(
            step, results, comparisons, console=console, origin="this run", links=links
        )
    console.elapsed("done")
    print_links(results, tracker, console, report=step.id, explorers=links.values())
