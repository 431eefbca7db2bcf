"""What a finished network leaves in its run: test score, model, summary, history, pictures."""

from collections.abc import Callable, Mapping

import torch

from pipeline import plots
from pipeline.config.recipe import Recipe
from pipeline.data import ImageData, as_input
from pipeline.files import temporary_folder
from pipeline.markdown import description
from pipeline.plots import RenderPool
from pipeline.plots.figure_layout import evenly
from pipeline.records import EpochRecord, History, Score
from pipeline.records import history as histories
from pipeline.records.result import Result
from pipeline.runs.answers import CONFUSION, RIGHT, confusion_csv, packed, right_answers
from pipeline.runs.load import HISTORY
from pipeline.runs.score import score
from pipeline.runs.summary import summary
from pipeline.tracking import Run, log_model
from pipeline.training import device as devices
from pipeline.training.batches import EVALUATION_BATCH, Examples
from pipeline.training.cause_map import cause_maps
from pipeline.training.stack import plain
from why_zero.records import Counts

EXAMPLES = 4
SHOWN = 60
MOST_IMAGES = 25


def publish(
    run: Run,
    recipe: Recipe,
    *,
    history: History,
    chosen: EpochRecord,
    metrics: Mapping[str, float],
    at_ms: int,
    data: ImageData,
    device: torch.device,
    stack_size: int,
    render_pool: RenderPool,
) -> Result:
    """Log everything about a trained network, and score it once on the test set.

    Args:
        run: the network's open run.
        recipe: what it was made from.
        history: its records, from epoch 0 on.
        chosen: the record whose weights were kept.
        metrics: the run's at this epoch.
        at_ms: the time of these points.
        data: what it was trained on.
        device: where it was trained.
        stack_size: how many networks were trained together with it, itself included.
        render_pool: draws its pictures.
    """
    if chosen.weights is None:
        raise ValueError("the chosen record must hold its weights")
    network = plain(recipe, chosen.weights).eval()
    test, confusion = score(network, data)
    is_right = right_answers(network, data, recipe.holdout)
    # Once: a process that died while it published has logged them.
    tested = run.metrics_once(
        {"test/loss": test.loss, "test/accuracy": test.accuracy}, step=chosen.epoch, at_ms=at_ms
    )
    result = Result(
        recipe=recipe,
        history=history,
        chosen=chosen,
        test=Score(tested["test/loss"], tested["test/accuracy"]),
        run_id=run.id,
        page=run.page,
        device=str(device),
        device_name=devices.describe(device),
        dataset=data.name,
        dataset_digest=data.digest,
        stack_size=stack_size,
        is_right=is_right,
    )
    # Started first: other processes draw while this one does the rest.
    pictures = _pictures(result, data, confusion, render_pool)
    images = data.test_images[:EXAMPLES]
    # A single image would become the only batch size that the exported graph takes.
    example = as_input(images.expand(max(2, len(images)), -1, -1)).numpy()
    measured = {**metrics, **tested}
    log_model(run, network, example=example, metrics=measured, step=chosen.epoch, at_ms=at_ms)
    batch = as_input(data.train_images[: min(recipe.batch_size, EVALUATION_BATCH)])
    run.text(summary(network, batch), "summary.txt")
    run.text(confusion_csv(confusion, data.classes), CONFUSION)
    run.data(packed(is_right), RIGHT)
    with temporary_folder() as folder:
        path = folder / HISTORY
        histories.save(history, path)
        run.file(path)
    for name, png in pictures.items():
        run.data(png(), f"plots/{name}.png")
    shown = [history[index] for index in evenly(len(history), MOST_IMAGES)]
    for record, frame in zip(shown, plots.film_firing_rates(shown), strict=False):
        run.image(frame, "firing_rates", step=record.epoch)
    run.describe(description(result, validation_name=recipe.validated_on))
    return result


def log_dataset(run: Run, data: ImageData, *, context: str) -> None:
    """Log the data set as the run's input, with a digest of all of it and its class counts."""
    run.dataset(
        data.name,
        data.digest,
        source=data.source,
        context=context,
        arrays={
            "train_images": data.train_images.numpy(),
            "train_labels": data.train_labels.numpy(),
            "test_images": data.test_images.numpy(),
            "test_labels": data.test_labels.numpy(),
        },
        profile={
            "train_class_counts": {name: n for name, (n, _) in data.class_counts.items()},
            "test_class_counts": {name: n for name, (_, n) in data.class_counts.items()},
        },
    )


def _pictures(
    result: Result, data: ImageData, confusion: Counts, render_pool: RenderPool
) -> dict[str, Callable[[], bytes]]:
    """The figures of one network by name, being drawn: each call returns one as PNG bytes."""
    recipe, history, chosen, title = (
        result.recipe,
        result.history,
        result.chosen,
        result.recipe.name,
    )
    height, width = data.train_images.shape[1:]
    examples = Examples(data.train_images[:SHOWN].flatten(1), data.train_labels[:SHOWN])
    [batch] = examples.in_order()
    draw = render_pool.png
    return {
        "learning_curves": draw(
            plots.draw_learning_curves, history, title, validation_name=recipe.validated_on
        ),
        "zero_causes": draw(plots.draw_causes, history, title),
        "units": draw(plots.draw_units, history, title),
        "lives": draw(plots.draw_lives, history, title),
        "firing_rates": draw(plots.draw_firing_rates, chosen, title),
        "gradients": draw(plots.draw_gradients, chosen, title),
        "sample_map": draw(plots.draw_sample_map, cause_maps(recipe, chosen, batch), title),
        "confusion": draw(
            plots.draw_confusion, confusion, data.classes, title=f"{title}, test images"
        ),
        "first_weights": draw(
            plots.draw_first_weights,
            (chosen.weights or {})["linear1.weight"],
            (height, width),
            states=chosen.layers[0].states,
            title=title,
        ),
    }
