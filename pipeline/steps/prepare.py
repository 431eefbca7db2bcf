"""The step `prepare`: read a data set, verify it, write it as tensors, show what it looks like."""

from pipeline import plots
from pipeline.config.options import PrepareSettings
from pipeline.config.settings import texts
from pipeline.console import Console
from pipeline.data import ImageData, load, write_prepared
from pipeline.files import given_path
from pipeline.markdown import table
from pipeline.runs.fingerprint import fingerprint
from pipeline.runs.publish import log_dataset
from pipeline.tracking import Run, connect


def run(settings: PrepareSettings, console: Console, *, pipeline: str | None = None) -> None:
    """Prepare the data set and log it.

    Args:
        settings: which data set, from where, to where.
        console: for messages.
        pipeline: the run of the step that this is part of.

    Raises:
        PipelineError: the data are missing, damaged or wrong, or cannot be written.
    """
    tracker = connect()
    with tracker.start_step(
        "prepare",
        f"prepare {settings.dataset}",
        parameters=texts(settings),
        tags={"pipeline": pipeline} if pipeline else {},
    ) as step:
        folder = given_path(settings.out)
        data = load(settings.dataset, settings.source, cache=folder / "downloads")
        path = write_prepared(data, folder)
        log_dataset(step, data, context="prepared")
        mark = fingerprint("prepare", data.name, data.digest)
        found = None if settings.force else tracker.finished(mark, kind="step")
        if found:
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
    step.text("\n".join(",".join(row) for row in [columns, *counts]) + "\n", "class_counts.csv")
