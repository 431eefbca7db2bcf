"""What kills ReLUs here: learning rate, drop rate and initial weights, on two data sets.

No source has an answer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from matplotlib.figure import Figure
from scipy.special import stdtr

from pipeline.comparison.statistics import LEVEL, estimate, holm
from pipeline.config.options import Scale
from pipeline.config.recipe import Recipe
from pipeline.records import EpochRecord
from pipeline.records.result import Result
from pipeline.studies.figures import line_by_epoch, lines_figure
from pipeline.studies.study import (
    Evidence,
    Finding,
    Findings,
    Network,
    Study,
    known_half_width,
    paired_differences,
)

SETS = ("mnist", "fashion-mnist")
_ALL = "all layers"


@dataclass(frozen=True)
class _Grid:
    rates: tuple[float, ...]
    learning_rates: tuple[float, ...]
    inits: tuple[str, ...]
    seeds: int
    epochs: int
    holdout: int


_GRIDS: Mapping[Scale, _Grid] = {
    "quick": _Grid((0.0, 0.5), (0.001,), ("default", "he"), 3, 2, 40_000),
    "full": _Grid((0.0, 0.2, 0.5), (0.001, 0.01), ("default", "he"), 5, 5, 5000),
}


def _networks(scale: Scale) -> list[Network]:
    grid = _GRIDS[scale]
    return [
        Network(
            Recipe(
                seed=seed,
                drop_rate=rate,
                learning_rate=learning_rate,
                init=init,
                epochs=grid.epochs,
                holdout=grid.holdout,
                mask_passes=1,
            ),
            data,
        )
        for data in SETS
        for init in grid.inits
        for learning_rate in grid.learning_rates
        for rate in grid.rates
        for seed in range(grid.seeds)
    ]


@dataclass(frozen=True)
class _Cell:
    """What the networks of several seeds have in common."""

    data: str
    init: str
    learning_rate: float
    rate: float

    @classmethod
    def of(cls, result: Result) -> "_Cell":
        """The cell of a network."""
        recipe = result.recipe
        return cls(result.dataset, recipe.init, recipe.learning_rate, recipe.drop_rate_of("h1"))

    @property
    def name(self) -> str:
        """All but the drop rate, in words."""
        return f"{self.data}, init {self.init}, learning rate {self.learning_rate:g}"


@dataclass(frozen=True)
class _Change:
    """What changes one cell into another, seed by seed, in per cent of the units of some layers."""

    what: str
    values: tuple[float, ...]

    @property
    def p_value(self) -> float:
        """Two-sided, of Student's test of pairs; NaN where seeds do not differ."""
        found = estimate(self.values)
        spread = float(np.std(self.values, ddof=1)) if found.count > 1 else 0.0
        if not spread:
            return math.nan
        return float(2 * stdtr(found.count - 1, -abs(found.mean) * math.sqrt(found.count) / spread))


def _find(evidence: Evidence) -> Findings:
    grid = _GRIDS[evidence.scale]
    cells: dict[_Cell, list[Result]] = {}
    for result in evidence.results:
        cells.setdefault(_Cell.of(result), []).append(result)
    rows, changes = [], []
    for cell, results in cells.items():
        rows += _rows(cell, results)
        if cell.rate:
            without = cells.get(replace(cell, rate=0.0), [])
            changes += [
                _Change(
                    f"{cell.name}, {layers}: dead at drop rate {cell.rate:g} minus dead without "
                    "dropout",
                    _differences(results, without, layers),
                )
                for layers in (_ALL, "h1")
            ]
        if cell.init != "default":
            default = cells.get(replace(cell, init="default"), [])
            changes.append(
                _Change(
                    f"{cell.data}, learning rate {cell.learning_rate:g}, drop rate {cell.rate:g}, "
                    f"{_ALL}: dead with init {cell.init} minus dead with default",
                    _differences(results, default, _ALL),
                )
            )
    rows += _change_rows(changes)
    figures = {
        f"dead_by_epoch_{data.replace('-', '_')}": _figure(data, cells, grid) for data in SETS
    }
    return Findings(rows=rows, figures=figures, remark=_REMARK)


def _rows(cell: _Cell, results: Sequence[Result]) -> list[Finding]:
    name = f"{cell.name}, drop rate {cell.rate:g}"
    last = [result.history[-1] for result in results]
    born = np.mean([dead_share(result.history[0]) for result in results])
    rows = [
        Finding(
            what=f"{name}: dead",
            ours=estimate([dead_share(record) for record in last]),
            note=f"by layer: {_by_layer(last)} %; born dead: {born:.1f} %; right on held-out "
            f"images: {_accuracy(results):.2f} %",
        )
    ]
    if cell.rate:
        rows.append(
            Finding(
                what=f"{name}: mask-dead",
                ours=estimate([mask_dead_share(record) for record in last]),
                note="dead under every mask that was drawn",
            )
        )
    return rows


_REMARK = (
    "Shares are of all hidden units of 784-256-256-128-128-10, over the images trained on, in "
    "evaluation mode. The logits are dropped as well, as in `main`. Differences are between "
    "networks of one seed, which see the same batches and, with the same init, start from the same "
    "weights; their p values are corrected for all differences of this table (Holm). Mask-dead "
    "units are looked for before and after training alone, with a mask for each image."
)


def dead_share(record: EpochRecord, layers: str = _ALL) -> float:
    """Dead units of all hidden units, or of those of one layer, in per cent."""
    dead = [states.dead for name, states in record.states.items() if layers in {_ALL, name}]
    return 100 * float(np.concatenate(dead).mean())


def _by_layer(records: Sequence[EpochRecord]) -> str:
    """The mean share of dead units of each hidden layer: `2.8, 8.8`."""
    return ", ".join(
        f"{np.mean([dead_share(record, name) for record in records]):.1f}"
        for name in records[0].states
    )


def mask_dead_share(record: EpochRecord) -> float:
    """The same of units that no mask that was drawn has woken; NaN where none was drawn."""
    states = [layer.mask_dead for layer in record.layers if layer.mask_dead is not None]
    return 100 * float(np.concatenate(states).mean()) if states else math.nan


def _accuracy(results: Sequence[Result]) -> float:
    scores = [result.history[-1].validation for result in results]
    return 100 * float(np.mean([score.accuracy for score in scores if score]))


def _differences(
    results: Sequence[Result], without: Sequence[Result], layers: str
) -> tuple[float, ...]:
    return tuple(
        paired_differences(results, without, lambda one: dead_share(one.history[-1], layers))
    )


def _change_rows(changes: Sequence[_Change]) -> list[Finding]:
    values = np.array([change.p_value for change in changes], dtype=np.float64)
    corrected = holm(values, values[np.isfinite(values)])
    rows = []
    for change, p_value in zip(changes, corrected.tolist(), strict=True):
        ours = estimate(change.values)
        verdict = "cannot be told from none"
        if p_value < 1 - LEVEL:
            verdict = "more are dead" if ours.mean > 0 else "fewer are dead"
        rows.append(
            Finding(
                what=change.what,
                ours=ours,
                unit="points",
                note=f"{verdict} (p = {p_value:.2g})",
            )
        )
    return rows


def _figure(data: str, cells: Mapping[_Cell, Sequence[Result]], grid: _Grid) -> Figure:
    panels = {}
    highest = 1.0
    for learning_rate, init in product(grid.learning_rates, grid.inits):
        lines = []
        for rate in grid.rates:
            results = cells.get(_Cell(data, init, learning_rate, rate), [])
            epochs = range(grid.epochs + 1)
            line = line_by_epoch(f"drop rate {rate:g}", results, dead_share, epochs=epochs)
            lines.append(line)
            ends = (value.mean + known_half_width(value) for value in line.values.values())
            highest = max([highest, *ends])
        panels[f"learning rate {learning_rate:g}, {init}"] = lines
    return lines_figure(
        f"Dead units over training on {data}",
        "Share of all hidden units that are dead over the images trained on, means with 95 % "
        f"intervals over {grid.seeds} seeds, by learning rate and initial weights.",
        panels,
        across="epoch (0: untrained)",
        up="dead units (%)",
        ticks={float(epoch): str(epoch) for epoch in range(grid.epochs + 1)},
        limits=(0.0, 1.05 * float(highest)),  # one for all panels, which are to be compared
    )


STUDY = Study(
    title="What kills ReLUs here: learning rate, drop rate and initial weights, on two data sets.",
    source=(
        "None: no published answer was found to the question whether dropout makes ReLUs die or "
        "keeps them alive. docs/dying.md says what was found here."
    ),
    quick=(
        "2 drop rates, 1 learning rate, 3 seeds, 20,000 images and 2 epochs instead of 3, 2, 5, "
        "55,000 and 5: few differences can be told from chance, and fewer updates leave less time "
        "to die. Both inits are kept."
    ),
    find=_find,
    networks=_networks,
)
