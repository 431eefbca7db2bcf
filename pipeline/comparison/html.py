"""The parts of a page: sections, notes, tables, keys, as HTML with all text escaped."""

from collections.abc import Sequence
from html import escape

from pipeline import plots
from pipeline.comparison.tables import Table
from why_zero.records import Cause

# A longer table is collapsed.
_LONG = 12
EXPECTED = "<span class='swatch line'></span>expected: s + p - s p"
MEASURED = "<span class='swatch dot'></span>all zeros, measured"


def section(title: str, *parts: str) -> str:
    """A section with its heading."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def prose(words: str) -> str:
    """A note in small print."""
    return f"<p class='note'>{escape(words)}</p>"


def table(content: Table) -> str:
    """A table, collapsed if it is long."""
    if len(content.rows) <= _LONG:
        return _grid(content)
    return folded(f"Show the {len(content.rows)} rows", content)


def folded(title: str, content: Table) -> str:
    """A collapsed table."""
    return f"<details><summary>{escape(title)}</summary>{_grid(content)}</details>"


def _grid(content: Table) -> str:
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in content.columns)
    rows = "".join(
        f"<tr><th scope='row'>{escape(first)}</th>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in others)
        + "</tr>"
        for first, *others in content.rows
    )
    grid = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<div class='scroll' tabindex='0'>{grid}</div>"


def key(entries: Sequence[str]) -> str:
    """The key of a figure."""
    return f"<ul class='key'>{''.join(f'<li>{entry}</li>' for entry in entries)}</ul>"


def swatch(cause: Cause) -> str:
    """The entry of a cause in a key."""
    return f"<span class='swatch {cause}'></span>{escape(plots.CAUSE_LOOKS[cause].label)}"


def line(name: str) -> str:
    """The entry of a state of units in a key."""
    look = plots.STATES[name]
    dashes = {"-": "none", "--": "6 3", "-.": "6 3 2 3"}[look.dashes]
    shape = {
        "o": "<circle cx='17' cy='6' r='4'/>",
        "s": "<rect x='13.5' y='2.5' width='7' height='7'/>",
        "^": "<path d='M17 1.5 21.5 10h-9z'/>",
    }[look.marker]
    stroke = (
        f"<path d='M0 6h34' stroke='{look.colour}' stroke-width='2' stroke-dasharray='{dashes}'/>"
    )
    sample = (
        f"<svg viewBox='0 0 34 12' fill='{look.colour}' aria-hidden='true'>{stroke}{shape}</svg>"
    )
    return f"{sample}{escape(name)}"
