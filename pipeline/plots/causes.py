"""The figure of why activations were zero, layer by layer and epoch by epoch."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from pipeline.plots.figure_layout import EPOCHS, blank, count_epochs, head, panel_figure
from pipeline.plots.style import CAUSE_LOOKS
from pipeline.records import INPUT, EpochRecord, History
from pipeline.records.words import percent
from why_zero.records import ZeroCauses


def draw_causes(history: History, title: str) -> Figure:
    """One panel per layer with zeros: the share of its activations by cause, epoch by epoch."""
    inputs = [record.input_causes for record in history if record.input_causes is not None]
    layers = {INPUT: inputs} if inputs else {}
    for index, layer in enumerate(history[0].layers):
        layers[layer.name] = [record.layers[index].causes for record in history]
    shown = {name: causes for name, causes in layers.items() if _has_zeros(causes)}
    if not shown:
        return blank(_finding(history[-1]), title)
    looks = {
        cause: look
        for cause, look in CAUSE_LOOKS.items()
        if any(getattr(one, cause).any() for causes in shown.values() for one in causes)
    }
    without = [name for name in layers if name not in shown]
    edges = np.arange(len(history) + 1) - 0.5
    figure, panels = panel_figure(
        _finding(history[-1]),
        f"{title} · shares of all (sample, unit) pairs in the training passes that were watched"
        + (f" · in {INPUT}, what is zero by ReLU is 0 in the data" if inputs else "")
        + (f" · no zeros in {', '.join(without)}" if without else ""),
        len(shown),
        height=2.9,
        label="activations (%)",
        below=EPOCHS,
        keys=[[look.patch for look in looks.values()]],
    )
    for axes, (name, causes) in zip(panels, shown.items(), strict=True):
        tops = np.zeros(len(history))
        for cause, look in looks.items():
            bottoms = tops
            tops = bottoms + [one.share(cause) for one in causes]
            area = StepPatch(tops, edges, baseline=bottoms, **look.fill)  # type: ignore[arg-type]
            axes.add_artist(area)
        axes.set_ylim(0, 1)
        share = percent(causes[-1].zero_share, 0, unknown="unknown")
        head(axes, f"{name}: {share} zero")
        count_epochs(axes, history[-1].epoch)
    return figure


def _has_zeros(causes: Sequence[ZeroCauses]) -> bool:
    return any(int(one.active.sum()) < one.pairs for one in causes)


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
