"""What a probe found, as HTML for a notebook, and the parts that a page is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from why_zero.records import Share, WatchedLayer, ZeroCauses
from why_zero.report import text

# In the order they are stacked: ReLU's two zeros touch, and dropout's two.
LABELS: dict[Share, str] = {
    "inactive": "zero by ReLU alone",
    "both": "zero by both",
    "dropped": "zero by dropout alone",
    "unexplained": "zero, unexplained",
    "active": "active, not zero",
}
_FIRST = 6


@dataclass(frozen=True)
class Markup:
    """HTML that is put into a page as it is; every other text is escaped."""

    html: str


Cell = str | Markup


def report(layers: Sequence[WatchedLayer], notes: Mapping[str, str]) -> str:
    """The report as a piece of HTML that works alone and loads nothing."""
    heads = [text.HEADS[0], "why zero", *text.HEADS[1:]]
    rows = [_row(layer) for layer in layers]
    if len(layers) > 1:
        cells = text.total(layers)
        rows.append([cells[0], bar(text.all_causes(layers)), *cells[1:]])
    shown = table(heads, rows, words=(1, 2), has_total=len(layers) > 1) if layers else ""
    below = dict(notes)
    if any(layer.axis_is_guess for layer in layers):
        below["?"] = "the axis of the units is guessed from the shape: unit_axis= overrides it"
    return f"<div class='why-zero'><style>{style()}</style>{key()}{shown}{listed(below)}</div>"


def style() -> str:
    """The rules of everything that this module makes, for `<style>`; all below `.why-zero`."""
    return (files("why_zero.report") / "style.css").read_text(encoding="utf-8")


def bar(causes: ZeroCauses) -> Markup:
    """The shares of the causes, stacked."""
    if not causes.pairs:
        return Markup("")
    shares = {cause: causes.share(cause) for cause in LABELS}
    said = ", ".join(f"{LABELS[cause]} {share:.1%}" for cause, share in shares.items() if share)
    parts = "".join(
        f"<i class='{cause}' style='width:{100 * share:.3f}%'></i>"
        for cause, share in shares.items()
        if share
    )
    return Markup(f"<div class='bar' role='img' aria-label='{said}' title='{said}'>{parts}</div>")


def key() -> str:
    """What the colours of the bars mean."""
    entries = (f"<li><i class='{cause}'></i>{label}</li>" for cause, label in LABELS.items())
    return f"<ul class='key'>{''.join(entries)}</ul>"


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    words: Sequence[int] = (),
    has_total: bool = False,
    kind: str = "",
) -> str:
    """A table that scrolls by itself where it is wider than the page.

    Args:
        heads: of the columns.
        rows: their cells; the first names the row.
        words: the columns that hold words, which are set to the left.
        has_total: whether the last row is that for all.
        kind: a class of the table's, for rules of the page that it is on.
    """
    sides = [" class='words'" if k in words else "" for k in range(len(heads))]
    head = "".join(
        f"<th scope='col'{side}>{escape(name)}</th>"
        for name, side in zip(heads, sides, strict=True)
    )
    body = ""
    for number, (first, *others) in enumerate(rows, 1):
        cells = "".join(
            f"<td{side}>{_safe(cell)}</td>" for cell, side in zip(others, sides[1:], strict=True)
        )
        last = " class='all'" if has_total and number == len(rows) else ""
        body += f"<tr{last}><th scope='row'>{breakable(first)}</th>{cells}</tr>"
    inner = f"<table class='{kind}'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div class='scroll' tabindex='0'>{inner}</div>"


def listed(notes: Mapping[str, str]) -> str:
    """Notes by name, as a list; nothing where there is none."""
    items = [f"<li><b>{escape(name)}</b>: {escape(why)}</li>" for name, why in notes.items()]
    return f"<ul class='notes'>{''.join(items)}</ul>" if items else ""


def named_units(units: Sequence[int]) -> str:
    """The first few units by number, and how many there are: `3, 5` or `0, 1, 2 … (40)`."""
    shown = ", ".join(map(str, units[:_FIRST]))
    return f"{shown} … ({len(units)})" if len(units) > _FIRST else shown or "-"


def _row(layer: WatchedLayer) -> list[Cell]:
    cells = text.cells(layer)
    silent = cells[-2]
    if layer.has_hard_zeros:
        silent = named_units(layer.unit_ids[layer.silent].tolist())
    return [cells[0], bar(layer.causes), *cells[1:-2], silent, cells[-1]]


def breakable(name: Cell) -> str:
    """A name with places behind its dots where a narrow column may break it."""
    return name.html if isinstance(name, Markup) else escape(name).replace(".", ".<wbr>")


def _safe(cell: Cell) -> str:
    return cell.html if isinstance(cell, Markup) else escape(cell)
