"""Renders a trace as one self-contained HTML page, for use from disk or in any frame."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.page import assemble
from pipeline.toy.experiment import ARMS, WIDTHS, Trace

LONGEST = 200
SCRIPTS = (
    "run",
    "position",
    "network",
    "sentences",
    "reading",
    "history",
    "arithmetic",
    "answer",
    "controls",
)


def render_page(
    trace: Trace, *, drop_rate: float, learning_rate: float, init: str, seed: int
) -> str:
    """One self-contained HTML file to step through the trace.

    It holds every number of the trace to the last bit. If a run has more than `LONGEST` updates,
    the page shows the first `LONGEST` and says so.

    Args:
        trace: what every update of every arm saw.
        drop_rate: the probability of dropping that the arms with dropout were trained with.
        learning_rate: the step size of SGD.
        init: what the networks started from, `notebook` or `random`.
        seed: of masks and order.
    """
    updates = len(trace.histories[ARMS[0]]) - 1
    run = {
        "arms": ARMS,
        "widths": WIDTHS,
        "drop_rate": drop_rate,
        "learning_rate": learning_rate,
        "init": init,
        "seed": seed,
        "updates": updates,
        "shown": min(updates, LONGEST),
        "trace": _numbers(trace, updates),
    }
    return assemble(__name__, SCRIPTS, run=run)


def _numbers(trace: Trace, updates: int) -> dict[str, list[Any]]:
    """Every array of the trace by name, as far as it is shown, and the losses over all samples."""
    arrays = dict(trace.arrays)
    for arm, history in trace.histories.items():
        losses = [record.train_eval.loss for record in history]
        arrays[f"{arm}/evaluation_loss"] = np.array(losses, dtype=np.float32)
    return {name: _listed(_shown(name, array, updates)) for name, array in arrays.items()}


def _shown(name: str, array: NDArray[Any], updates: int) -> NDArray[Any]:
    """The entries up to the last update that is shown, and the one after where there is one."""
    if name.startswith("samples/"):
        return array
    return array[: LONGEST + len(array) - updates]


def _listed(array: NDArray[Any]) -> list[Any]:
    """Nested lists of the shortest decimals that reproduce each value.

    JSON has no NaN or infinity, so these become text.
    """
    if array.dtype.kind != "f":
        return array.astype(np.int64).tolist()
    shortest = array.astype(str).astype(np.float64)
    if np.isfinite(shortest).all():
        return shortest.tolist()
    values = [value if np.isfinite(value) else _NAMES[str(value)] for value in shortest.flat]
    return np.array(values, dtype=object).reshape(array.shape).tolist()


_NAMES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
