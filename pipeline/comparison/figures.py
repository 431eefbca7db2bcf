"""The figures of a comparison: which numbers go into which panel."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from pipeline import plots
from pipeline.comparison.compare import Comparison, Pair
from pipeline.comparison.groups import Group
from pipeline.comparison.measures import layer_names
from pipeline.comparison.statistics import Estimate
from pipeline.comparison.tables import pair_label
from why_zero.records import Floats

# What is more than this is in the tables alone: rows of a figure, and bars of one layer.
MOST_ROWS, MOST_BARS = 24, 12
# Figures by layer are drawn for so many combinations, the most accurate ones.
MOST_COMBINATIONS = 3

Panels = list[tuple[str, Figure]]


def accuracy_panels(comparison: Comparison) -> Panels:
    """Accuracy and error against the drop rate; where these do not differ, by group."""
    if not comparison.has_rates:
        return [_accuracy_rows(comparison)]
    combinations = leading(comparison, len(plots.CURVES))
    scale = _rate_scale([group for groups in combinations.values() for group in groups])
    panels = []
    for name in ("accuracy", "error"):
        measure = f"val/{name}"
        curves = [
            plots.Curve(
                label,
                np.array([group.drop_rate for group in groups]),
                *_arrays([group.estimate(measure) for group in groups]),
                [group.values(measure) for group in groups],
            )
            for label, groups in combinations.items()
        ]
        is_error = name == "error"
        title = f"{name} on the {comparison.validated_on} (%){', logarithmic' * is_error}"
        figure = plots.draw_means(curves, scale, title=title, is_logarithmic=is_error)
        panels.append((title, figure))
    return panels


def _accuracy_rows(comparison: Comparison) -> tuple[str, Figure]:
    groups = _most_accurate(comparison.groups, MOST_ROWS)
    axis = f"accuracy on the {comparison.validated_on} (%)"
    figure = plots.draw_rows(
        [group.label for group in groups],
        *_arrays([group.estimate("val/accuracy") for group in groups]),
        axis=axis,
        is_filled=[True] * len(groups),
    )
    return axis, figure


def difference_panel(pairs: Sequence[Pair], *, is_common: bool) -> tuple[str, Figure] | None:
    """Differences in accuracy with their intervals; None where no pair shares a seed.

    Args:
        pairs: of these the nearest are drawn, if there are many.
        is_common: all have their first group in common, which need not be named in every row.
    """
    known = [pair for pair in pairs if pair.difference.count]
    if not known:
        return None
    nearest = sorted(known, key=lambda pair: abs(pair.difference.mean))[:MOST_ROWS]
    shown = [pair for pair in known if pair in nearest]
    name = "difference in accuracy (points)"
    figure = plots.draw_rows(
        [pair_label(pair, is_common=is_common) for pair in shown],
        *_arrays([pair.difference for pair in shown]),
        axis=name,
        is_filled=[pair.is_told for pair in shown],
        origin=0.0,
    )
    return f"paired {name}", figure


def zero_panels(comparison: Comparison, groups: Sequence[Group]) -> Panels:
    """Causes of zeros, one panel per layer; without layers where nothing was watched."""
    positions, scale = _positions(comparison, groups)
    panels = []
    for layer in _layers(groups):
        zeros = [group.estimate(f"zero/{layer}") for group in groups]
        if not any(zero.count for zero in zeros):
            continue
        shares = {
            cause: [group.estimate(f"zero_{cause}/{layer}").mean for group in groups]
            for cause in plots.CAUSE_LOOKS
            if cause != "active"
        } | {"active": [1 - zero.mean for zero in zeros]}
        figure = plots.draw_zero_rates(
            positions,
            np.array([shares[cause] for cause in plots.CAUSE_LOOKS]).T,
            scale,
            measured=_arrays(zeros),
            expected=_arrays([group.estimate(f"zero_expected/{layer}") for group in groups])[0],
            title=layer,
        )
        panels.append((f"causes of zeros in {layer}", figure))
    return panels


def state_panels(comparison: Comparison, groups: Sequence[Group]) -> Panels:
    """Dead, dormant and born dead units, one panel per layer with ReLU."""
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
        panels.append((f"dead, dormant and born dead units in {layer}", figure))
    return panels


def leading(comparison: Comparison, most: int) -> dict[str, list[Group]]:
    """The combinations with the most accurate groups, at most so many, in their order."""
    best = {label: max(map(_accuracy, groups)) for label, groups in comparison.combinations.items()}
    kept = sorted(best, key=lambda label: -best[label])[:most]
    return {label: of for label, of in comparison.combinations.items() if label in kept}


def by_layer(comparison: Comparison) -> dict[str, list[Group]]:
    """The groups that share panels of a layer: of one combination, where drop rates differ."""
    if comparison.has_rates:
        return leading(comparison, MOST_COMBINATIONS)
    return {"": _most_accurate(comparison.groups, MOST_BARS)}


def _most_accurate(groups: Sequence[Group], most: int) -> list[Group]:
    kept = sorted(groups, key=_accuracy, reverse=True)[:most]
    return [group for group in groups if group in kept]


def _accuracy(group: Group) -> float:
    return float(group.values("val/accuracy").mean())


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
