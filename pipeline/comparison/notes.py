"""What to know before believing a comparison: missing seeds, networks that failed."""

from collections.abc import Sequence

import numpy as np

from pipeline.comparison.compare import Comparison
from pipeline.comparison.groups import Group, traits
from pipeline.comparison.statistics import stragglers
from pipeline.comparison.words import count, listed, seed_list
from pipeline.records.words import percent

# More than this are counted, not named.
_NAMED = 3
_NO_TYPICAL = "The group's mean, interval and tests describe no typical network of it."


def notes(comparison: Comparison) -> list[str]:
    """Sentences; none where every group has the same seeds and all its networks are alike."""
    return [
        *_seeds(comparison),
        *_diverged(comparison),
        *_never_finished(comparison),
        *_collapsed(comparison),
    ]


def _seeds(comparison: Comparison) -> list[str]:
    """By which seeds groups are judged where not all have the same, and who lacks which."""
    if not comparison.seeds or len(comparison.groups) == 1:
        return []
    judged, seeds = comparison.judged, comparison.seeds
    every = sorted({seed for group in judged for seed in group.all_seeds})
    others = [group for group in comparison.groups if not group.judged_by]
    sentences = []
    if len(every) > len(seeds):
        lacking = [
            f"{group.label} lacks {seed_list(missing)}"
            for group in judged
            if (missing := [seed for seed in every if seed not in group.all_seeds])
        ]
        sentences.append(
            f"Accuracies are over {seed_list(seeds)} alone, which all groups compared have: "
            f"{_abridged(lacking, 'group')}."
        )
    if others:
        whose = [f"{group.label} has {seed_list(group.all_seeds)}" for group in others]
        sentences.append(
            f"Groups that share too few seeds with the others are not compared with them: "
            f"{_abridged(whose, 'group')}, the others {seed_list(seeds)}."
        )
    return sentences


def _diverged(comparison: Comparison) -> list[str]:
    """Which networks diverged, and what they count."""
    counted: list[tuple[Group, int]] = []
    others: list[tuple[Group, int]] = []
    for group in comparison.groups:
        for seed in group.diverged:
            is_counted = seed in (group.judged_by or group.all_seeds)
            (counted if is_counted else others).append((group, seed))
    sentences = []
    if counted:
        one = "A network that diverged counts"
        which = one if len(counted) == 1 else "Networks that diverged count"
        sentences.append(f"{which} as right for no image: {_which(counted)}.")
    if others:
        sentences.append(f"Diverged, but not among the seeds compared: {_which(others)}.")
    return sentences


def _which(networks: Sequence[tuple[Group, int]]) -> str:
    seeds: dict[str, list[int]] = {}
    for group, seed in networks:
        seeds.setdefault(group.label, []).append(seed)
    texts = [f"{seed_list(found)} of {label}" for label, found in seeds.items()]
    return _abridged(texts, "group")


def _never_finished(comparison: Comparison) -> list[str]:
    """Settings none of whose networks has a result."""
    there = {tuple(traits(group.first).values()) for group in comparison.groups}
    seeds: dict[str, list[int]] = {}
    for failure in comparison.failures:
        if tuple(traits(failure).values()) not in there:
            seeds.setdefault(failure.recipe.label, []).append(failure.recipe.seed)
    found = [f"{label} ({seed_list(sorted(failed))})" for label, failed in seeds.items()]
    if not found:
        return []
    return [f"Of these settings every network failed, so they are not compared: {listed(found)}."]


def _collapsed(comparison: Comparison) -> list[str]:
    """Networks far below the others of their group, of those that finished."""
    groups = [group for group in comparison.judged or comparison.groups if not group.diverged]
    by_count: dict[int, list[Group]] = {}
    for group in groups:
        by_count.setdefault(len(group.accuracies), []).append(group)
    found = []
    for alike in by_count.values():
        table = np.array([group.accuracies for group in alike])
        for row, column in np.argwhere(stragglers(table)):
            group = alike[row]
            seed = (group.judged_by or group.all_seeds)[column]
            score = percent(float(table[row, column]))
            found.append(f"seed {seed} of {group.label} ({score})")
    if not found:
        return []
    many = f"{count(len(found), 'network').capitalize()} lie{'s' * (len(found) == 1)}"
    which = _abridged(found, "network")
    return [f"{many} far below the others of the same group: {which}. {_NO_TYPICAL}"]


def _abridged(texts: Sequence[str], noun: str) -> str:
    if len(texts) <= _NAMED + 1:
        return listed(texts)
    return listed([*texts[:_NAMED], f"{count(len(texts) - _NAMED, f'more {noun}')}"])
