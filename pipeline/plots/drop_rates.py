"""The figure that compares networks: accuracy and causes of zeros against the drop rate.

It must not know how networks are found, trained or chosen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from pipeline.plots.causes import cause_shares, stack_causes
from pipeline.plots.style import (
    CAUSES,
    INK,
    LEFT,
    NORMAL,
    RIGHT,
    SERIES,
    WIDTH,
    grid,
    head,
    key,
    percent,
    place,
    sheet,
    table,
)
from pipeline.records import EpochRecord, Floats, History, LayerRecord, Recipe

Result = tuple[Recipe, History]


@dataclass
class _Group:
    """The networks of one activation and drop rate, with the epoch each has kept."""

    activation: str
    rate: float
    networks: list[tuple[Recipe, EpochRecord]] = field(default_factory=list)

    @property
    def accuracies(self) -> Floats:
        """Of each network on the validation images."""
        return np.array([record.validation.accuracy for _, record in self.networks])

    @property
    def accuracy(self) -> float:
        """Their mean, without networks whose accuracy is not a number."""
        known = self.accuracies[np.isfinite(self.accuracies)]
        return float(known.mean()) if known.size else math.nan

    @property
    def hidden_zeros(self) -> float:
        """The share of hidden activations that were zero, a mean over the networks."""
        shares = []
        for _, record in self.networks:
            hidden = [layer.causes for layer in record.layers if layer.name != "logits"]
            zeros = sum(int((c.dropped + c.inactive + c.both).sum()) for c in hidden)
            pairs = sum(causes.pairs for causes in hidden)
            shares.append(zeros / pairs if pairs else math.nan)
        return float(np.mean(shares))

    def shares(self, name: str) -> Floats:
        """A layer's causes and, last, its expected share of zeros; means, shape (5,)."""
        rows = [
            np.append(cause_shares(layer.causes), _expected_zeros(recipe, layer))
            for recipe, record in self.networks
            for layer in record.layers
            if layer.name == name
        ]
        return np.mean(rows, axis=0) if rows else np.full(5, math.nan)


def draw_drop_rates(
    results: Sequence[Result], title: str, *, validation_name: str = "validation"
) -> Figure:
    """Accuracy by drop rate above; below, a panel a layer, why its activations were zero.

    A network counts with the epoch whose weights it has kept. Networks of one activation and drop
    rate are averaged.

    Args:
        results: recipes and records of the networks, at least one.
        title: what the networks have in common.
        validation_name: what the validation images are called: "test" where nothing is held out.
    """
    arms = _group(results)
    names = _layer_names(results)
    height = table(len(arms) * len(names))[0] * 2.9
    groups = [group for arm in arms.values() for group in arm]
    many = "rings: networks, the rest: their means · " if len(results) > len(groups) else ""
    figure = sheet(
        _finding(groups, validation_name),
        f"{title} · {many}expected: s + p - s p, where s is the share that ReLU closed",
        body=height + 3.3,
    )
    expected = Line2D([], [], color=INK, linewidth=2, label="expected zeros")
    key(figure, [*(look.patch for look in CAUSES.values()), expected], top=height + 0.2)
    accuracies = place(figure, (LEFT, height + 0.95, WIDTH - LEFT - RIGHT, 1.95))
    _draw_accuracies(accuracies, arms)
    head(accuracies, f"{validation_name} accuracy (%)")
    panels = iter(
        grid(figure, len(arms) * len(names), label="activations (%)", bottom=0.55, height=2.9)
    )
    for activation, arm in arms.items():
        for name, axes in zip(names, panels, strict=False):
            _draw_layer(axes, arm, name)
            head(axes, name if len(arms) == 1 else f"{name}, {activation}")
    return figure


def _group(results: Sequence[Result]) -> dict[str, list[_Group]]:
    groups: dict[tuple[str, float], _Group] = {}
    for recipe, history in results:
        place = (recipe.activation, recipe.drop_rate)
        kept = [record for record in history if record.weights is not None] or history
        groups.setdefault(place, _Group(*place)).networks.append((recipe, kept[-1]))
    arms: dict[str, list[_Group]] = {}
    for group in sorted(groups.values(), key=lambda group: group.rate):
        arms.setdefault(group.activation, []).append(group)
    return arms


def _layer_names(results: Sequence[Result]) -> list[str]:
    names = dict.fromkeys(layer.name for _, history in results for layer in history[0].layers)
    return sorted(names, key=lambda name: name == "logits")


def _expected_zeros(recipe: Recipe, layer: LayerRecord) -> float:
    p = recipe.drop_rate if recipe.output_dropout or layer.name != "logits" else 0.0
    s = layer.causes.share("inactive") + layer.causes.share("both")
    return s + p - s * p


def _draw_accuracies(axes: Axes, arms: dict[str, list[_Group]]) -> None:
    for (activation, arm), series in zip(arms.items(), reversed(SERIES), strict=False):
        rates = [group.rate for group in arm]
        means = [group.accuracy for group in arm]
        axes.plot(rates, means, label=f"activation {activation}", **series.line)
        for group in arm:
            rings = group.accuracies if len(group.networks) > 1 else group.accuracies[:0]
            axes.plot([group.rate] * len(rings), rings, **series.rings)
    _tick_rates(axes, sorted({group.rate for arm in arms.values() for group in arm}))
    axes.set_xlabel("drop rate p", fontsize=NORMAL)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g}"))
    axes.grid(axis="y", color="#E5E5E5")
    if len(arms) > 1:
        axes.legend(
            loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=NORMAL
        )


def _tick_rates(axes: Axes, rates: Sequence[float]) -> None:
    gaps = np.diff(rates) / max(rates[-1] - rates[0], 1e-9)
    if gaps.min(initial=1) > 0.05:
        axes.set_xticks(rates, [f"{rate:.3g}" for rate in rates])


def _draw_layer(axes: Axes, arm: Sequence[_Group], name: str) -> None:
    positions = np.arange(len(arm))
    shares = np.stack([group.shares(name) for group in arm])
    stack_causes(axes, positions, shares[:, :4])
    for colour, width in (("white", 4), (INK, 2)):
        ends = positions - 0.35, positions + 0.35
        axes.hlines(shares[:, 4], *ends, color=colour, linewidth=width)
    every = math.ceil(len(arm) / 6)
    axes.set_xticks(positions[::every], [f"{group.rate:.3g}" for group in arm][::every])
    axes.set_xlabel("drop rate p", fontsize=NORMAL)


def _finding(groups: Sequence[_Group], name: str) -> str:
    known = [group for group in groups if math.isfinite(group.accuracy)]
    if not known:
        return f"No network has a {name} accuracy"
    best = max(known, key=lambda group: group.accuracy)
    arm = [group for group in groups if group.activation == best.activation]
    where = f"p = {best.rate:.3g}" + (f" ({best.activation})" if len(arm) < len(groups) else "")
    first, last = (f"{percent(group.hidden_zeros)}" for group in (arm[0], arm[-1]))
    if len(arm) == 1:
        return (
            f"At {where} {name} accuracy is {percent(best.accuracy, 1)}, hidden zeros are {first}"
        )
    return (
        f"{name.capitalize()} accuracy is highest at {where}, {percent(best.accuracy, 1)}; hidden "
        f"zeros go from {first} at p = {arm[0].rate:.3g} to {last} at p = {arm[-1].rate:.3g}"
    )
