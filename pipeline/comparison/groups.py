"""Networks in groups by the settings that differ, their seeds as replicates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.comparison.measures import numbers
from pipeline.comparison.statistics import Estimate, estimate
from pipeline.comparison.words import JOINER, trait
from pipeline.config.recipe import Recipe
from pipeline.config.settings import canonical
from pipeline.records.result import Failure, Result
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
# Of accuracies, beyond which they differ by rounding alone.
_DIGITS = 12


@dataclass(frozen=True, eq=False)
class Group:
    """Networks that differ in their seed alone.

    Attributes:
        label: what sets the group apart from the others that it is compared with, in words.
        combination: the same without the drop rate; empty where nothing else differs.
        results: one a seed, by rising seed.
        diverged: the seeds whose networks diverged, rising.
        judged_by: the seeds by which it is compared with the others, rising; empty where it
            shares too few with them.
        chosen_from: of how many groups it has the highest accuracy; 1 for one that is not chosen.
    """

    label: str
    combination: str
    results: tuple[Result, ...]
    diverged: tuple[int, ...] = ()
    judged_by: tuple[int, ...] = ()
    chosen_from: int = 1

    @property
    def first(self) -> Result:
        """One of the networks, for what they have in common."""
        return self.results[0]

    @property
    def drop_rate(self) -> float:
        """Of all of them; the mean of the hidden layers' where they differ."""
        return self.first.recipe.mean_drop_rate

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the networks, rising."""
        return tuple(result.recipe.seed for result in self.results)

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The same with those whose networks diverged."""
        return tuple(sorted({*self.seeds, *self.diverged}))

    @property
    def accuracies(self) -> Floats:
        """Validation accuracies by the seeds that judge the group, or else all, shape (seeds,).

        A network that diverged answers nothing, so it is right for no image: the worst score, as
        for patients who do not live to be examined (Lachin 1999).
        """
        known = dict(zip(self.seeds, self.values("val/accuracy").tolist(), strict=True))
        return np.array([known.get(seed, 0.0) for seed in self.judged_by or self.all_seeds])

    @property
    def accuracy(self) -> Estimate:
        """Their mean, with an interval that holds although the group was chosen by it."""
        return estimate(self.accuracies, chosen_from=self.chosen_from)

    @property
    def another_seed(self) -> Estimate:
        """The same mean, with the interval that holds the accuracy of another seed."""
        return estimate(self.accuracies).for_one_more

    @property
    def mean_accuracy(self) -> float:
        """Their mean; means that are equal on paper are equal."""
        return round(float(self.accuracies.mean()), _DIGITS)

    @property
    def right_by_image(self) -> Floats | None:
        """For each image the share of the networks that judge the group which are right.

        None where a network's answers are not known; shape (images,).
        """
        seeds = self.judged_by or self.all_seeds
        known = [result.is_right for result in self.results if result.recipe.seed in seeds]
        whole = [is_right for is_right in known if is_right is not None]
        if not whole or len(whole) < len(known) or len({len(one) for one in whole}) > 1:
            return None
        return np.sum(whole, axis=0) / len(seeds)

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


def traits(result: Result | Failure) -> dict[str, Any]:
    """Every setting that makes a group, by name."""
    return {
        name: getattr(result if name.startswith("device") else result.recipe, name)
        for name in TRAITS
    }


def grouped(
    results: Sequence[Result], failures: Sequence[Failure] = ()
) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """The groups, and the names of the settings in which they differ.

    Groups of one combination stand together, by rising drop rate. Of equal recipe, data and device
    the first network is taken.

    Args:
        results: of networks that finished, at least one.
        failures: those that diverged are added to the groups, but make none.
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
        key=lambda member: [*(member[0][name] for name in others), _rate_order(member[1])],
    )
    diverged: dict[tuple[Any, ...], set[int]] = {}
    for failure in failures:
        if failure.has_diverged:
            diverged.setdefault(tuple(traits(failure).values()), set()).add(failure.recipe.seed)
    groups = [
        replace(
            _group(values, list(seeds.values()), differing),
            diverged=tuple(sorted(diverged.get(tuple(values.values()), set()) - seeds.keys())),
        )
        for values, seeds in members
    ]
    return tuple(groups), tuple(differing)


def _rate_order(members: Mapping[int, Result]) -> tuple[float, str]:
    """By the mean over the hidden layers, where rates differ by layer."""
    recipe = next(iter(members.values())).recipe
    return recipe.mean_drop_rate, canonical(recipe.drop_rate)


def _group(values: dict[str, Any], members: Sequence[Result], differing: Sequence[str]) -> Group:
    # Without recycling its threshold says nothing.
    silent = {"drop_rate"} if values["recycle_every"] else {"drop_rate", "recycle_below"}
    others = [trait(name, values[name]) for name in differing if name not in silent]
    rate = trait("drop_rate", values["drop_rate"])
    # A rate alone needs no name: "0.2 is better than 0.5".
    rates = [rate if others else rate.removeprefix("p=")] if "drop_rate" in differing else []
    recipe = members[0].recipe
    return Group(
        label=JOINER.join([*rates, *others]) or recipe.label,
        combination=JOINER.join(others),
        results=tuple(sorted(members, key=lambda member: member.recipe.seed)),
    )
