"""Which groups are compared: the best one, and differences of accuracy over the same seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.comparison.groups import Group, grouped, traits
from pipeline.comparison.seeds import common_seeds
from pipeline.comparison.statistics import (
    LEVEL,
    Difference,
    corrected_p_values,
    differences,
    moments,
    p_values_of_all,
)
from pipeline.records.result import Failure, Result
from why_zero.records import Floats


@dataclass(frozen=True, eq=False)
class Pair:
    """Two groups, compared over the seeds that judge all groups.

    Attributes:
        first: the group that a positive difference favours.
        second: the group whose accuracy is subtracted.
        difference: of accuracy, as a share.
        beyond: the p value over seeds and images, corrected for all pairs, and never below that
            over seeds; NaN where a network's answers are not known image by image.
    """

    first: Group
    second: Group
    difference: Difference
    beyond: float

    @property
    def is_told(self) -> bool:
        """Whether the two can be told apart on the images that judge them."""
        return self.difference.is_told

    @property
    def is_told_beyond(self) -> bool:
        """Whether they can be told apart on other images of the same kind as well."""
        return self.is_told and self.beyond < 1 - LEVEL


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """Groups judged on the same images, so that their scores can be compared.

    Attributes:
        dataset: the name of the data set.
        digest: of all its bytes.
        holdout: how many of its training images they are judged on; 0 for the test set.
        groups: at least one; those of one combination stand together, by rising drop rate.
        differing: the names of the settings in which they differ.
        repeated: networks left out, since another has the same recipe, data and device.
        failures: networks that have no result, one for each recipe, data and device.
        seeds: by which groups are compared; empty where no two groups share one.
        chosen: the group with the highest mean validation accuracy over these seeds, and of
            several the smallest loss; None where nothing was held out, since it would be chosen by
            the test set, and where no two groups share a seed.
        against: the chosen group, or else the first, against each other group that is judged.
        neighbours: each drop rate against the next smaller one of its combination.
        tested: how many pairs of groups have a p value; each was corrected for all of them.
    """

    dataset: str
    digest: str
    holdout: int
    groups: tuple[Group, ...]
    differing: tuple[str, ...]
    repeated: int
    failures: tuple[Failure, ...]
    seeds: tuple[int, ...]
    chosen: Group | None
    against: tuple[Pair, ...]
    neighbours: tuple[Pair, ...]
    tested: int

    @property
    def results(self) -> list[Result]:
        """All networks, group by group."""
        return [result for group in self.groups for result in group.results]

    @property
    def judged(self) -> list[Group]:
        """The groups that are compared with each other."""
        return [group for group in self.groups if group.judged_by]

    @property
    def tied(self) -> list[Group]:
        """The groups with the highest accuracy: the chosen one, and any others as high."""
        if self.chosen is None:
            return []
        most = self.chosen.mean_accuracy
        return [group for group in self.judged if group.mean_accuracy == most]

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
        """Whether drop rates differ, each one number for all layers, so that they have an order."""
        return _has_rates(self.groups, self.differing)


def compare(results: Sequence[Result], failures: Sequence[Failure] = ()) -> list[Comparison]:
    """The networks by the images that judge them, in groups, each of these with every other.

    Args:
        results: of equal recipe, data and device the first is taken: give the newest first.
        failures: networks without a result; of those that have one nevertheless it counts.
    """
    by_images: dict[tuple[str, int], list[Result]] = {}
    for result in results:
        by_images.setdefault(_images(result), []).append(result)
    there = {_identity(result) for result in results}
    left = {_identity(failure): failure for failure in failures if _identity(failure) not in there}
    return [
        _compare(networks, [failure for failure in left.values() if _images(failure) == images])
        for images, networks in by_images.items()
    ]


def _identity(network: Result | Failure) -> tuple[Any, ...]:
    return *traits(network).values(), network.recipe.seed, *_images(network)


def _images(network: Result | Failure) -> tuple[str, int]:
    return network.dataset_digest, network.recipe.holdout


def _compare(results: Sequence[Result], failures: Sequence[Failure]) -> Comparison:
    groups, differing, places, seeds = _judged(results, failures)
    holdout = results[0].recipe.holdout
    chosen = None
    first = places[:1]
    if holdout and places:
        best = max(places, key=lambda place: _merit(groups[place]))
        chosen = groups[best] = replace(groups[best], chosen_from=len(places))
        first = [best]
    against = [(one, other) for one in first for other in places if other != one]
    neighbours = [
        (place, before)
        for before, place in pairwise(places)
        if _has_rates(groups, differing) and groups[place].combination == groups[before].combination
    ]
    pairs, tested = _pairs(groups, places, [*against, *neighbours])
    return Comparison(
        dataset=results[0].dataset,
        digest=results[0].dataset_digest,
        holdout=holdout,
        groups=tuple(groups),
        differing=differing,
        repeated=len(results) - sum(len(group.results) for group in groups),
        failures=tuple(failures),
        seeds=tuple(seeds),
        chosen=chosen,
        against=tuple(pairs[: len(against)]),
        neighbours=tuple(pairs[len(against) :]),
        tested=tested,
    )


def _judged(
    results: Sequence[Result], failures: Sequence[Failure]
) -> tuple[list[Group], tuple[str, ...], list[int], list[int]]:
    """All groups, in what they differ, the places of those judged, and by which seeds."""
    groups, differing = grouped(results, failures)
    places, seeds = common_seeds([group.all_seeds for group in groups])
    judged = set(places)
    marked = [
        replace(group, judged_by=tuple(seeds)) if place in judged else group
        for place, group in enumerate(groups)
    ]
    return marked, differing, places, seeds


def _has_rates(groups: Sequence[Group], differing: Sequence[str]) -> bool:
    by_layer = any(isinstance(group.first.recipe.drop_rate, tuple) for group in groups)
    return "drop_rate" in differing and not by_layer


def _pairs(
    groups: Sequence[Group], places: Sequence[int], pairs: Sequence[tuple[int, int]]
) -> tuple[list[Pair], int]:
    """Each pair of groups compared, and how many of all pairs have a p value."""
    if not pairs:
        return [], 0
    rows = {place: row for row, place in enumerate(places)}
    asked = [(rows[one], rows[other]) for one, other in pairs]
    table = np.array([groups[place].accuracies for place in places])
    found = moments(table)
    family = p_values_of_all(found)
    gaps = differences(found, asked, family=family)
    beyond = np.full(len(pairs), np.nan)
    if (by_image := _by_image([groups[place] for place in places])) is not None:
        allowing = corrected_p_values(moments(table, by_image), asked)
        # Images bring degrees of freedom with their variance, and yet no certainty about seeds.
        beyond = np.maximum(allowing, [gap.corrected for gap in gaps])
    return [
        Pair(groups[one], groups[other], gap, value)
        for (one, other), gap, value in zip(pairs, gaps, beyond.tolist(), strict=True)
    ], len(family)


def _by_image(groups: Sequence[Group]) -> Floats | None:
    """For each image the share of each group's networks that are right, shape (groups, images)."""
    shares = [group.right_by_image for group in groups]
    known = [share for share in shares if share is not None]
    is_whole = len(known) == len(shares) and len({len(share) for share in known}) == 1
    return np.array(known) if is_whole else None


def _merit(group: Group) -> tuple[float, float]:
    return group.mean_accuracy, -float(group.values("val/loss").mean())
