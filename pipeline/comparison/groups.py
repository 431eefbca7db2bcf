"""Who is compared with whom: networks in groups by what differs, their seeds as replicates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pipeline.comparison.words import JOINER, trait
from pipeline.config.recipe import Recipe
from pipeline.records.result import Result
from why_zero.records import Floats

# The seed makes replicates, the holdout another contest; measuring leaves the numbers as they are.
_APART = frozenset({"seed", "holdout", "probe_every", "mask_passes"})
TRAITS = (
    "drop_rate",
    *(item.name for item in fields(Recipe) if item.name not in _APART and item.name != "drop_rate"),
    "device",
    "device_name",
)


@dataclass(frozen=True, eq=False)
class Group:
    """Networks that differ in their seed alone.

    Attributes:
        label: what sets the group apart from the others of its contest, in words.
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

    def values(self, measure: Callable[[Result], float]) -> Floats:
        """A measure of each network, shape (seeds,)."""
        return np.array([measure(result) for result in self.results], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Contest:
    """Groups that the same images judge, so that their scores can be compared.

    Attributes:
        dataset: the name of the data set.
        digest: of all its bytes.
        holdout: how many of its training images judge; 0 for the test set.
        groups: at least one; those of one combination stand together, by rising drop rate.
        differing: the names of the settings in which they differ.
        repeated: networks left out, since another has the same recipe, data and device.
    """

    dataset: str
    digest: str
    holdout: int
    groups: tuple[Group, ...]
    differing: tuple[str, ...]
    repeated: int

    @property
    def results(self) -> list[Result]:
        """All networks, group by group."""
        return [result for group in self.groups for result in group.results]

    @property
    def validated_on(self) -> str:
        """What judges the networks, in words."""
        return self.groups[0].first.recipe.validated_on

    @property
    def combinations(self) -> dict[str, list[Group]]:
        """The groups of each combination of whatever differs besides the drop rate."""
        combined: dict[str, list[Group]] = {}
        for group in self.groups:
            combined.setdefault(group.combination, []).append(group)
        return combined

    @property
    def has_rates(self) -> bool:
        """Whether drop rates differ."""
        return "drop_rate" in self.differing


def contests(results: Sequence[Result]) -> list[Contest]:
    """The networks by the images that judge them, and there in groups.

    Args:
        results: of equal recipe, data and device the first is taken: give the newest first.
    """
    apart: dict[tuple[str, int], list[Result]] = {}
    for result in results:
        images = (result.dataset_digest, result.recipe.holdout)
        apart.setdefault(images, []).append(result)
    return [_contest(members) for members in apart.values()]


def traits(result: Result) -> dict[str, Any]:
    """Every setting that makes a group, by name."""
    return {
        name: getattr(result if name.startswith("device") else result.recipe, name)
        for name in TRAITS
    }


def _contest(results: Sequence[Result]) -> Contest:
    grouped: dict[tuple[Any, ...], dict[int, Result]] = {}
    for result in results:
        seeds = grouped.setdefault(tuple(traits(result).values()), {})
        seeds.setdefault(result.recipe.seed, result)
    every = [traits(result) for result in results]
    # The short name says which device it was, unless it stands for two machines.
    machines = {(values["device"], values["device_name"]) for values in every}
    is_short_enough = len({short for short, _ in machines}) == len(machines)
    needless = "device_name" if is_short_enough else "device"
    differing = [
        name for name in TRAITS if name != needless and len({values[name] for values in every}) > 1
    ]
    others = [name for name in differing if name != "drop_rate"]
    keys = sorted(grouped, key=lambda key: _order(key, others))
    groups = [_group(list(grouped[key].values()), differing) for key in keys]
    return Contest(
        dataset=results[0].dataset,
        digest=results[0].dataset_digest,
        holdout=results[0].recipe.holdout,
        groups=tuple(groups),
        differing=tuple(differing),
        repeated=len(results) - sum(len(seeds) for seeds in grouped.values()),
    )


def _order(key: tuple[Any, ...], others: Sequence[str]) -> tuple[Any, ...]:
    values = dict(zip(TRAITS, key, strict=True))
    return (*(values[name] for name in others), values["drop_rate"])


def _group(members: Sequence[Result], differing: Sequence[str]) -> Group:
    values, recipe = traits(members[0]), members[0].recipe
    others = [trait(name, values[name]) for name in differing if name != "drop_rate"]
    rate = trait("drop_rate", values["drop_rate"])
    # A rate alone needs no name: "0.2 is better than 0.5".
    own = [rate if others else rate.removeprefix("p=")] if "drop_rate" in differing else []
    return Group(
        label=JOINER.join([*own, *others]) or recipe.name.removesuffix(f" seed {recipe.seed}"),
        combination=JOINER.join(others),
        results=tuple(sorted(members, key=lambda member: member.recipe.seed)),
    )
