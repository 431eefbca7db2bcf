"""What a finished network leaves in its run: numbers and weights, then pictures and model.

The second part can be left out, and made later from the first: see `complete`.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
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
from pipeline.runs.answers import (
    CONFUSION,
    RIGHT,
    answers,
    confusion_csv,
    packed,
    validation_data,
)
from pipeline.runs.load import HISTORY
from pipeline.runs.summary import summary
from pipeline.tracking import Run, SavedModels, log_model, save_weights
from pipeline.training import device as devices
from pipeline.training.batches import EVALUATION_BATCH, Examples
from pipeline.training.cause_map import cause_maps
from pipeline.training.stack import Stack, plain
from why_zero import BrokenIdentity
from why_zero.records import Counts

EXAMPLES = 4
SHOWN = 60
MOST_IMAGES = 25
# What two ways of adding the losses of a set in float32 may differ by.
_OF_A_LOSS = 1e-4
SUMMARY = "summary.txt"
FILM = "firing_rates"
PICTURES = (
    "learning_curves", "zero_causes", "units", "lives", "firing_rates", "gradients", "sample_map",
    "confusion", "first_weights",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A trained network, scored on the test set.

    Attributes:
        network: in evaluation mode, on the CPU.
        test: its score.
        confusion: counts over the test set, rows truth, columns prediction.
        is_right: whether it answers each image that it is validated on.
    """

    network: nn.Module
    test: Score
    confusion: Counts
    is_right: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A network's pictures while they are drawn.

    Attributes:
        pictures: what returns each as PNG bytes, by name.
        film: what returns its firing rates as a picture for each of the epochs that are shown;
            None where no film is wanted.
    """

    pictures: Mapping[str, Callable[[], bytes]]
    film: Callable[[], Sequence[NDArray[np.uint8]]] | None


def judge(recipe: Recipe, chosen: EpochRecord, data: ImageData) -> Judged:
    """Score a trained network on the test set.

    Args:
        recipe: what it was made from.
        chosen: the record whose weights were kept, with these weights.
        data: what it was trained on.

    Raises:
        BrokenIdentity: the weights are not those whose loss the record holds.
    """
    if chosen.weights is None:
        raise ValueError("the chosen record must hold its weights")
    network = plain(recipe, chosen.weights).eval()
    test = answers(network, data)
    judges = validation_data(data, recipe.holdout)
    validation = test if judges is data else answers(network, judges)
    loss = validation.score.loss
    expected = math.nan if chosen.validation is None else chosen.validation.loss
    if abs(loss - expected) > _OF_A_LOSS * (1 + expected):
        raise BrokenIdentity(
            "logits", 15, expected=f"{expected:.6g} of epoch {chosen.epoch}", observed=f"{loss:.6g}"
        )
    return Judged(
        network=network,
        test=test.score,
        confusion=test.confusion,
        is_right=validation.is_right,
    )


def draw(
    recipe: Recipe,
    *,
    judged: Judged,
    history: History,
    chosen: EpochRecord,
    data: ImageData,
    render_pool: RenderPool,
    wanted: Collection[str] = PICTURES,
    has_film: bool = True,
) -> Drawn:
    """Begin to draw a network's pictures.

    Args:
        recipe: what it was made from.
        judged: it, as `judge` gives it.
        history: its records, from epoch 0 on.
        chosen: the record whose weights were kept, with these weights.
        data: what it was trained on.
        render_pool: draws, while others are published.
        wanted: which of `PICTURES`.
        has_film: whether its firing rates are drawn epoch by epoch as well.
    """
    pictures = _pictures(
        recipe, history, chosen, data=data, confusion=judged.confusion, render_pool=render_pool
    )
    film = render_pool.submit(plots.film_firing_rates, shown(history)) if has_film else None
    return Drawn(pictures={name: pictures[name]() for name in wanted}, film=film)


def publish(
    run: Run,
    recipe: Recipe,
    *,
    judged: Judged,
    history: History,
    chosen: EpochRecord,
    at_ms: int,
    data: ImageData,
    device: torch.device,
    stack_size: int,
) -> Result:
    """Log what every trained network keeps: test score, history, weights and description.

    Args:
        run: the network's open run.
        recipe: what it was made from.
        judged: it, as `judge` gives it.
        history: its records, from epoch 0 on.
        chosen: the record whose weights were kept.
        at_ms: the time of the run's points at this epoch.
        data: what it was trained on.
        device: where it was trained.
        stack_size: how many networks were trained together with it, itself included.
    """
    # Once: a process that died while it published has logged them.
    tested = run.metrics_once(test_metrics(judged.test), step=chosen.epoch, at_ms=at_ms)
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
    with temporary_folder() as folder:
        save_weights(judged.network, folder)
        histories.save(history, folder / HISTORY)
        confusion = confusion_csv(judged.confusion, data.classes)
        (folder / CONFUSION).write_text(confusion, encoding="utf-8")
        (folder / RIGHT).write_bytes(packed(judged.is_right))
        run.folder(folder)
    run.describe(
        description(result, validation_name=recipe.validated_on),
        tags={"chosen_epoch": str(chosen.epoch)},
    )
    return result


def test_metrics(test: Score) -> dict[str, float]:
    """The score on the test set under the names that MLflow shows."""
    return {"test/loss": test.loss, "test/accuracy": test.accuracy}


def publish_rest(
    run: Run,
    result: Result,
    *,
    judged: Judged,
    drawn: Drawn,
    metrics: Mapping[str, float],
    at_ms: int,
    data: ImageData,
    saved: SavedModels,
    is_read_back: bool = False,
) -> None:
    """Log what can be made from history and weights: pictures, film, summary and model.

    Args:
        run: the network's.
        result: as `publish` gives it.
        judged: the network.
        drawn: the pictures that the run lacks.
        metrics: all of the run's at the chosen epoch, with the test score.
        at_ms: the time of these points.
        data: what it was trained on.
        saved: the models of others, as which its own is saved faster.
        is_read_back: the run may have other metrics at this epoch, which the model then gets.
    """
    log_model(
        run,
        judged.network,
        example=_example(data),
        metrics=metrics,
        step=result.chosen.epoch,
        at_ms=at_ms,
        saved=saved,
        is_read_back=is_read_back,
    )
    with temporary_folder() as folder:
        batch = as_input(data.train_images[: min(result.recipe.batch_size, EVALUATION_BATCH)])
        (folder / SUMMARY).write_text(summary(judged.network, batch), encoding="utf-8")
        for name, png in drawn.pictures.items():
            place = folder / picture(name)
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(png())
        run.folder(folder)
    if drawn.film:
        epochs = (record.epoch for record in shown(result.history))
        # A network without ReLU has no film.
        run.images(dict(zip(epochs, drawn.film(), strict=False)), FILM)


def trace(recipe: Recipe, data: ImageData, saved: SavedModels) -> None:
    """Trace an untrained network, while its like are trained: they are published faster then.

    Args:
        recipe: what it is made from.
        data: what it is trained on.
        saved: what remembers the graph.
    """
    inputs, classes = data.train_images[0].numel(), len(data.classes)
    weights = Stack([recipe], inputs=inputs, classes=classes).state(0)
    saved.trace(plain(recipe, weights), example=_example(data))


def _example(data: ImageData) -> NDArray[np.float32]:
    """The inputs that a model is saved with.

    At least two: a single one would become the only batch size that the exported graph takes.
    """
    images = data.test_images[:EXAMPLES]
    return as_input(images.expand(max(2, len(images)), -1, -1)).numpy()


def picture(name: str) -> str:
    """The place of a picture among the run's artifacts."""
    return f"plots/{name}.png"


def shown(history: History) -> list[EpochRecord]:
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
) -> dict[str, Callable[[], Callable[[], bytes]]]:
    """What begins to draw each figure of a network, by name, and returns what waits for the PNG."""
    title = recipe.name
    height, width = data.train_images.shape[1:]
    examples = Examples(data.train_images[:SHOWN].flatten(1), data.train_labels[:SHOWN])
    [batch] = examples.in_order()
    png = render_pool.png
    return {
        "learning_curves": lambda: png(
            plots.draw_learning_curves, history, title, validation_name=recipe.validated_on
        ),
        "zero_causes": lambda: png(plots.draw_causes, history, title),
        "units": lambda: png(plots.draw_units, history, title),
        "lives": lambda: png(plots.draw_lives, history, title),
        "firing_rates": lambda: png(plots.draw_firing_rates, chosen, title),
        "gradients": lambda: png(plots.draw_gradients, chosen, title),
        "sample_map": lambda: png(plots.draw_sample_map, cause_maps(recipe, chosen, batch), title),
        "confusion": lambda: png(
            plots.draw_confusion, confusion, data.classes, title=f"{title}, test images"
        ),
        "first_weights": lambda: png(
            plots.draw_first_weights,
            (chosen.weights or {})["linear1.weight"],
            (height, width),
            states=chosen.layers[0].states,
            title=title,
        ),
    }
