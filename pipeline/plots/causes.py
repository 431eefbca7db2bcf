"""The figure of why activations were zero, layer by layer and epoch by epoch."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.plots.figure_layout import count_epochs, grid, head, key, new_figure, table
from pipeline.plots.style import CAUSE_LOOKS
from pipeline.records import EpochRecord, History
from pipeline.records.words import percent
from why_zero.records import Floats, ZeroCauses


def draw_causes(history: History, title: str) -> Figure:
    """A panel a layer: what share of its activations was active or zero, and why, by epoch.

    Args:
        history: the records of one network, epoch 0 first.
        title: whose they are.
    """
    epochs = np.array([record.epoch for record in history])
    names = [layer.name for layer in history[0].layers]
    rows, _ = table(len(names))
    figure = new_figure(
        _finding(history[-1]),
        f"{title} · shares of all (sample, unit) pairs in the training passes that were watched",
        body=rows * 2.9 + 0.3,
    )
    key(figure, [look.patch for look in CAUSE_LOOKS.values()], top=rows * 2.9 + 0.2)
    panels = grid(figure, len(names), label="activations (%)", bottom=0.55, height=2.9)
    for i, axes in enumerate(panels):
        causes = [record.layers[i].causes for record in history]
        stack_causes(axes, epochs, np.stack([cause_shares(cause) for cause in causes]))
        share = percent(causes[-1].zero_share, 0, unknown="unknown")
        head(axes, f"{names[i]}: {share} zero")
        count_epochs(axes, history[-1].epoch)
    return figure


def cause_shares(causes: ZeroCauses) -> Floats:
    """The shares of the four causes in the order of `CAUSE_LOOKS`, shape (4,)."""
    return np.array([causes.share(cause) for cause in CAUSE_LOOKS])


def stack_causes(axes: Axes, positions: NDArray[np.integer], shares: Floats) -> None:
    """Stacks the causes, one step wide at each whole-numbered position.

    Args:
        axes: where.
        positions: rising whole numbers, shape (steps,).
        shares: of the four causes, shape (steps, 4); NaN leaves a gap.
    """
    edges = np.append(positions - 0.5, positions[-1] + 0.5)
    tops = shares.cumsum(axis=1)
    for i, look in enumerate(CAUSE_LOOKS.values()):
        axes.stairs(tops[:, i], edges, baseline=tops[:, i] - shares[:, i], fill=True, **look.fill)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1)


def _finding(record: EpochRecord) -> str:
    hidden = [layer.causes for layer in record.layers if layer.name != "logits"]
    pairs = sum(causes.pairs for causes in hidden)
    when = f"In epoch {record.epoch}" if record.epoch else "Before training"
    if not pairs:
        return f"{when}, no pass was watched"
    sums = {
        words: sum(int(getattr(causes, cause).sum()) for causes in hidden)
        for cause, words in (("inactive", "ReLU"), ("both", "both"), ("dropped", "dropout"))
    }
    zeros = sum(sums.values())
    if not zeros:
        return f"{when}, no hidden activation was zero"
    parts = {words: percent(n / pairs, 0) for words, n in sums.items() if n}
    why = ": " + ", ".join(f"{words} {share}" for words, share in parts.items())
    why = f", all by {next(iter(parts))}" if len(parts) == 1 else why
    return f"{when}, {percent(zeros / pairs, 0)} of hidden activations were zero{why}"
