"""What a finished network leaves in its run: test score, model, summary, history, pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

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
from pipeline.tracking import Run, SavedModels, log_model
from pipeline.training import device as devices
from pipeline.training.batches import EVALUATION_BATCH, Examples
from pipeline.training.cause_map import cause_maps
from pipeline.training.stack import plain
from why_zero.records import Counts

EXAMPLES = 4
SHOWN = 60
MOST_IMAGES = 25


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A trained network, scored on the test set, and its pictures while they are drawn.

    Attributes:
        network: in evaluation mode, on the CPU.
        test: its score.
        confusion: counts over the test set, rows truth, columns prediction.
        is_right: whether it answers each image that it is validated on.
        pictures: what returns each as PNG bytes, by name.
        film: what returns its firing rates as a picture for each of the epochs that are shown.
    """

    network: nn.Module
    test: Score
    confusion: Counts
    is_right: NDArray[np.bool_]
    pictures: Mapping[str, Callable[[], bytes]]
    film: Callable[[], Sequence[NDArray[np.uint8]]]


def judge(
    recipe: Recipe,
    *,
    history: History,
    chosen: EpochRecord,
    data: ImageData,
    render_pool: RenderPool,
) -> Judged:
    """Score a trained network on the test set, once, and begin to draw its pictures.

    Args:
        recipe: what it was made from.
        history: its records, from epoch 0 on.
        chosen: the record whose weights were kept.
        data: what it was trained on.
        render_pool: draws, while others are published.
    """
    if chosen.weights is None:
        raise ValueError("the chosen record must hold its weights")
    network = plain(recipe, chosen.weights).eval()
    test, confusion = score(network, data)
    return Judged(
        network=network,
        test=test,
        confusion=confusion,
        is_right=right_answers(network, data, recipe.holdout),
        pictures=_pictures(
            recipe, history, chosen, data=data, confusion=confusion, render_pool=render_pool
        ),
        film=render_pool.submit(plots.film_firing_rates, _shown(history)),
    )


def publish(
    run: Run,
    recipe: Recipe,
    *,
    judged: Judged,
    history: History,
    chosen: EpochRecord,
    metrics: Mapping[str, float],
    at_ms: int,
    data: ImageData,
    device: torch.device,
    stack_size: int,
    saved: SavedModels,
) -> Result:
    """Log everything about a trained network.

    Args:
        run: the network's open run.
        recipe: what it was made from.
        judged: it, as `judge` gives it.
        history: its records, from epoch 0 on.
        chosen: the record whose weights were kept.
        metrics: the run's at this epoch.
        at_ms: the time of these points.
        data: what it was trained on.
        device: where it was trained.
        stack_size: how many networks were trained together with it, itself included.
        saved: the models of others, as which its own is saved faster.
    """
    # Once: a process that died while it published has logged them.
    test = {"test/loss": judged.test.loss, "test/accuracy": judged.test.accuracy}
    tested = run.metrics_once(test, step=chosen.epoch, at_ms=at_ms)
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
        is_right=judged.is_right,
    )
    images = data.test_images[:EXAMPLES]
    # A single image would become the only batch size that the exported graph takes.
    example = as_input(images.expand(max(2, len(images)), -1, -1)).numpy()
    log_model(
        run,
        judged.network,
        example=example,
        metrics={**metrics, **tested},
        step=chosen.epoch,
        at_ms=at_ms,
        saved=saved,
    )
    with temporary_folder() as folder:
        batch = as_input(data.train_images[: min(recipe.batch_size, EVALUATION_BATCH)])
        (folder / "summary.txt").write_text(summary(judged.network, batch), encoding="utf-8")
        histories.save(history, folder / HISTORY)
        confusion = confusion_csv(judged.confusion, data.classes)
        (folder / CONFUSION).write_text(confusion, encoding="utf-8")
        (folder / RIGHT).write_bytes(packed(judged.is_right))
        (folder / "plots").mkdir()
        for name, png in judged.pictures.items():
            (folder / "plots" / f"{name}.png").write_bytes(png())
        run.folder(folder)
    frames = zip((record.epoch for record in _shown(history)), judged.film(), strict=False)
    run.images(dict(frames), "firing_rates")
    run.describe(
        description(result, validation_name=recipe.validated_on),
        tags={"chosen_epoch": str(chosen.epoch)},
    )
    return result


def _shown(history: History) -> list[EpochRecord]:
    """The epochs that the film of firing rates shows."""
    return [history[index] for index in evenly(len(history), MOST_IMAGES)]


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
    recipe: Recipe,
    history: History,
    chosen: EpochRecord,
    *,
    data: ImageData,
    confusion: Counts,
    render_pool: RenderPool,
) -> dict[str, Callable[[], bytes]]:
    """The figures of one network by name, being drawn: each call returns one as PNG bytes."""
    title = recipe.name
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
