"""The tables of a comparison, as cells of text that every form of the report shows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.comparison.compare import Comparison, Pair
from pipeline.comparison.devices import DevicePair
from pipeline.comparison.groups import Group
from pipeline.comparison.measures import layer_names
from pipeline.comparison.statistics import estimate
from pipeline.comparison.words import (
    JOINER,
    number,
    percent_interval,
    percent_range,
    points,
    probability,
    signed,
    title,
    trait,
)
from pipeline.records.words import DASH, SPACE, percent


@dataclass(frozen=True)
class Table:
    """Columns and rows of plain text; the first column names the row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def groups_table(comparison: Comparison, *, is_narrow: bool = False) -> Table:
    """One row per group: number of networks, accuracy, and what their units do.

    Args:
        comparison: whose groups.
        is_narrow: for a terminal of 80 columns, without where another seed would lie.
    """
    rows = []
    for group in comparison.groups:
        mark = " (chosen)" if group is comparison.chosen else ""
        if not group.judged_by:
            mark = " (not compared)"
        rows.append(
            (
                f"{group.label}{mark if len(comparison.groups) > 1 else ''}",
                f"{len(group.results)}{_diverged(group)}",
                percent_interval(group.accuracy),
                DASH if is_narrow else percent_range(group.another_seed),
                number(group.estimate("val/loss").mean, 4),
                percent_interval(group.estimate("hidden_zeros"), 1),
                percent_interval(group.estimate("hidden_dead"), 1),
            )
        )
    columns = ("networks", "accuracy", "another seed", "loss", "hidden zeros", "dead units")
    return _known(Table((heading(comparison), *columns), tuple(rows)))


def _diverged(group: Group) -> str:
    return f", {len(group.diverged)} diverged" if group.diverged else ""


def pairs_table(pairs: Sequence[Pair], *, is_common: bool) -> Table:
    """One row per pair of groups: by how much the first is more accurate than the second.

    Args:
        pairs: of groups.
        is_common: all pairs share their first group, so rows do not name it.
    """
    rows = [
        (
            pair_label(pair, is_common=is_common),
            str(pair.difference.count),
            points(pair.difference),
            signed(pair.difference.effect_size),
            probability(pair.difference.p_value),
            probability(pair.difference.corrected),
            ("yes" if pair.is_told else "no") if pair.difference.count > 1 else DASH,
            probability(pair.beyond),
        )
        for pair in pairs
    ]
    columns = (
        "pair",
        "seeds",
        "difference (points)",
        "effect size",
        "p",
        "p corrected",
        "told apart",
        "p corrected, other images",
    )
    return _known(Table(columns, tuple(rows)))


def pair_label(pair: Pair, *, is_common: bool) -> str:
    """Which groups are compared; what both have in common is given once."""
    if is_common:
        return f"against {pair.second.label}"
    if pair.first.combination and pair.first.combination == pair.second.combination:
        first, second = (
            trait("drop_rate", group.first.recipe.drop_rate) for group in (pair.first, pair.second)
        )
        rates = f"{first} against {second}"
        return f"{rates}{JOINER}{pair.first.combination}"
    return f"{pair.first.label} against {pair.second.label}"


def _known(table: Table) -> Table:
    """The table without columns that hold nothing but dashes."""
    kept = [
        index
        for index in range(len(table.columns))
        if any(row[index] != DASH for row in table.rows)
    ]
    return Table(
        tuple(table.columns[index] for index in kept),
        tuple(tuple(row[index] for index in kept) for row in table.rows),
    )


def zeros_table(comparison: Comparison) -> Table:
    """One row per group and one column per layer: the share of zeros."""
    return _by_layer(comparison, "zero")


def dead_table(comparison: Comparison) -> Table:
    """One row per group and one column per layer: the share of dead units."""
    return _by_layer(comparison, "dead")


def causes_table(comparison: Comparison) -> Table:
    """One row per group and layer: zeros by cause, and the expected share."""
    kinds = ("zero_inactive", "zero_dropped", "zero_both", "zero", "zero_expected")
    rows = []
    for layer in layer_names(comparison.results):
        for group in comparison.groups:
            cells = [percent(group.estimate(f"{kind}/{layer}").mean) for kind in kinds]
            gaps = group.values(f"zero/{layer}") - group.values(f"zero_expected/{layer}")
            rows.append((f"{layer}, {group.label}", *cells, points(estimate(gaps))))
    columns = ("ReLU alone", "dropout alone", "both", "all zeros", "s + p - s p", "gap (points)")
    return Table((f"layer, {heading(comparison)}", *columns), tuple(rows))


def states_table(comparison: Comparison) -> Table:
    """One row per group and layer with ReLU: dead, dormant but alive, and born dead units."""
    kinds = ("dead", "dormant_but_alive", "born_dead")
    rows = []
    for layer in layer_names(comparison.results):
        for group in comparison.groups:
            shares = [group.estimate(f"{kind}/{layer}") for kind in kinds]
            if shares[0].count:
                cells = [percent_interval(share, 1) for share in shares]
                rows.append((f"{layer}, {group.label}", *cells))
    return Table(
        (f"layer, {heading(comparison)}", "dead", "dormant but alive", "born dead"), tuple(rows)
    )


def cost_table(comparison: Comparison) -> Table:
    """One row per group: the cost of training one of its networks, on average."""
    rows = [
        (
            group.label,
            number(group.estimate("speed/epoch_seconds").mean, 3),
            number(group.estimate("speed/samples_per_second").mean, 0),
            number(group.estimate("speed/peak_memory_mb").mean, 0),
            ", ".join(map(str, sorted({result.stack_size for result in group.results}))),
        )
        for group in comparison.groups
    ]
    columns = ("seconds per epoch", "samples per second", "peak memory (MB)", "stack size")
    return Table((heading(comparison), *columns), tuple(rows))


def devices_table(pair: DevicePair) -> Table:
    """One row per kind of number: how much it differs between two devices."""
    rows = []
    for gap in pair.gaps:
        mean, most = (
            f"{100 * value:.3f}{SPACE}points" if gap.is_share else f"{value:.2e}"
            for value in (gap.mean, gap.most)
        )
        rows.append((gap.name, mean, most) if math.isfinite(gap.mean) else (gap.name, DASH, DASH))
    return Table(("absolute difference in", "mean", "largest"), tuple(rows))


def networks_table(comparison: Comparison) -> Table:
    """One row per network, with the id of its run."""
    rows = []
    for group in comparison.groups:
        scores = zip(group.values("val/accuracy"), group.values("val/loss"), strict=True)
        for result, (accuracy, loss) in zip(group.results, scores, strict=True):
            label = f"{group.label}, seed {result.recipe.seed}"
            epoch = str(result.chosen.epoch)
            rows.append((label, percent(accuracy), number(loss, 4), epoch, result.run_id))
    columns = (f"{heading(comparison)}, seed", "accuracy", "loss", "epoch kept", "run")
    return Table(columns, tuple(rows))


def heading(comparison: Comparison) -> str:
    """The heading of the column with the groups' labels."""
    if len(comparison.differing) == 1:
        return title(comparison.differing[0]).removesuffix(" name")
    return "group"


def _by_layer(comparison: Comparison, kind: str) -> Table:
    columns = {
        layer: [group.estimate(f"{kind}/{layer}") for group in comparison.groups]
        for layer in layer_names(comparison.results)
    }
    known = {
        layer: column for layer, column in columns.items() if any(value.count for value in column)
    }
    rows = [
        (group.label, *(percent_interval(column[index], 1) for column in known.values()))
        for index, group in enumerate(comparison.groups)
    ]
    return Table((heading(comparison), *known), tuple(rows))
