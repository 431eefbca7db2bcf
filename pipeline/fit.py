"""Recipes in, finished runs out: reuse what exists, group into stacks, train, log.

Every step that trains goes through it. It must not know which step that is.
"""

import itertools
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, fields, replace

import torch

from pipeline import device as devices
from pipeline.batches import Examples
from pipeline.console import Console
from pipeline.data import ImageData, split
from pipeline.errors import PipelineError
from pipeline.fingerprint import fingerprint
from pipeline.publish import log_dataset, publish, validation_name
from pipeline.recall import recall
from pipeline.recipe import Recipe
from pipeline.records import EpochRecord, Result, metrics
from pipeline.settings import canonical
from pipeline.stack import Stack
from pipeline.tracking import Run, Tracker, watching_system
from pipeline.train import epochs

# Okabe and Ito's palette: the UI itself may give two networks of one stack the same colour.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#222222", "#999999")

_logger = logging.getLogger(__name__)

# What may differ between the members of a stack; everything else is shared.
VARYING = frozenset({"activation", "drop_rate", "output_dropout", "seed"})


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """Where networks are trained, on what, and where their runs go.

    Attributes:
        data: the data set.
        device: where to train.
        tracker: the experiment.
        console: where lines and progress are shown.
        step: the name of the step that trains.
        tags: tags of every network's run, such as `pipeline`.
        is_forced: train again what has a finished run with the same fingerprint.
    """

    data: ImageData
    device: torch.device
    tracker: Tracker
    console: Console
    step: str
    tags: dict[str, str]
    is_forced: bool = False


def fit(recipes: Sequence[Recipe], place: Workplace) -> list[Result]:
    """Train every recipe that has no finished run yet, and return all results in order.

    Raises:
        PipelineError: some networks failed; the others are finished and logged all the same.
    """
    results: dict[Recipe, Result] = {}
    failures: dict[Recipe, str] = {}
    for recipe in recipes:
        found = None if place.is_forced else _finished(recipe, place)
        if found:
            results[recipe] = found
    for group in groups([recipe for recipe in dict.fromkeys(recipes) if recipe not in results]):
        with devices.explaining_lack_of_memory(place.device):
            ends = _train(group, place)
        for recipe, ended in ends.items():
            if isinstance(ended, Result):
                results[recipe] = ended
            else:
                failures[recipe] = ended
    if failures:
        lines = "; ".join(f"{recipe.name}: {reason}" for recipe, reason in failures.items())
        raise PipelineError(f"{len(failures)} of {len(recipes)} networks failed: {lines}")
    return [results[recipe] for recipe in recipes]


def groups(recipes: Sequence[Recipe]) -> list[list[Recipe]]:
    """The recipes in stacks: those that agree in all but `VARYING` train together."""
    stacks: dict[tuple[str, ...], list[Recipe]] = {}
    for recipe in recipes:
        shared = tuple(
            canonical(getattr(recipe, item.name))
            for item in fields(Recipe)
            if item.name not in VARYING
        )
        stacks.setdefault(shared, []).append(recipe)
    return list(stacks.values())


def _fingerprint(recipe: Recipe, place: Workplace) -> str:
    settings = [f"{name}={value}" for name, value in recipe.parameters.items()]
    return fingerprint("network", *settings, place.data.digest, devices.describe(place.device))


def _finished(recipe: Recipe, place: Workplace) -> Result | None:
    """The result of a finished run with this recipe's fingerprint."""
    run = place.tracker.finished(_fingerprint(recipe, place))
    if run is None:
        return None
    try:
        result = recall(run, place.tracker)
    except PipelineError as error:
        _logger.warning("%s", error)
        return None
    place.console.line(f"{recipe.name}: trained before (run {run.id}); force=true trains it again")
    return result


class _Member:
    """One network of a stack: its recipe, its open run, and what has happened so far."""

    def __init__(self, recipe: Recipe, run: Run) -> None:
        self.recipe = recipe
        self.run = run
        self.history: list[EpochRecord] = []
        self.chosen: EpochRecord | None = None

    def log(self, record: EpochRecord) -> None:
        """Take in an epoch."""
        before = self.history[-1] if self.history else None
        self.history.append(replace(record, weights=None))
        self.run.metrics(metrics(record, before, self.history[0]), step=record.epoch)
        if record.weights is not None:
            self.chosen = record

    def finish(self, place: Workplace, *, stack_size: int) -> Result | str:
        """End the run with everything it is to show, or with the reason why it failed."""
        last = self.history[-1]
        if self.chosen is None or last.ending == "diverged":
            reason = (
                f"loss must stay finite, got NaN or infinity in epoch {last.epoch}: "
                "give a smaller learning_rate"
            )
            self.run.end("failed", reason)
            return reason
        try:
            self.run.tags({"chosen_epoch": str(self.chosen.epoch)})
            result = publish(
                self.run,
                self.recipe,
                history=self.history,
                chosen=self.chosen,
                data=place.data,
                device=place.device,
                stack_size=stack_size,
            )
            self.run.end("finished")
        except PipelineError as error:
            # The other networks of the stack are trained as well, and have their runs to end.
            with suppress(PipelineError):
                self.run.end("failed", str(error))
            return str(error)
        return result


def _train(recipes: Sequence[Recipe], place: Workplace) -> dict[Recipe, Result | str]:
    """Train one stack: each network's result, or why it failed."""
    training, validation = _examples(recipes[0], place)
    pixels = training.images.shape[1]
    stack = Stack(recipes, inputs=pixels, classes=len(place.data.classes)).to(place.device)
    with ExitStack() as context:
        members = [
            _Member(recipe, context.enter_context(run))
            for recipe, run in zip(recipes, _open(recipes, place), strict=True)
        ]
        for member in members:
            log_dataset(member.run, place.data, context="training")
        context.enter_context(watching_system([member.run for member in members]))
        with place.console.progress("training", recipes[0].epochs + 1) as advance:
            for records in epochs(stack, training=training, validation=validation):
                for record in records:
                    members[record.member].log(record)
                    place.console.line(_line(recipes[record.member], record))
                advance()
        return {member.recipe: member.finish(place, stack_size=len(members)) for member in members}


def _open(recipes: Sequence[Recipe], place: Workplace) -> Iterator[Run]:
    """The runs of the networks of a stack that is about to be trained."""
    for recipe, color in zip(recipes, itertools.cycle(COLORS), strict=False):
        yield place.tracker.start_network(
            recipe.name,
            recipe.parameters
            | {
                "device": str(place.device),
                "dataset": place.data.name,
                "dataset_digest": place.data.digest,
            },
            step=place.step,
            tags={
                **place.tags,
                "arm": recipe.arm,
                "device_name": devices.describe(place.device),
                "fingerprint": _fingerprint(recipe, place),
                "stack_size": str(len(recipes)),
                "validated_on": validation_name(recipe),
            },
            color=color,
        )


def _examples(recipe: Recipe, place: Workplace) -> tuple[Examples, Examples]:
    """What is trained on and what is validated on, on the device."""
    data = place.data
    kept, held_out = split(len(data.train_labels), recipe.holdout)
    pairs = [
        (data.train_images[kept], data.train_labels[kept]),
        (data.train_images[held_out], data.train_labels[held_out])
        if recipe.holdout
        else (data.test_images, data.test_labels),
    ]
    training, validation = (
        Examples(images.flatten(1).to(place.device), labels.to(place.device))
        for images, labels in pairs
    )
    return training, validation


def _line(recipe: Recipe, record: EpochRecord) -> str:
    """One epoch of one network, for the terminal."""
    parts = [f"{recipe.name}  epoch {record.epoch:>2}/{recipe.epochs}"]
    scores = (("train", record.train_eval), (validation_name(recipe), record.validation))
    parts += [
        f"{name} {score.loss:.4f} {100 * score.accuracy:.2f} %"
        for name, score in scores
        if score is not None
    ]
    states = [layer.states for layer in record.layers if layer.states is not None]
    if states:
        parts.append(f"dead {sum(int(state.dead.sum()) for state in states)}")
    if record.epoch_seconds is not None:
        parts.append(f"{record.epoch_seconds:.2f} s")
    return "  ".join(parts)
