"""Networks of one activation and drop rate, and their means."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.config.recipe import Recipe
from pipeline.plots.causes import cause_shares
from pipeline.records import EpochRecord, LayerRecord
from why_zero.records import Floats

Result = tuple[Recipe, EpochRecord]


@dataclass
class Group:
    """The networks of one activation and drop rate, each with one epoch.

    Attributes:
        activation: of all of them.
        drop_rate: of all of them.
        networks: recipe and epoch of each.
    """

    activation: str
    drop_rate: float
    networks: list[Result] = field(default_factory=list)

    @property
    def accuracies(self) -> Floats:
        """Each network's share of validation images predicted right, where there is one."""
        scores = [record.validation for _, record in self.networks]
        return np.array([score.accuracy for score in scores if score is not None])

    @property
    def accuracy(self) -> float:
        """The mean of the accuracies that are numbers; NaN where none is."""
        known = self.accuracies[np.isfinite(self.accuracies)]
        return float(known.mean()) if known.size else math.nan

    @property
    def hidden_zeros(self) -> float:
        """The share of all hidden activations that were zero, a mean over the networks."""
        shares = []
        for _, record in self.networks:
            hidden = [layer.causes for layer in record.layers if layer.name != "logits"]
            active = sum(int(causes.active.sum()) for causes in hidden)
            pairs = sum(causes.pairs for causes in hidden)
            shares.append(1 - active / pairs if pairs else math.nan)
        return float(np.mean(shares))

    def shares(self, name: str) -> Floats:
        """A layer's causes and, last, its expected share of zeros; means, shape (5,)."""
        rows = [
            np.append(cause_shares(layer.causes), _expected_zeros(recipe, layer))
            for recipe, record in self.networks
            for layer in record.layers
            if layer.name == name
        ]
        return np.mean(rows, axis=0) if rows else np.full(5, math.nan)


def group(results: Sequence[Result]) -> dict[str, list[Group]]:
    """The groups of each activation, by rising drop rate."""
    groups: dict[tuple[str, float], Group] = {}
    for recipe, record in results:
        common = (recipe.activation, recipe.drop_rate)
        groups.setdefault(common, Group(*common)).networks.append((recipe, record))
    arms: dict[str, list[Group]] = {}
    for one in sorted(groups.values(), key=lambda one: one.drop_rate):
        arms.setdefault(one.activation, []).append(one)
    return arms


def layer_names(results: Sequence[Result]) -> list[str]:
    """The names of all layers, the logits last."""
    names = dict.fromkeys(layer.name for _, record in results for layer in record.layers)
    return sorted(names, key=lambda name: name == "logits")


def _expected_zeros(recipe: Recipe, layer: LayerRecord) -> float:
    # ReLU and dropout are independent: s + p - s p, with s from the same pass.
    p: float = recipe.drop_rate_of(layer.name)
    s = layer.causes.share("inactive") + layer.causes.share("both")
    return s + p - s * p
