"""The tables of a comparison, as cells of text that every form of the report shows."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.comparison import measures
from pipeline.comparison.devices import DevicePair
from pipeline.comparison.groups import Contest
from pipeline.comparison.standings import Pair, Standings
from pipeline.comparison.statistics import estimate
from pipeline.comparison.words import (
    DASH,
    JOINER,
    SPACE,
    number,
    percent,
    percent_interval,
    points,
    probability,
    signed,
    title,
)
from pipeline.records.result import Result


@dataclass(frozen=True)
class Table:
    """Columns and rows of plain text; the first column names the row."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def groups_table(standings: Standings) -> Table:
    """A row a group: how many networks, how right, and what their units do."""
    contest = standings.contest
    rows = []
    for group in contest.groups:
        accuracies = estimate(group.values(measures.accuracy))
        mark = " (chosen)" if group is standings.chosen and len(contest.groups) > 1 else ""
        rows.append(
            (
                f"{group.label}{mark}",
                str(accuracies.count),
                percent_interval(accuracies),
                percent(float(group.values(measures.error).mean())),
                number(float(group.values(measures.loss).mean()), 4),
                percent_interval(estimate(group.values(measures.hidden_zeros)), 1),
                percent_interval(estimate(group.values(measures.hidden_dead)), 1),
            )
        )
    columns = ("networks", "accuracy", "error", "loss", "hidden zeros", "dead units")
    return Table((heading(contest), *columns), tuple(rows))


def pairs_table(pairs: Sequence[Pair], *, is_common: bool) -> Table:
    """A row a pair of groups: by how much the first is more accurate than the second.

    Args:
        pairs: of groups.
        is_common: all have their first group in common, which need not be named in every row.
    """
    rows = [
        (
            pair_label(pair, is_common=is_common),
            str(pair.difference.estimate.count),
            points(pair.difference.estimate),
            signed(pair.difference.effect_size),
            probability(pair.difference.p_value),
            probability(pair.corrected),
            "yes" if pair.is_told else "no",
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
    )
    return Table(columns, tuple(rows))


def pair_label(pair: Pair, *, is_common: bool) -> str:
    """Who is compared with whom; what both have in common is said once."""
    if is_common:
        return f"against {pair.other.label}"
    if pair.one.combination and pair.one.combination == pair.other.combination:
        rates = f"p={pair.one.drop_rate:g} against p={pair.other.drop_rate:g}"
        return f"{rates}{JOINER}{pair.one.combination}"
    return f"{pair.one.label} against {pair.other.label}"


def zeros_table(contest: Contest) -> Table:
    """A row a group and a column a layer: the share of zeros."""
    return _by_layer(contest, lambda result, layer: measures.zeros(result, layer).zero)


def dead_table(contest: Contest) -> Table:
    """A row a group and a column a layer: the share of dead units."""
    return _by_layer(contest, lambda result, layer: measures.states(result, layer).dead)


def causes_table(contest: Contest) -> Table:
    """A row a group and layer: zeros by cause, and what was expected of them."""
    columns = ("ReLU alone", "dropout alone", "both", "all zeros", "s + p - s p", "gap (points)")
    rows = []
    for layer in measures.layer_names(contest.results):
        for group in contest.groups:
            each = [measures.zeros(result, layer) for result in group.results]
            shares = [
                [zeros.inactive for zeros in each],
                [zeros.dropped for zeros in each],
                [zeros.both for zeros in each],
                [zeros.zero for zeros in each],
                [zeros.expected for zeros in each],
            ]
            gap = estimate([zeros.zero - zeros.expected for zeros in each])
            cells = [percent(estimate(values).mean) for values in shares]
            rows.append((f"{layer}, {group.label}", *cells, points(gap)))
    return Table((f"layer, {heading(contest)}", *columns), tuple(rows))


def states_table(contest: Contest) -> Table:
    """A row a group and layer with ReLU: dead, dormant and born dead units."""
    rows = []
    for layer in measures.layer_names(contest.results):
        for group in contest.groups:
            each = [measures.states(result, layer) for result in group.results]
            shares = [
                estimate([states.dead for states in each]),
                estimate([states.dormant for states in each]),
                estimate([states.born_dead for states in each]),
            ]
            if shares[0].count:
                cells = [percent_interval(share, 1) for share in shares]
                rows.append((f"{layer}, {group.label}", *cells))
    return Table((f"layer, {heading(contest)}", "dead", "dormant", "born dead"), tuple(rows))


def cost_table(contest: Contest) -> Table:
    """A row a group: what training one of its networks took, means over its networks."""
    rows = []
    for group in contest.groups:
        costs = [measures.cost(result) for result in group.results]
        sizes = sorted({cost.stack_size for cost in costs})
        speed = estimate([cost.samples_per_second for cost in costs]).mean
        memory = estimate([cost.peak_memory_mb for cost in costs]).mean
        rows.append(
            (
                group.label,
                number(estimate([cost.epoch_seconds for cost in costs]).mean, 3),
                number(speed, 0),
                number(memory, 0),
                ", ".join(map(str, sizes)),
            )
        )
    columns = ("seconds an epoch", "samples a second", "peak memory (MB)", "stack size")
    return Table((heading(contest), *columns), tuple(rows))


def devices_table(pair: DevicePair) -> Table:
    """A row a kind of number: how far it differs between two devices."""
    rows = []
    for gap in pair.gaps:
        mean, most = (
            f"{100 * value:.3f}{SPACE}points" if gap.is_share else f"{value:.2e}"
            for value in (gap.mean, gap.most)
        )
        rows.append((gap.name, mean, most) if math.isfinite(gap.mean) else (gap.name, DASH, DASH))
    return Table(("absolute difference of", "mean", "greatest"), tuple(rows))


def networks_table(contest: Contest) -> Table:
    """A row a network, with the id of its run."""
    rows = [
        (
            f"{group.label}, seed {result.recipe.seed}",
            percent(measures.accuracy(result)),
            number(measures.loss(result), 4),
            str(result.chosen.epoch),
            result.run_id,
        )
        for group in contest.groups
        for result in group.results
    ]
    columns = (f"{heading(contest)}, seed", "accuracy", "loss", "epoch kept", "run")
    return Table(columns, tuple(rows))


def heading(contest: Contest) -> str:
    """What the labels of the groups say."""
    if len(contest.differing) == 1:
        return title(contest.differing[0]).removesuffix(" name")
    return "group"


def _by_layer(contest: Contest, measure: Callable[[Result, str], float]) -> Table:
    columns = {
        layer: [
            estimate([measure(result, layer) for result in group.results])
            for group in contest.groups
        ]
        for layer in measures.layer_names(contest.results)
    }
    known = {name: column for name, column in columns.items() if any(one.count for one in column)}
    rows = [
        (group.label, *(percent_interval(column[index], 1) for column in known.values()))
        for index, group in enumerate(contest.groups)
    ]
    return Table((heading(contest), *known), tuple(rows))
