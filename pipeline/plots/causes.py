"""The figure of why activations were zero, layer by layer and epoch by epoch."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.plots.figure_layout import count_epochs, head, panel_figure
from pipeline.plots.style import CAUSE_LOOKS
from pipeline.records import EpochRecord, History
from pipeline.records.words import percent


def draw_causes(history: History, title: str) -> Figure:
    """One panel per layer: what share of its activations was active or zero, and why, by epoch."""
    edges = np.arange(len(history) + 1) - 0.5
    names = [layer.name for layer in history[0].layers]
    figure, panels = panel_figure(
        _finding(history[-1]),
        f"{title} · shares of all (sample, unit) pairs in the training passes that were watched",
        len(names),
        height=2.9,
        label="activations (%)",
        keys=[[look.patch for look in CAUSE_LOOKS.values()]],
    )
    for i, axes in enumerate(panels):
        causes = [record.layers[i].causes for record in history]
        tops = np.zeros(len(history))
        for cause, look in CAUSE_LOOKS.items():
            bottoms = tops
            tops = bottoms + [layer.share(cause) for layer in causes]
            axes.stairs(tops, edges, baseline=bottoms, fill=True, **look.fill)
        axes.set_ylim(0, 1)
        share = percent(causes[-1].zero_share, 0, unknown="unknown")
        head(axes, f"{names[i]}: {share} zero")
        count_epochs(axes, history[-1].epoch)
    return figure


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
