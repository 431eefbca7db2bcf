"""The step `prepare`: read a data set, verify it, write it as tensors, show what it looks like."""

from functools import partial

from pipeline import plots
from pipeline.config.options import PrepareSettings
from pipeline.config.settings import texts
from pipeline.console import Console
from pipeline.data import ImageData, load, write_prepared
from pipeline.files import given_path
from pipeline.markdown import table
from pipeline.records.words import csv_of
from pipeline.runs.fingerprint import fingerprint
from pipeline.runs.publish import log_dataset
from pipeline.tracking import Run, Tracker, connected


def run(settings: PrepareSettings, console: Console) -> None:
    """Prepare the data set and log it.

    Args:
        settings: which data set, from where, to where.
        console: for messages.

    Raises:
        PipelineError: the data are missing, damaged or wrong, or cannot be written.
    """
    with connected(console) as tracker:
        log(read(settings), settings, tracker, console)


def read(settings: PrepareSettings) -> ImageData:
    """The data set as it comes, verified.

    Raises:
        PipelineError: it is missing, damaged or wrong.
    """
    cache = given_path(settings.out) / "downloads"
    return load(settings.dataset, settings.source, cache=cache)


def log(
    data: ImageData,
    settings: PrepareSettings,
    tracker: Tracker,
    console: Console,
    *,
    pipeline: str | None = None,
) -> None:
    """Write the data set as tensors, and log it in a run of its own.

    Args:
        data: as `read` has it.
        settings: as there.
        tracker: of the experiment that the run is in.
        console: for messages.
        pipeline: the run of the step that this is part of.

    Raises:
        PipelineError: it cannot be written.
    """
    with tracker.start_step(
        "prepare",
        f"prepare {settings.dataset}",
        parameters=texts(settings),
        tags={"pipeline": pipeline} if pipeline else {},
    ) as step:
        path = write_prepared(data, given_path(settings.out))
        log_dataset(step, data, context="prepared")
        counts = {
            "training_images": len(data.train_labels),
            "test_images": len(data.test_labels),
            "classes": len(data.classes),
        }
        step.metrics({name: float(count) for name, count in counts.items()}, step=0)
        mark = fingerprint("prepare", data.name, data.digest)
        seek = partial(tracker.finished, mark, kind="step")
        if found := None if settings.force else tracker.attempt(seek, None):
            page = tracker.link(found.id)
            step.describe(f"The same data was already logged in run [{found.name}]({page}).")
        else:
            _show(step, data)
            step.tags({"fingerprint": mark})
        console.line(
            f"{data.name}: {len(data.train_labels):,} training and {len(data.test_labels):,} test "
            f"images from {data.source}, verified, in {path}"
        )


def _show(step: Run, data: ImageData) -> None:
    """Log class counts, samples of every class, and the mean image of each class."""
    images, labels = data.train_images.numpy(), data.train_labels.numpy()
    for draw, name in ((plots.draw_samples, "samples"), (plots.draw_class_means, "class_means")):
        figure = draw(images, labels, classes=data.classes, title=data.name)
        step.data(plots.to_png(figure), f"plots/{name}.png")
    counts = [(name, str(train), str(test)) for name, (train, test) in data.class_counts.items()]
    columns = ("class", "training images", "test images")
    height, width = data.train_images.shape[1:]
    step.describe(
        f"**{data.name}**: images of {height} x {width} pixels, from {data.source}. "
        f"Digest: `{data.digest}`.\n\nLicence: {data.licence}\n\n" + table(columns, counts)
    )
    step.text(csv_of([columns, *counts]), "class_counts.csv")
