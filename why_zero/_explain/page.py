"""An explanation as a page: one HTML file that loads nothing and runs nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from why_zero._compact import Compacted
from why_zero._explain.advice import ENOUGH_SAMPLES, Advice, Owner
from why_zero.records import DORMANT_TAU, Share, UnexplainedZeros, UnitStates, WatchedLayer
from why_zero.report import html, text
from why_zero.report.text import counted

_ZEROS: dict[Share, str] = {
    "inactive": "by ReLU alone",
    "dropped": "by dropout alone",
    "both": "by both",
    "unexplained": "unexplained",
}
_LONG = 16  # rows; a longer table of the network is folded up


@dataclass(frozen=True, kw_only=True)
class Part:
    """A module with parameters of its own.

    Attributes:
        path: of the module; empty for the network itself.
        kind: its class.
        parameters: how many numbers are in them.
    """

    path: str
    kind: str
    parameters: int


def whole(title: str, sections: Sequence[str]) -> str:
    """The page, with the parts that are not empty."""
    rules = (files("why_zero._explain") / "page.css").read_text(encoding="utf-8")
    return "\n".join(
        (
            "<!doctype html>",
            "<html lang='en'>",
            "<head>",
            "<meta charset='utf-8'>",
            "<meta name='viewport' content='width=device-width, initial-scale=1'>",
            "<meta name='color-scheme' content='light dark'>",
            f"<title>{escape(title)}</title>",
            f"<style>{html.style()}{rules}</style>",
            "</head>",
            "<body class='why-zero'>",
            "<main>",
            f"<h1>{escape(title)}</h1>",
            *filter(None, sections),
            "</main>",
            "</body>",
            "</html>",
            "",
        )
    )


def summary(
    training: Mapping[str, WatchedLayer],
    owners: Sequence[Owner],
    *,
    samples: int,
    has_states: bool,
) -> str:
    """What was found, in a few sentences."""
    lines = []
    causes = text.all_causes(list(training.values())) if training else None
    if causes and causes.pairs:
        shares = [
            f"{causes.share(cause):.1%} {words}"
            for cause, words in _ZEROS.items()
            if causes.share(cause)
        ]
        why = f": {', '.join(shares)}" if shares else ""
        lines.append(
            f"Of the activations of {counted(len(training), 'layer')}, {causes.zero_share:.1%} "
            f"were zero in training mode{why}."
        )
    else:
        lines.append("No activation function and no dropout was seen.")
    if has_states:
        dead, units = sum(len(owner.dead) for owner in owners), sum(o.units for o in owners)
        fired = f"{dead:,} of {counted(units, 'unit')} with a ReLU never fired"
        lines.append(f"{fired} for the {counted(samples, 'sample')}." if units else "")
    elif training:
        lines.append("Which units are dead is not known: the notes say why.")
    if samples < ENOUGH_SAMPLES:
        lines.append(
            f"{counted(samples, 'sample')} say little of what a unit never does: give more than "
            f"{ENOUGH_SAMPLES} to be told of dead units."
        )
    return "".join(f"<p class='summary'>{escape(line)}</p>" for line in lines if line)


def advised(advice: Sequence[Advice], *, is_whole: bool) -> str:
    """What to try; what is the same for several findings is said once.

    Args:
        advice: what the rules gave.
        is_whole: whether all that they look at was counted, for enough samples.
    """
    said: dict[tuple[str, str], list[Advice]] = {}
    for each in advice:
        said.setdefault((each.may_mean, each.to_try), []).append(each)
    items = ""
    for (may_mean, to_try), found in said.items():
        kind = " class='harmless'" if found[0].is_harmless else ""
        saw = "".join(f"<p><b>{escape(each.saw)}</b></p>" for each in found)
        items += (
            f"<li{kind}>{saw}<dl><div><dt>What it may mean</dt><dd>{escape(may_mean)}</dd></div>"
            f"<div><dt>What to try</dt><dd>{escape(to_try)}</dd></div></dl></li>"
        )
    is_well = all(each.is_harmless for each in advice)
    where = "" if is_whole else " in what could be counted"
    return _section(
        "What to do about it",
        f"<p><b>Nothing to mend was found{where}.</b></p>" * is_well,
        f"<ul class='advice'>{items}</ul>" * bool(items),
    )


def network(parts: Sequence[Part], parameters: int) -> str:
    """What the network is made of."""
    rows = [
        [part.path or "the network itself", part.kind, f"{part.parameters:,}"] for part in parts
    ]
    rows.append(["all", "", f"{parameters:,}"])
    shown = html.table(["module", "kind", "parameters"], rows, words=(1,), has_total=True)
    if len(rows) > _LONG:
        shown = _folded(f"Show the {len(parts)} modules with parameters", shown)
    return _section(
        "The network",
        _prose(f"{counted(parameters, 'parameter')} in {counted(len(parts), 'module')}."),
        shown,
    )


def causes(
    training: Mapping[str, WatchedLayer], evaluation: Mapping[str, WatchedLayer], *, passes: int
) -> str:
    """Zeros by cause and layer, in training and in evaluation mode."""
    names = list(dict.fromkeys([*training, *evaluation]))
    if not names:
        return ""
    rows = [_causes_row(name, training.get(name), evaluation.get(name)) for name in names]
    times = "once" if passes == 1 else f"{passes} times"
    return _section(
        "Why activations are zero",
        html.key(),
        html.table(["layer", "share of its values"], rows, words=(1,), kind="pairs"),
        _prose(
            f"In training mode {times} through the samples, with dropout at work; in evaluation "
            "mode once. A layer is a call of an activation function with the dropout on its "
            "output, or a dropout alone; every sample and position of a unit counts. The "
            "number is the share of zeros."
        ),
        *(
            _folded(f"All numbers, {mode} mode", _numbers(list(layers.values())))
            for mode, layers in (("training", training), ("evaluation", evaluation))
            if layers
        ),
    )


def census(states: Mapping[str, UnitStates], samples: int) -> str:
    """What the units do over the samples."""
    if not states:
        return ""
    rows = [
        [
            name,
            state.activation or "-",
            str(len(state.fired)),
            f"{state.firing_rate.mean():.1%}",
            *(
                str(int(units.sum()))
                for units in (state.dead, state.always_on, state.dormant, state.starved)
            ),
        ]
        for name, state in states.items()
    ]
    heads = ["layer", "activation", "units", "fires", "dead", "always on", "dormant", "starved"]
    return _section(
        "What the units do",
        html.table(heads, rows, words=(1,)),
        _prose(
            f"In evaluation mode, over the {counted(samples, 'sample')}. A unit fires where z > 0 "
            "(without a ReLU: where |h| > 0.001). Dead: never. Always on: each time. Dormant: mean "
            f"|h| at most {DORMANT_TAU:g} of the layer's mean. Starved: it fires, and no gradient "
            "comes back."
        ),
    )


def dead(owners: Sequence[Owner], compacted: Compacted | None) -> str:
    """The dead units, by the module that owns their weights."""
    if not any(owner.dead for owner in owners):
        return ""
    removed = compacted.removed if compacted else {}
    rows = [
        [
            owner.path,
            owner.kind,
            f"{len(owner.dead)} of {owner.units}",
            html.named_units(owner.dead),
            "-" if owner.low_biases is None else str(owner.low_biases),
            str(len(removed.get(owner.path, ()))),
        ]
        for owner in owners
        if owner.dead
    ]
    heads = ["module", "kind", "dead", "which", "low bias", "removable"]
    return _section(
        "Dead units, by the module that owns their weights",
        html.table(heads, rows, words=(1, 3)),
        _prose(
            "Low bias: below 0, and below the bias of every living unit of the module. Removable: "
            "why_zero.compact gives the same outputs for these samples without them; the notes say "
            "why others are kept."
        ),
    )


def unexplained(
    training: Sequence[UnexplainedZeros], evaluation: Sequence[UnexplainedZeros]
) -> str:
    """Zeros that no layer accounts for, and who made them."""
    rows = [
        [
            left.made_by,
            left.seen_at,
            mode,
            f"{left.zeros:,}",
            f"{left.values:,}",
            f"{left.share:.1%}",
        ]
        for mode, found in (("training", training), ("evaluation", evaluation))
        for left in found
    ]
    if not rows:
        return ""
    heads = ["made by", "seen at", "mode", "zeros", "of values", "share"]
    return _section(
        "Zeros that no layer accounts for",
        html.table(heads, rows, words=(1, 2)),
        _prose("Counted where they meet weights or leave the network."),
    )


def noted(notes: Mapping[str, str]) -> str:
    """What could not be counted."""
    return _section("Notes", html.listed(notes)) if notes else ""


def _causes_row(
    name: str, training: WatchedLayer | None, evaluation: WatchedLayer | None
) -> list[html.Cell]:
    layer = training or evaluation
    assert layer  # noqa: S101 the name is from one of the two
    what = f"{layer.activation or 'dropout alone'}, p\xa0=\xa0{layer.drop_rate:g}"
    bars = "".join(
        f"<div class='pair'><span>{mode}</span>{html.bar(each.causes).html}"
        f"<span>{each.causes.zero_share:.1%}</span></div>"
        for mode, each in (("training", training), ("evaluation", evaluation))
        if each
    )
    return [
        html.Markup(f"{html.breakable(name)}<small>{escape(what)}</small>"),
        html.Markup(bars),
    ]


def _numbers(layers: Sequence[WatchedLayer]) -> str:
    rows = [text.cells(layer) for layer in layers]
    if len(rows) > 1:
        rows.append(text.total(layers))
    return html.table(text.HEADS, rows, words=(1,), has_total=len(layers) > 1)


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def _folded(title: str, shown: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{shown}</details>"


def _prose(words: str) -> str:
    return f"<p class='note'>{escape(words)}</p>"
