"""The figures of a comparison: which numbers go into which panel."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure

from pipeline import plots
from pipeline.comparison import measures
from pipeline.comparison.groups import Contest, Group
from pipeline.comparison.standings import Pair
from pipeline.comparison.statistics import Estimate, estimate
from pipeline.comparison.tables import pair_label
from pipeline.records.result import Result
from why_zero.records import Floats

# What is more than this is in the tables alone: rows of a figure, and bars of one layer.
MOST_ROWS, MOST_BARS = 24, 12
# Figures by layer are drawn for so many combinations, the most accurate ones.
MOST_COMBINATIONS = 3

Panels = list[tuple[str, Figure]]


def accuracy_panels(contest: Contest) -> Panels:
    """Accuracy and error against the drop rate; where these do not differ, by group."""
    if not contest.has_rates:
        return [_accuracy_rows(contest)]
    combinations = leading(contest, len(plots.CURVES))
    scale = _rates([group for groups in combinations.values() for group in groups])
    judges = contest.validated_on
    panels = []
    for name, measure in (("accuracy", measures.accuracy), ("error", measures.error)):
        curves = [_curve(label, groups, measure) for label, groups in combinations.items()]
        title = f"{name} on the {judges} (%)"
        is_error = name == "error"
        title += ", logarithmic" if is_error else ""
        figure = plots.draw_means(curves, scale, title=title, is_logarithmic=is_error)
        panels.append((title, figure))
    return panels


def _accuracy_rows(contest: Contest) -> tuple[str, Figure]:
    groups = _most_accurate(contest.groups, MOST_ROWS)
    means, half_widths = _arrays([estimate(group.values(measures.accuracy)) for group in groups])
    axis = f"accuracy on the {contest.validated_on} (%)"
    figure = plots.draw_rows(
        [group.label for group in groups],
        means,
        half_widths,
        axis=axis,
        is_filled=[True] * len(groups),
    )
    return axis, figure


def difference_panel(pairs: Sequence[Pair], *, is_common: bool) -> tuple[str, Figure] | None:
    """Differences of accuracy with their intervals; None where no pair shares a seed.

    Args:
        pairs: of these the nearest are drawn, if there are many.
        is_common: all have their first group in common, which need not be named in every row.
    """
    known = [pair for pair in pairs if pair.difference.estimate.count]
    if not known:
        return None
    nearest = sorted(known, key=lambda pair: abs(pair.difference.estimate.mean))[:MOST_ROWS]
    shown = [pair for pair in known if pair in nearest]
    means, half_widths = _arrays([pair.difference.estimate for pair in shown])
    name = "difference of accuracy (points)"
    figure = plots.draw_rows(
        [pair_label(pair, is_common=is_common) for pair in shown],
        means,
        half_widths,
        axis=name,
        is_filled=[pair.is_told for pair in shown],
        origin=0.0,
    )
    return f"paired {name}", figure


def zero_panels(contest: Contest, groups: Sequence[Group]) -> Panels:
    """Causes of zeros, a panel a layer; without layers where nothing was watched."""
    places, scale = _places(contest, groups)
    panels = []
    for layer in measures.layer_names([result for group in groups for result in group.results]):
        each = [[measures.zeros(result, layer) for result in group.results] for group in groups]
        totals = [estimate([one.zero for one in zeros]) for zeros in each]
        if not any(total.count for total in totals):
            continue
        shares = [
            [estimate([getattr(one, cause) for one in zeros]).mean for cause in plots.CAUSES]
            for zeros in each
        ]
        figure = plots.draw_zero_rates(
            places,
            np.array(shares),
            scale,
            measured=_arrays(totals),
            expected=np.array([estimate([one.expected for one in zeros]).mean for zeros in each]),
            title=layer,
        )
        panels.append((f"causes of zeros in {layer}", figure))
    return panels


def state_panels(contest: Contest, groups: Sequence[Group]) -> Panels:
    """Dead, dormant and born dead units, a panel a layer with ReLU."""
    places, scale = _places(contest, groups)
    found = {}
    for layer in measures.layer_names([result for group in groups for result in group.results]):
        each = [[measures.states(result, layer) for result in group.results] for group in groups]
        found[layer] = {
            name: [estimate([getattr(one, name.replace(" ", "_")) for one in of]) for of in each]
            for name in plots.STATES
        }
    known = {
        layer: values
        for layer, values in found.items()
        if any(value.count for value in values["dead"])
    }
    ends = [
        np.nanmax([value.mean, value.high])
        for values in known.values()
        for of in values.values()
        for value in of
        if value.count
    ]
    top = min(max([0.02, *ends]) * 1.08, 1.0)
    panels = []
    for layer, values in known.items():
        curves = {name: plots.Curve(name, places, *_arrays(of)) for name, of in values.items()}
        figure = plots.draw_shares(curves, plots.STATES, scale, title=layer, top=top)
        panels.append((f"dead, dormant and born dead units in {layer}", figure))
    return panels


def leading(contest: Contest, most: int) -> dict[str, list[Group]]:
    """The combinations with the most accurate groups, at most so many, in their order."""
    best = {
        label: max(float(group.values(measures.accuracy).mean()) for group in groups)
        for label, groups in contest.combinations.items()
    }
    kept = set(sorted(best, key=lambda label: -best[label])[:most])
    return {label: of for label, of in contest.combinations.items() if label in kept}


def by_layer(contest: Contest) -> dict[str, list[Group]]:
    """The groups that share panels of a layer: of one combination, where drop rates differ."""
    if contest.has_rates:
        return leading(contest, MOST_COMBINATIONS)
    return {"": _most_accurate(contest.groups, MOST_BARS)}


def _most_accurate(groups: Sequence[Group], most: int) -> list[Group]:
    merit = {group.label: float(group.values(measures.accuracy).mean()) for group in groups}
    kept = sorted(merit, key=lambda label: -merit[label])[:most]
    return [group for group in groups if group.label in kept]


def _curve(label: str, groups: Sequence[Group], measure: Callable[[Result], float]) -> plots.Curve:
    values = [group.values(measure) for group in groups]
    rates = np.array([group.drop_rate for group in groups])
    return plots.Curve(label, rates, *_arrays([estimate(of) for of in values]), values)


def _arrays(values: Sequence[Estimate]) -> tuple[Floats, Floats]:
    means = np.array([value.mean for value in values])
    return means, np.array([value.half_width for value in values])


def _rates(groups: Sequence[Group]) -> plots.Scale:
    return plots.Scale("drop rate p", {group.drop_rate: f"{group.drop_rate:g}" for group in groups})


def _places(contest: Contest, groups: Sequence[Group]) -> tuple[Floats, plots.Scale]:
    """Where groups stand: at their drop rates, or one after another where these are all alike."""
    if contest.has_rates:
        return np.array([group.drop_rate for group in groups]), _rates(groups)
    ticks = {
        float(place): str(contest.groups.index(group) + 1) for place, group in enumerate(groups)
    }
    scale = plots.Scale("group, by its place in the table", ticks, is_numeric=False)
    return np.array(list(ticks)), scale
