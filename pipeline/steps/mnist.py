"""The step `mnist`: trains one classifier and explains its zeros by cause."""

from pipeline.comparison.compare import compare
from pipeline.comparison.outcome import outcome_metrics
from pipeline.config.options import MnistSettings
from pipeline.config.settings import texts
from pipeline.console import Console
from pipeline.data import prepared, split
from pipeline.explorer import log_explorer
from pipeline.fit import FitContext, Task, fit
from pipeline.health import check_before_training
from pipeline.runs.links import print_pages
from pipeline.tracking import Tracker, connected
from pipeline.training import device as devices


def run(settings: MnistSettings, console: Console) -> None:
    """Train the network that the settings describe, in a run of its own beside the step's.

    Raises:
        PipelineError: the device or the data set is missing, or the network failed.
    """
    with connected(console) as tracker:
        _run(settings, tracker, console)


def _run(settings: MnistSettings, tracker: Tracker, console: Console) -> None:
    check_before_training(tracker)
    recipe = settings.alone
    device = devices.resolve(settings.device)
    data = prepared(settings.data)
    split(len(data.train_labels), recipe.holdout)  # refused before there is a run
    task = Task(recipe=recipe, data=data, device=device)
    with tracker.start_step("mnist", f"mnist {task.name}", parameters=texts(settings)) as step:
        context = FitContext(
            tracker=tracker,
            console=console,
            step="mnist",
            tags={"pipeline": step.id},
            is_forced=settings.force,
            cuda_graphs=settings.cuda_graphs,
        )
        [result] = fit([task], context).complete()
        step.metrics(outcome_metrics(compare([result])), step=0)
        links = log_explorer(step, [result], data, tracker=tracker, console=console)
        pages = "".join(f" [{name}]({page})." for name, page in links.items())
        step.describe(f"Trained [{task.name}]({result.page}).{pages}")
    console.elapsed("done")
    print_pages(tracker, console, report=result.run_id, explorers=links.values())
