"""A trained network without its dead units: the same answers from smaller widths."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from pipeline.config.recipe import Recipe
from pipeline.data import ImageData, as_input, split
from pipeline.markdown import table
from pipeline.records import EpochRecord, History, LayerRecord, Score, Weights
from pipeline.records.words import percent
from pipeline.runs.answers import answers, validation_data
from pipeline.training.batches import EVALUATION_BATCH
from why_zero import Compacted, census, compact, dead_units
from why_zero.records import UnitStates, ZeroCauses

Record = TypeVar("Record", LayerRecord, UnitStates, ZeroCauses)


@dataclass(frozen=True, kw_only=True)
class SmallerNetwork:
    """A network of ours without the units that were dead.

    Attributes:
        recipe: the original's, with the widths that are left.
        weights: under the names that `plain` gives them.
        found: what was removed, and how the outputs differ.
        validation: its score on the images that validated the original.
    """

    recipe: Recipe
    weights: Weights
    found: Compacted
    validation: Score


def without_dead_units(recipe: Recipe, network: nn.Sequential, data: ImageData) -> SmallerNetwork:
    """The network without the units that are dead over the images trained on.

    Args:
        recipe: of the network.
        network: plain, in evaluation mode on the CPU.
        data: what it was trained on.

    Raises:
        WhyZeroError: the smaller network is not the same.
    """
    kept, _ = split(len(data.train_labels), recipe.holdout)
    training = _Inputs(data.train_images[kept])
    judges = validation_data(data, recipe.holdout)
    # A network without ReLU has no dead units, and no states to count.
    states = census(network, training) if recipe.activation == "relu" else {}
    found = compact(network, dead_units(states), training, held_out=_Inputs(judges.test_images))
    weights = {name: value.numpy() for name, value in found.module.state_dict().items()}
    widths = tuple(len(weights[f"linear{i}.bias"]) for i, _ in enumerate(recipe.widths, start=1))
    return SmallerNetwork(
        recipe=replace(recipe, widths=widths),
        weights=weights,
        found=found,
        validation=answers(found.module, judges).score,
    )


def metrics_of(smaller: SmallerNetwork, original: Score) -> dict[str, float]:
    """What became of the network, under the names that MLflow shows.

    Args:
        smaller: the network.
        original: the original's score on the test set.
    """
    found = smaller.found
    measured = {
        "parameters_before": found.parameters_before,
        "parameters_after": found.parameters_after,
        "multiplications_before": found.multiplications_before,
        "multiplications_after": found.multiplications_after,
        "test_accuracy_before": original.accuracy,
        "test_loss_before": original.loss,
        "largest_difference": found.largest_difference,
        "held_out_difference": found.held_out_difference,
        "held_out_changed": found.held_out_changed,
    }
    named = {f"compact/{name}": float(x) for name, x in measured.items() if x is not None}
    return named | {
        "val/loss": smaller.validation.loss,
        "val/accuracy": smaller.validation.accuracy,
    }


def compaction(metrics: Mapping[str, float], test: Score, *, validated_on: str) -> str:
    """What compacting has changed, as Markdown.

    Args:
        metrics: of the smaller network's run, as `metrics_of` names them.
        test: the smaller network's score on the test set.
        validated_on: what validates it, in words.
    """
    of = {name.removeprefix("compact/"): value for name, value in metrics.items()}
    rows = [
        (name.replace("_", " "), f"{of[f'{name}_before']:,.0f}", f"{of[f'{name}_after']:,.0f}")
        for name in ("parameters", "multiplications")
    ]
    rows += [
        ("test accuracy", percent(of["test_accuracy_before"]), percent(test.accuracy)),
        ("test loss", f"{of['test_loss_before']:.6f}", f"{test.loss:.6f}"),
    ]
    return table(("", "original", "compacted"), rows) + (
        f"\n\nNo logit differs by more than {of['largest_difference']:.2g} on the images trained "
        f"on, and {of['held_out_difference']:.2g} on the {validated_on}, of which "
        f"{percent(of['held_out_changed'])} get another answer. Multiplications are for one image."
    )


def history_without(history: History, removed: Mapping[str, Sequence[int]]) -> list[EpochRecord]:
    """The records of a network's training, of the units alone that are left.

    Args:
        history: its records.
        removed: the units that are not, by the layers' names in `plain`.
    """
    return [
        replace(
            record,
            layers=tuple(
                _without(layer, removed.get(f"linear{number}", ()))
                for number, layer in enumerate(record.layers, start=1)
            ),
        )
        for record in history
    ]


def _without(layer: LayerRecord, units: Sequence[int]) -> LayerRecord:
    if not units:
        return layer
    states = layer.states and _arrays_without(layer.states, units)
    causes = _arrays_without(layer.causes, units)
    return replace(_arrays_without(layer, units), causes=causes, states=states)


def _arrays_without(record: Record, units: Sequence[int]) -> Record:
    """A record whose arrays, all by unit, lack these."""
    arrays = {item.name: getattr(record, item.name) for item in fields(record)}
    rest: dict[str, Any] = {
        name: np.delete(array, list(units))
        for name, array in arrays.items()
        if isinstance(array, np.ndarray)
    }
    return replace(record, **rest)


@dataclass(frozen=True)
class _Inputs:
    """Images as a network takes them, made as often as they are asked for."""

    images: UInt8[Tensor, "images height width"]

    def __iter__(self) -> Iterator[Float32[Tensor, "batch 1 height width"]]:
        return (as_input(images) for images in self.images.split(EVALUATION_BATCH))
