"""What a probe found, as a table for a terminal; the cells of its rows also for other tables."""

from collections.abc import Mapping, Sequence

from why_zero.records import SHARES, WatchedLayer, ZeroCauses

HEADS = ("layer", "activation", "p", "axis", "units", *SHARES, "zero", "silent", "passes")

WIDTH = 80  # of a terminal
# In a table that is wider, those with one value for all layers are told below it, in this order.
SHARED = ("passes", "axis", "unexplained", "activation", "p")


def report(
    layers: Sequence[WatchedLayer],
    notes: Mapping[str, str],
    *,
    worst: int | None = None,
) -> str:
    """The table, a row for each layer and one for all, with everything else below it."""
    shown = list(layers)
    if worst is not None:
        shown = sorted(shown, key=lambda layer: -layer.causes.zero_share)[:worst]
    rows = [HEADS, *map(cells, shown)]
    if len(layers) > 1:
        rows.append(total(layers))
    rows, shared = _fitted(rows, len(shown))
    lines = _lines(rows)
    if shared:
        lines.append(f"in every layer: {', '.join(shared)}")
    if not layers:
        lines = ["no activation function and no dropout was met"]
    if worst is not None and len(shown) < len(layers):
        lines.append(f"({len(layers) - len(shown)} more layers)")
    if any(layer.axis_is_guess for layer in shown):
        lines.append("? the axis of the units is guessed from the shape: unit_axis= overrides it")
    lines += [f"note: {name}: {why}" for name, why in notes.items()]
    return "\n".join(lines)


def cells(layer: WatchedLayer) -> tuple[str, ...]:
    """A layer's cells, under `HEADS`."""
    axis = ",".join(map(str, layer.unit_axes)) or "-"
    return (
        layer.name,
        layer.activation or "-",
        f"{layer.drop_rate:g}",
        f"{axis}?" if layer.axis_is_guess else axis,
        str(len(layer.unit_ids)),
        *_shares(layer.causes),
        str(int(layer.silent.sum())) if layer.has_hard_zeros else "-",
        str(layer.passes),
    )


def all_causes(layers: Sequence[WatchedLayer]) -> ZeroCauses:
    """The causes of all layers together, as of one unit."""
    causes = [layer.causes for layer in layers]
    sums = (sum(getattr(each, cause).sum(keepdims=True) for each in causes) for cause in SHARES)
    return ZeroCauses(*sums)


def total(layers: Sequence[WatchedLayer]) -> tuple[str, ...]:
    """The cells of the row for all layers, under `HEADS`."""
    units = sum(len(layer.unit_ids) for layer in layers)
    silent = sum(int(layer.silent.sum()) for layer in layers)
    return ("all", "", "", "", str(units), *_shares(all_causes(layers)), str(silent), "")


def _shares(causes: ZeroCauses) -> tuple[str, ...]:
    return (*(f"{causes.share(cause):.1%}" for cause in SHARES), f"{causes.zero_share:.1%}")


def _fitted(rows: list[tuple[str, ...]], layers: int) -> tuple[list[tuple[str, ...]], list[str]]:
    """The table without the columns that need not be in it to fit a terminal, and what they say.

    Args:
        rows: the heads, the layers, and perhaps one for all.
        layers: how many of them are layers.
    """
    told: list[str] = []
    for head in SHARED:
        column = rows[0].index(head)
        values = {row[column] for row in rows[1 : layers + 1]}
        if len(values) == 1 and max(map(len, _lines(rows))) > WIDTH:
            rows = [row[:column] + row[column + 1 :] for row in rows]
            told.append(f"{head} {values.pop()}")
    return rows, told


def _lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows with names to the left and numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if head in {"layer", "activation"} else cell.rjust(width)
            for head, cell, width in zip(rows[0], row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def counted(number: int, noun: str) -> str:
    """A number of things: `1 unit`, `2,000 units`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
