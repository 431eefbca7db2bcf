"""Networks in groups by the settings that differ, their seeds as replicates."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.comparison.measures import numbers
from pipeline.comparison.statistics import Estimate, estimate
from pipeline.comparison.words import JOINER, trait
from pipeline.config.recipe import Recipe
from pipeline.records.result import Result
from why_zero.records import Floats

# Seeds are replicates, and other held-out images make another comparison; measuring leaves the
# numbers as they are.
_NO_TRAITS = frozenset({"seed", "holdout", "probe_every", "mask_passes", "drop_rate"})
TRAITS = (
    "drop_rate",
    *(item.name for item in fields(Recipe) if item.name not in _NO_TRAITS),
    "device",
    "device_name",
)


@dataclass(frozen=True, eq=False)
class Group:
    """Networks that differ in their seed alone.

    Attributes:
        label: what sets the group apart from the others that it is compared with, in words.
        combination: the same without the drop rate; empty where nothing else differs.
        results: one a seed, by rising seed.
    """

    label: str
    combination: str
    results: tuple[Result, ...]

    @property
    def first(self) -> Result:
        """One of the networks, for what they have in common."""
        return self.results[0]

    @property
    def drop_rate(self) -> float:
        """Of all of them."""
        return self.first.recipe.drop_rate

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the networks, rising."""
        return tuple(result.recipe.seed for result in self.results)

    @cached_property
    def _numbers(self) -> list[dict[str, float]]:
        return [numbers(result) for result in self.results]

    def values(self, measure: str) -> Floats:
        """A measure of each network, NaN where it was not measured, shape (seeds,).

        Args:
            measure: its name, see `measures.numbers`.
        """
        return np.array([found.get(measure, np.nan) for found in self._numbers])

    def estimate(self, measure: str) -> Estimate:
        """A measure's mean over the networks, with its interval."""
        return estimate(self.values(measure))


def traits(result: Result) -> dict[str, Any]:
    """Every setting that makes a group, by name."""
    return {
        name: getattr(result if name.startswith("device") else result.recipe, name)
        for name in TRAITS
    }


def grouped(results: Sequence[Result]) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """The groups, and the names of the settings in which they differ.

    Groups of one combination stand together, by rising drop rate. Of equal recipe, data and device
    the first network is taken.
    """
    by_traits: dict[tuple[Any, ...], dict[int, Result]] = {}
    for result in results:
        seeds = by_traits.setdefault(tuple(traits(result).values()), {})
        seeds.setdefault(result.recipe.seed, result)
    found = [dict(zip(TRAITS, key, strict=True)) for key in by_traits]
    # The short name says which device it was, unless it stands for two machines.
    machines = {(values["device"], values["device_name"]) for values in found}
    is_short_enough = len({short for short, _ in machines}) == len(machines)
    needless = "device_name" if is_short_enough else "device"
    differing = [
        name for name in TRAITS if name != needless and len({values[name] for values in found}) > 1
    ]
    others = [name for name in differing if name != "drop_rate"]
    members = sorted(
        zip(found, by_traits.values(), strict=True),
        key=lambda member: [member[0][name] for name in (*others, "drop_rate")],
    )
    groups = [_group(values, list(seeds.values()), differing) for values, seeds in members]
    return tuple(groups), tuple(differing)


def _group(values: dict[str, Any], members: Sequence[Result], differing: Sequence[str]) -> Group:
    others = [trait(name, values[name]) for name in differing if name != "drop_rate"]
    rate = trait("drop_rate", values["drop_rate"])
    # A rate alone needs no name: "0.2 is better than 0.5".
    rates = [rate if others else rate.removeprefix("p=")] if "drop_rate" in differing else []
    recipe = members[0].recipe
    return Group(
        label=JOINER.join([*rates, *others]) or recipe.label,
        combination=JOINER.join(others),
        results=tuple(sorted(members, key=lambda member: member.recipe.seed)),
    )
