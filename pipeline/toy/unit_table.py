"""The state of every hidden unit of the toy, update by update, as rows of a table."""

import numpy as np
from numpy.typing import NDArray

from pipeline.toy.experiment import ARMS, WIDTHS, Trace

AT_THE_END = "at the end"
# Letters, or the table would not fit a terminal of 80 columns.
COLUMNS = ("network", "unit", "A", "D", "I", "B", AT_THE_END, "updates")
LEGEND = (
    "A active (not zero) · D dropped (only by dropout, this pass) · I inactive (only by ReLU, this "
    "sample) · B both · X closed and dead: z <= 0 for all ten samples"
)
LONGEST = 40


def unit_rows(trace: Trace) -> list[tuple[str, ...]]:
    """A row for each hidden unit of each network, under `COLUMNS`.

    The first `LONGEST` updates are spelled out, in the letters of `LEGEND`.
    """
    return [
        _row(trace, arm, f"h{layer}", unit)
        for arm in ARMS
        for layer, width in enumerate(WIDTHS, start=1)
        for unit in range(width)
    ]


def _row(trace: Trace, arm: str, layer: str, unit: int) -> tuple[str, ...]:
    has_relu = "relu" in arm
    fired = trace.arrays[f"{arm}/{layer}/fired"][:, unit]
    updates = len(fired) - 1
    letters = np.array([], dtype=str)
    if updates:
        kept = trace.arrays[f"{arm}/{layer}/mask"][:, unit]
        is_open = (trace.arrays[f"{arm}/{layer}/z"][:, unit] > 0) | (not has_relu)
        letters = np.where(is_open, np.where(kept, "A", "D"), np.where(kept, "I", "B"))
    counts = [str(int((letters == letter).sum())) for letter in "ADIB"]
    if has_relu:
        letters = np.where(np.isin(letters, ["I", "B"]) & (fired[:updates] == 0), "X", letters)
    spelled = "".join(letters[:LONGEST]) + ("…" if updates > LONGEST else "")
    state = _state(fired) if has_relu else "no ReLU, cannot die"
    return (arm, f"{layer}.{unit + 1}", *counts, state, spelled)


def _state(fired: NDArray[np.int64]) -> str:
    """The final state of a ReLU unit, and since when, from its counts of firing samples."""
    if fired[-1]:
        revived = " (revived)" if (fired == 0).any() else ""
        return f"fires for {fired[-1]} of 10{revived}"
    if not fired.any():
        return "dead, born dead"
    since = int(np.flatnonzero(fired)[-1]) + 1
    return f"dead since update {since}"
