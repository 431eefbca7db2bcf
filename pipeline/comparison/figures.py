"""The figures of a comparison: which numbers go into which panel."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from pipeline import plots
from pipeline.comparison.compare import Comparison, Pair
from pipeline.comparison.groups import Group
from pipeline.comparison.headline import headline
from pipeline.comparison.measures import layer_names
from pipeline.comparison.statistics import Estimate
from pipeline.comparison.tables import pair_label
from why_zero.records import Cause, Floats

# What is more than this is in the tables alone: rows of a figure, and bars of one layer.
MOST_ROWS, MOST_BARS = 24, 12
# Figures by layer are drawn for so many combinations, the most accurate ones.
MOST_COMBINATIONS = 3

Panels = list[tuple[str, Figure]]


def accuracy_panel(comparison: Comparison) -> tuple[str, Figure]:
    """Accuracy against the drop rate; where this does not differ, by group."""
    if not comparison.has_rates:
        return _accuracy_rows(comparison)
    curves, scale = _curves(comparison)
    name = _measure(comparison)
    return f"{name}: {headline(comparison)}", plots.draw_means(curves, scale, title=name)


def sweep_figure(comparison: Comparison, *, title: str) -> Figure:
    """Accuracies, and the causes of zeros of the combination with the highest one.

    Args:
        comparison: of drop rates.
        title: whose networks they are.
    """
    curves, scale = _curves(comparison)
    [(label, groups)] = leading(comparison, 1).items()
    [leader] = [curve for curve in curves if curve.label == label]
    zeros = {
        layer: found for layer in _layers(groups) if (found := _zeros(groups, layer)) is not None
    }
    seeds = max(len(group.results) for group in comparison.groups)
    means = (
        "dots: means with 95 % intervals, rings: single networks" if seeds > 1 else "dots: networks"
    )
    whose = f" · zeros: {label}" if zeros and len(curves) > 1 else ""
    return plots.draw_sweep(
        [leader, *(curve for curve in curves if curve is not leader)],
        zeros,
        scale,
        finding=headline(comparison),
        caption=f"{title} · {means}{whose}",
        measure=_measure(comparison),
    )


def _measure(comparison: Comparison) -> str:
    return f"accuracy on the {comparison.validated_on} (%)"


def _curves(comparison: Comparison) -> tuple[list[plots.Curve], plots.Scale]:
    """Accuracies by drop rate, a curve for each of the leading combinations."""
    combinations = leading(comparison, len(plots.CURVES))
    scale = _rate_scale([group for groups in combinations.values() for group in groups])
    curves = [
        plots.Curve(
            label,
            np.array([group.drop_rate for group in groups]),
            *_arrays([group.accuracy for group in groups]),
            [group.accuracies for group in groups],
        )
        for label, groups in combinations.items()
    ]
    return curves, scale


def _accuracy_rows(comparison: Comparison) -> tuple[str, Figure]:
    groups = _most_accurate(comparison.groups, MOST_ROWS)
    axis = _measure(comparison)
    figure = plots.draw_rows(
        [group.label for group in groups],
        *_arrays([group.accuracy for group in groups]),
        axis=axis,
        is_filled=[True] * len(groups),
    )
    return f"{axis}: {headline(comparison)}", figure


def difference_panel(pairs: Sequence[Pair], *, is_common: bool) -> tuple[str, Figure]:
    """Differences in accuracy with their intervals.

    Args:
        pairs: of these the nearest are drawn, if there are many.
        is_common: all have their first group in common, which need not be named in every row.
    """
    nearest = sorted(pairs, key=lambda pair: abs(pair.difference.mean))[:MOST_ROWS]
    shown = [pair for pair in pairs if pair in nearest]
    name = "difference in accuracy (points)"
    figure = plots.draw_rows(
        [pair_label(pair, is_common=is_common) for pair in shown],
        *_arrays([pair.difference for pair in shown]),
        axis=name,
        is_filled=[pair.is_told for pair in shown],
        origin=0.0,
    )
    return name, figure


def zero_panels(comparison: Comparison, groups: Sequence[Group]) -> Panels:
    """Causes of zeros, one panel per layer that has any."""
    positions, scale = _positions(comparison, groups)
    panels = []
    for layer in _layers(groups):
        if (zeros := _zeros(groups, layer)) is not None:
            figure = plots.draw_zero_rates(positions, zeros, scale, title=layer)
            panels.append((f"causes of zeros in {layer}", figure))
    return panels


def has_cause(comparison: Comparison, cause: Cause) -> bool:
    """Whether any activation of any network was zero for this cause."""
    return any(
        bool((group.values(f"zero_{cause}/{layer}") > 0).any())
        for group in comparison.groups
        for layer in _layers(comparison.groups)
    )


def _zeros(groups: Sequence[Group], layer: str) -> plots.Zeros | None:
    """Why a layer's activations were zero; None where none was, or nothing was watched."""
    measured = [group.estimate(f"zero/{layer}") for group in groups]
    if not any(zero.count and zero.mean for zero in measured):
        return None
    shares = {
        cause: [group.estimate(f"zero_{cause}/{layer}").mean for group in groups]
        for cause in plots.CAUSE_LOOKS
        if cause != "active"
    } | {"active": [1 - zero.mean for zero in measured]}
    return plots.Zeros(
        shares=np.array([shares[cause] for cause in plots.CAUSE_LOOKS]).T,
        measured=_arrays(measured),
        expected=_arrays([group.estimate(f"zero_expected/{layer}") for group in groups])[0],
    )


def state_panels(comparison: Comparison, groups: Sequence[Group]) -> Panels:
    """Dead, dormant but alive, and born dead units, one panel per layer with ReLU."""
    positions, scale = _positions(comparison, groups)
    states = {
        layer: {
            name: [group.estimate(f"{name.replace(' ', '_')}/{layer}") for group in groups]
            for name in plots.STATES
        }
        for layer in _layers(groups)
    }
    known = {
        layer: estimates
        for layer, estimates in states.items()
        if any(value.count for value in estimates["dead"])
    }
    ends = [
        np.nanmax([value.mean, value.high])
        for estimates in known.values()
        for values in estimates.values()
        for value in values
        if value.count
    ]
    top = min(max([0.02, *ends]) * 1.08, 1.0)
    panels = []
    for layer, estimates in known.items():
        curves = {
            name: plots.Curve(name, positions, *_arrays(values))
            for name, values in estimates.items()
        }
        figure = plots.draw_shares(curves, plots.STATES, scale, title=layer, top=top)
        panels.append((f"dead, dormant but alive, and born dead units in {layer}", figure))
    return panels


def leading(comparison: Comparison, most: int) -> dict[str, list[Group]]:
    """The combinations with the most accurate groups, at most so many, in their order."""
    best = {
        label: max(group.mean_accuracy for group in groups)
        for label, groups in comparison.combinations.items()
    }
    kept = sorted(best, key=lambda label: -best[label])[:most]
    return {label: of for label, of in comparison.combinations.items() if label in kept}


def by_layer(comparison: Comparison) -> dict[str, list[Group]]:
    """The groups that share panels of a layer: of one combination, where drop rates differ."""
    if comparison.has_rates:
        return leading(comparison, MOST_COMBINATIONS)
    return {"": _most_accurate(comparison.groups, MOST_BARS)}


def _most_accurate(groups: Sequence[Group], most: int) -> list[Group]:
    kept = sorted(groups, key=lambda group: -group.mean_accuracy)[:most]
    return [group for group in groups if group in kept]


def _layers(groups: Sequence[Group]) -> list[str]:
    return layer_names([result for group in groups for result in group.results])


def _arrays(values: Sequence[Estimate]) -> tuple[Floats, Floats]:
    means = np.array([value.mean for value in values])
    return means, np.array([value.half_width for value in values])


def _rate_scale(groups: Sequence[Group]) -> plots.Scale:
    return plots.Scale("drop rate p", {group.drop_rate: f"{group.drop_rate:g}" for group in groups})


def _positions(comparison: Comparison, groups: Sequence[Group]) -> tuple[Floats, plots.Scale]:
    """Where groups stand: at their drop rates, or one after another where these are all alike."""
    if comparison.has_rates:
        return np.array([group.drop_rate for group in groups]), _rate_scale(groups)
    ticks = {
        float(position): str(comparison.groups.index(group) + 1)
        for position, group in enumerate(groups)
    }
    scale = plots.Scale("group, by its row in the table", ticks, is_numeric=False)
    return np.array(list(ticks)), scale
