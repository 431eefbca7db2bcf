"""The figure of losses and accuracies by epoch."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from pipeline.plots.figure_layout import (
    EPOCHS,
    add_axes_at,
    count_epochs,
    head,
    key,
    label_below,
    new_figure,
)
from pipeline.plots.style import GRID, SERIES
from pipeline.records import History, Score
from pipeline.records.words import percent
from why_zero.records import Floats

# The accuracies' axis spreads errors logarithmically, which needs an end: full accuracy is
# drawn where one error in a thousand would be.
LEAST_ERROR = 1e-3
ACCURACIES = np.array([0, 0.25, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1])
LOSSES = np.array([digit * 10.0**power for power in range(-6, 7) for digit in (1, 2, 5)])


def draw_learning_curves(
    history: History, title: str, *, validation_name: str = "validation images"
) -> Figure:
    """Two panels, loss and accuracy by epoch: in training, on training and validation images.

    Args:
        history: the records of one network, epoch 0 first.
        title: which network.
        validation_name: the images of the validation scores, in words.
    """
    dropout = ", with dropout on" if _drops(history) else ""
    figure = new_figure(
        _finding(history, validation_name),
        f"{title} · “in training”: mean over an epoch's batches{dropout}; "
        "the others: evaluation mode",
        body=4.3,
    )
    curves = {
        f"in training{dropout}": _columns([record.train for record in history]),
        "images trained on": _columns([record.train_eval for record in history]),
        validation_name: _columns([record.validation for record in history]),
    }
    epochs = [record.epoch for record in history]
    panels = [add_axes_at(figure, (0.6 + i * 4.6, 0.55, 4.2, 3.05)) for i in range(2)]
    lines = []
    for (label, columns), series in zip(curves.items(), SERIES, strict=True):
        if not np.isnan(columns[1]).all():
            for axes, column in zip(panels, columns, strict=True):
                lines += axes.plot(epochs, column, label=label, **series.line)
    key(figure, lines[::2], top=4.2, left=0.6)
    losses, accuracies = (np.concatenate(columns) for columns in zip(*curves.values(), strict=True))
    panels[0].set_yscale("log")
    _scale(panels[0], losses, ticks=LOSSES, unit=1.0)
    head(panels[0], "loss (cross-entropy in nats, on a logarithmic scale)")
    panels[1].set_yscale("function", functions=(_spread, _gather))
    _scale(panels[1], accuracies, ticks=ACCURACIES, unit=100.0)
    head(panels[1], "accuracy (%, on a logarithmic scale of errors)")
    for axes in panels:
        count_epochs(axes, history[-1].epoch)
        axes.grid(axis="y", color=GRID)
    label_below(figure, EPOCHS, left=0.6)
    return figure


def _drops(history: History) -> bool:
    layers = [layer.causes for record in history for layer in record.layers]
    return any(bool(causes.dropped.any() or causes.both.any()) for causes in layers)


def _columns(scores: Sequence[Score | None]) -> tuple[Floats, Floats]:
    losses = [score.loss if score else math.nan for score in scores]
    accuracies = [score.accuracy if score else math.nan for score in scores]
    # A logarithmic axis cannot show 0.
    finite = np.where(np.isfinite(losses), np.maximum(losses, LOSSES[0]), math.nan)
    return finite, np.array(accuracies)


def _scale(axes: Axes, values: Floats, *, ticks: Floats, unit: float) -> None:
    # From tick to tick, so that at least two are visible whatever the values are.
    known = np.clip(values[np.isfinite(values)], ticks[0], ticks[-1])
    low = int(np.searchsorted(ticks, known.min(initial=ticks[-2]), side="right")) - 1
    high = int(np.searchsorted(ticks, known.max(initial=ticks[0])))
    low = min(low, len(ticks) - 2)
    axes.set_ylim(ticks[low], ticks[max(high, low + 1)])
    axes.yaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{unit * value:g}"))


def _spread(accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.log10(np.maximum(1 - accuracy, 0) + LEAST_ERROR)


def _gather(position: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 + LEAST_ERROR - 10 ** -np.asarray(position)


def _finding(history: History, name: str) -> str:
    first, last = history[0], history[-1]
    if last.ending == "diverged":
        return f"The loss became NaN or infinite in epoch {last.epoch}"
    name = name if last.validation else "images trained on"
    after, before = (
        (percent(score.accuracy, 1, unknown="unknown"), f"{score.loss:#.3g}")
        for score in (record.validation or record.train_eval for record in (last, first))
    )
    if not last.epoch:
        return f"Before training: {before[0]} of the {name} correct, loss {before[1]}"
    return (
        f"After epoch {last.epoch}: {after[0]} of the {name} correct, loss {after[1]} "
        f"(untrained: {before[0]}, {before[1]})"
    )
