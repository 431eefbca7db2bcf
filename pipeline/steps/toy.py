"""The step `toy`: three small networks from one start, with every unit's state at every update."""

import hashlib
from collections.abc import Sequence
from functools import partial

import numpy as np
from safetensors.numpy import save_file

from pipeline.config.options import ToySettings
from pipeline.config.recipe import Recipe
from pipeline.config.settings import texts
from pipeline.console import Console
from pipeline.errors import PipelineError
from pipeline.files import temporary_folder
from pipeline.health import check_before_training
from pipeline.markdown import Row, table
from pipeline.records.metrics import metrics
from pipeline.runs.fingerprint import fingerprint
from pipeline.toy import experiment, notebook
from pipeline.toy.exact_mask_average import mask_average_gap
from pipeline.toy.page import render_page
from pipeline.toy.unit_table import AT_THE_END, COLUMNS, LEGEND, unit_rows
from pipeline.tracking import Run, Tracker, connected
from why_zero import BrokenIdentity

TRACE = "trace.safetensors"
ROUNDING = 1e-12
UNITS = "units.md"
PAGE = "toy.html"


def run(settings: ToySettings, console: Console) -> None:
    """Train the three arms, log a run for each and the trace to the step's own.

    Args:
        settings: start, drop rate, step size, epochs and seed.
        console: for the table of units.
    """
    with connected(console) as tracker:
        train(settings, tracker, console)


def train(
    settings: ToySettings, tracker: Tracker, console: Console, *, pipeline: str | None = None
) -> None:
    """The same, as a part of another step.

    Args:
        settings: as in `run`.
        tracker: of the experiment that the runs are in.
        console: as in `run`.
        pipeline: the run of the step that this is part of.
    """
    check_before_training(tracker)
    random = " random" if settings.init == "random" else ""
    name = f"toy p={settings.drop_rate:g} s{settings.seed}{random}"
    tags = {"pipeline": pipeline} if pipeline else {}
    with tracker.start_step("toy", name, parameters=texts(settings), tags=tags) as step:
        chosen = {key: value for key, value in texts(settings).items() if key != "force"}
        parts = [f"{key}={value}" for key, value in chosen.items()]
        mark = fingerprint("toy", *parts, rooms=("pipeline/toy",))
        seek = partial(tracker.finished, mark, kind="step")
        if found := None if settings.force else tracker.attempt(seek, None):
            page = tracker.link(found.id)
            step.describe(f"The same toy already ran, in run [{found.name}]({page}).")
            console.line(f"toy: already ran (run {found.id}); force=true runs it again")
            return
        arms = experiment.recipes(
            drop_rate=settings.drop_rate,
            learning_rate=settings.learning_rate,
            epochs=settings.epochs,
            seed=settings.seed,
        )
        trace = experiment.run(arms, settings.init)
        _check_finite(trace)
        check_the_first_layer(trace)
        pages = [
            _log_arm(
                tracker,
                recipe,
                arm,
                trace,
                step=step,
                init=settings.init,
                mark=fingerprint(mark, arm),
                is_forced=settings.force,
            )
            for arm, recipe in zip(experiment.ARMS, arms, strict=True)
        ]
        masks = _mask_averages(arms, trace)
        _log_trace(step, trace, pages, masks=masks)
        step.text(
            render_page(
                trace,
                drop_rate=settings.drop_rate,
                learning_rate=settings.learning_rate,
                init=settings.init,
                seed=settings.seed,
            ),
            PAGE,
        )
        step.tags({"fingerprint": mark})
        console.table("Hidden units, update by update", COLUMNS, _in_color(unit_rows(trace)))
        console.line(LEGEND)
        console.line(masks)


def _in_color(rows: Sequence[Row]) -> list[Row]:
    """The rows as rich markup, with dead units in red."""
    place = COLUMNS.index(AT_THE_END)
    return [
        tuple(
            f"[red]{cell}[/]" if index == place and cell.startswith("dead") else cell
            for index, cell in enumerate(row)
        )
        for row in rows
    ]


def _check_finite(trace: experiment.Trace) -> None:
    """Refuse a toy that has diverged.

    Raises:
        PipelineError: a loss is NaN or infinite.
    """
    for arm, history in trace.histories.items():
        for record in history:
            losses = [score.loss for score in (record.train, record.train_eval) if score]
            if not np.isfinite(losses).all():
                raise PipelineError(
                    f"loss must stay finite, got NaN or infinity in the {arm} network at update "
                    f"{record.epoch}: give a smaller learning_rate"
                )


def check_the_first_layer(trace: experiment.Trace) -> None:
    """Check identity 9: no dead unit of h1 comes back.

    Raises:
        BrokenIdentity: one does.
    """
    for arm in experiment.ARMS:
        is_dead = trace.arrays[f"{arm}/h1/fired"] == 0
        revived = np.argwhere(is_dead[:-1] & ~is_dead[1:])
        if "relu" in arm and len(revived):
            update, unit = revived[0]
            raise BrokenIdentity(
                "h1",
                9,
                expected=f"unit {unit} of the {arm} network dead for good",
                observed=f"firing again after update {update + 1}",
            )


def _log_arm(
    tracker: Tracker,
    recipe: Recipe,
    arm: str,
    trace: experiment.Trace,
    *,
    step: Run,
    init: str,
    mark: str,
    is_forced: bool,
) -> str:
    """Log one network by update, in a run of its own, and return the link to it.

    What a killed toy has logged stays, and is completed.
    """
    seek = partial(tracker.finished, mark, has_files=False)
    if found := None if is_forced else tracker.attempt(seek, None):
        return f"[{arm}]({tracker.link(found.id)})"
    history = trace.histories[arm]
    content = trace.arrays["samples/x"].tobytes() + trace.arrays["samples/target"].tobytes()
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    with tracker.start_network(
        f"toy {arm} p={recipe.drop_rate:g} s{recipe.seed}",
        recipe.parameters
        | {"device": "cpu", "dataset": f"toy {init}", "dataset_digest": digest, "init": init},
        step="toy",
        tags={
            "pipeline": step.id,
            "arm": arm,
            "stack_size": str(len(experiment.ARMS)),
            "fingerprint": mark,
        },
        goes_on=not is_forced,
    ) as run:
        befores = (None, *history[:-1])
        points = [
            (record.epoch, metrics(record, before, history[0]))
            for record, before in zip(history, befores, strict=True)
        ]
        run.series(points, at_time_of="train_eval/accuracy")
        return f"[{arm}]({run.page})"


def _mask_averages(arms: list[Recipe], trace: experiment.Trace) -> str:
    """How far the mean over all masks is from evaluation mode, in words.

    Raises:
        BrokenIdentity: it is not equal for the linear network.
    """
    gaps, sizes = {}, {}
    for arm, recipe in zip(experiment.ARMS, arms, strict=True):
        weights = {name: trace.arrays[f"{arm}/{name}"][-1] for name in notebook.WEIGHTS}
        x = trace.arrays["samples/x"].astype(np.float64)
        gaps[arm], sizes[arm] = mask_average_gap(recipe, weights, x)
    limit = ROUNDING * sizes["dropout"]
    if not gaps["dropout"] <= limit:
        raise BrokenIdentity(
            "logits", 6, expected=f"no difference above {limit:g}", observed=gaps["dropout"]
        )
    return (
        "The mean of the logits over all 64 masks differs from evaluation mode by up to "
        f"{gaps['relu+dropout']:.4f} with ReLU + Dropout, and by {gaps['dropout']:.0e} with "
        "Dropout alone, where the two are equal up to rounding."
    )


def _log_trace(step: Run, trace: experiment.Trace, pages: list[str], *, masks: str) -> None:
    """Log the trace, and describe every unit in the run's description."""
    rows = unit_rows(trace)
    header = {
        "format": "why-zero trace 1",
        "arms": ",".join(experiment.ARMS),
        "about": experiment.__doc__ or "",
    }
    with temporary_folder() as folder:
        path = folder / TRACE
        save_file(dict(trace.arrays), path, metadata=header)
        step.file(path)
    page = "\n\n".join(["## Hidden units, update by update", table(COLUMNS, rows), LEGEND, masks])
    step.text(page + "\n", UNITS)
    walk = f"Step through every update in the artifact `{PAGE}`."
    step.describe(f"Networks: {', '.join(pages)}.\n\n{walk}\n\n{page}")
