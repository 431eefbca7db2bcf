"""Renders networks of one data set as one self-contained HTML page in which they run."""

import base64
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.config.settings import canonical
from pipeline.data import ImageData
from pipeline.explorer.explored import Explored
from pipeline.page import assemble
from pipeline.predict.layouts import LAYOUTS, layout_of
from pipeline.runs.answers import logits_of
from pipeline.training.stack import plain

SCRIPTS = (
    "run",
    "arithmetic",
    "position",
    "now",
    "pad",
    "samples",
    "outcome",
    "units",
    "sentences",
    "reading",
    "controls",
)
MOST_SAMPLES = 60


def render_page(networks: Sequence[Explored], data: ImageData) -> str:
    """One self-contained HTML file in which a digit is drawn and the networks answer.

    It holds the weights to the last bit, the history of every unit, and some test images.

    Args:
        networks: one, or two to be compared side by side, trained on these data.
        data: the images and the classes.
    """
    layout = LAYOUTS.get(layout_of(data.name))
    height, width = data.test_images.shape[1:]
    chosen = _samples(networks, data)
    run = {
        "dataset": data.name,
        "classes": data.classes,
        "height": height,
        "width": width,
        "layout": layout and asdict(layout),
        "samples": {
            "pixels": _packed(data.test_images[chosen].numpy()),
            "labels": data.test_labels[chosen].tolist(),
            "places": chosen,
        },
        "networks": [_network(network) for network in networks],
    }
    return assemble(__name__, SCRIPTS, run=run)


def _network(explored: Explored) -> dict[str, Any]:
    result = explored.result
    recipe = result.recipe
    largest = max(recipe.input_drop_rate, *map(recipe.drop_rate_of, recipe.layers))
    past = [record for record in result.history if record.epoch <= result.chosen.epoch]
    layers = []
    for index, name in enumerate(recipe.layers):
        weight = explored.weights[f"linear{index + 1}.weight"]
        layer: dict[str, Any] = {
            "name": name,
            "units": len(weight),
            "weight": _packed(weight),
            "bias": _packed(explored.weights[f"linear{index + 1}.bias"]),
            "activation": recipe.activation if name != "logits" else "none",
            # Of the largest rate, which the reader may change.
            "share": recipe.drop_rate_of(name) / largest
            if largest
            else float(recipe.output_dropout or name != "logits"),
        }
        states = [record.layers[index].states for record in past]
        if name in explored.fired_by_class:
            fired = np.stack([state.fired for state in states if state])
            layer["fired"] = _packed(fired.astype(np.uint32))
            layer["by_class"] = _packed(explored.fired_by_class[name].astype(np.uint32))
        layers.append(layer)
    return {
        "name": recipe.name,
        "drop_rate": largest,
        "input_share": recipe.input_drop_rate / largest if largest else 0.0,
        "rates": canonical(recipe.drop_rate)
        + (f" in={canonical(recipe.input_drop_rate)}" if recipe.input_drop_rate else ""),
        "seed": recipe.seed,
        "scaling": {
            "mean": float(explored.weights.get("scaling.mean", 0)),
            "deviation": float(explored.weights.get("scaling.deviation", 1)),
        },
        "epochs": [record.epoch for record in past],
        "accuracy": result.test.accuracy,
        "parameters": explored.parameters,
        "class_counts": explored.class_counts.tolist(),
        "layers": layers,
    }


def _samples(networks: Sequence[Explored], data: ImageData) -> list[int]:
    """Places of some test images, class by class: first what all networks tell, then mistakes."""
    labels = data.test_labels
    is_right = torch.ones(len(labels), dtype=torch.bool)
    for network in networks:
        asked = plain(network.result.recipe, network.weights).eval()
        is_right &= logits_of(asked, data.test_images).argmax(-1) == labels
    each = max(1, MOST_SAMPLES // (2 * len(data.classes)))
    found: list[int] = []
    for label in range(len(data.classes)):
        for kind in (is_right, ~is_right):
            found += torch.nonzero(kind & (labels == label))[:each, 0].tolist()
    return found


def _packed(array: NDArray[Any]) -> str:
    """The array's bytes, little end first, in base64."""
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()
