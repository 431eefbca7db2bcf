"""The notebook's printed numbers: its first update, its loss by hand, and its logarithms."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.studies.study import Evidence, Finding, Findings, Published, Study, exact
from pipeline.toy import experiment, notebook
from pipeline.training.measure import cross_entropy
from pipeline.training.stack import LayerPass, Stack

# Half of the last digit that the notebook prints.
PRINTED = 5e-5
DROP_RATE = 0.5


@dataclass(frozen=True)
class _Arm:
    """What the notebook prints of one network in its first update.

    The masks are not printed. They follow from the zeros, but where ReLU closes a unit anyway.
    """

    name: str
    h1: tuple[float, float, float]
    h2: tuple[float, float, float]
    logits: tuple[float, float]
    masks: tuple[tuple[bool, ...], tuple[bool, ...]] | None = None


_ARMS = (
    _Arm("relu", (1.6387, 0.0, 2.1394), (0.0, 0.0, 0.0), (-0.1454, 0.3115)),
    _Arm(
        "relu+dropout",
        (3.2773, 0.0, 0.0),
        (2.1430, 0.0, 0.0),
        (0.7700, 0.0710),
        ((True, True, False), (True, True, True)),
    ),
    _Arm(
        "dropout",
        (0.0, -0.0, 4.2789),
        (-0.0, -0.0, -1.0032),
        (0.0109, 0.2449),
        ((False, False, True), (False, False, True)),
    ),
)
_LOSS = 0.4905
# Cell 7: random logits with their targets, and the mean loss of these.
_LOGITS = (
    (-1.2739e00, 4.7268e-01, 1.9138e-01, -2.0238e-01, -2.4849e-01),
    (5.9721e-01, 2.5011e-01, -7.2537e-01, -1.1257e00, 4.3374e-01),
    (-2.3343e-04, -4.6638e-02, 2.1673e00, -2.7834e-01, 9.6699e-01),
)
_TARGETS = (1, 4, 0)
_MEAN_LOSS = 1.6601
_LOGARITHMS = 0.5361170131513125


def _find(_: Evidence) -> Findings:
    rows: list[Finding] = []
    for arm in _ARMS:
        rows += _arm_rows(arm)
    losses = cross_entropy(torch.tensor([_LOGITS]), torch.tensor([_TARGETS]))
    rows += [
        _update_row(),
        _row("cell 7: mean cross-entropy", float(losses.mean()), _MEAN_LOSS, "cell 7", PRINTED),
        _row(
            "cell 8: ln 0.9119 + ln 1.8745",
            math.log(0.9119) + math.log(1.8745),
            _LOGARITHMS,
            "cell 8",
            1e-15,
        ),
    ]
    return Findings(
        rows=rows,
        remark=(
            "Parameters are printed to four digits; each tolerance is what that can move. "
            "Why its zeros are zero: in the ReLU network all three units of h2 are closed, so no "
            "gradient passes and neither layer below moves; with Dropout alone a dropped negative "
            "is -0.0, which the notebook prints as well. "
            "The source has no figure."
        ),
    )


def _arm_rows(arm: _Arm) -> list[Finding]:
    """The printed values of one network's first pass, ours beside them."""
    recipes = experiment.recipes(drop_rate=DROP_RATE, learning_rate=0.01, epochs=1, seed=0)
    recipe = recipes[experiment.ARMS.index(arm.name)]
    stack = Stack([recipe], inputs=experiment.INPUTS, classes=experiment.CLASSES)
    stack.load(0, notebook.WEIGHTS)
    sample, target = notebook.SAMPLES[0]
    x = torch.tensor([[sample]], dtype=torch.float32)
    masks = arm.masks and [torch.tensor([[mask]]) for mask in arm.masks]
    trace: list[LayerPass] = []
    with torch.no_grad():
        logits = stack(x, None if masks is None else [*masks, None], trace=trace)
    tolerances = _tolerances(x[0, 0].double().numpy(), trace)
    rows = []
    printed = (arm.h1, arm.h2, arm.logits)
    for name, values, seen, tolerance in zip(
        recipe.layers, printed, trace, tolerances, strict=True
    ):
        for unit, value in enumerate(values):
            ours = float(seen.y[0, 0, unit])
            sign = "" if ours or math.copysign(1, ours) == math.copysign(1, value) else "wrong sign"
            what = f"{arm.name}: {name}[{unit}]"
            rows.append(_row(what, ours, value, "cell 6, update 1", tolerance[unit], note=sign))
    if arm.name == "relu":
        loss = float(cross_entropy(logits, torch.tensor([[target]])))
        allowed = float(2 * tolerances[-1].max() + PRINTED)
        rows.append(_row("relu: loss", loss, _LOSS, "cell 6, update 1", allowed))
    return rows


def _tolerances(x: NDArray[np.float64], trace: Sequence[LayerPass]) -> list[NDArray[np.float64]]:
    """How far rounded parameters can move each y, and half of its own last digit."""
    y, y_error = x, np.zeros_like(x)
    found = []
    for number, layer in enumerate(trace, start=1):
        weight = np.abs(notebook.WEIGHTS[f"linear{number}.weight"].astype(np.float64))
        z_error = weight @ y_error + PRINTED * (np.abs(y).sum() + y_error.sum() + 1)
        scale = 1.0 if layer.keep is None else layer.keep[0, 0].numpy() / (1 - DROP_RATE)
        y, y_error = layer.y[0, 0].double().numpy(), z_error * scale
        found.append(y_error + PRINTED)
    return found


def _update_row() -> Finding:
    """How far the first update moves the first layer of the ReLU network."""
    arms = experiment.recipes(drop_rate=DROP_RATE, learning_rate=0.01, epochs=1, seed=0)
    weights = experiment.run(arms, "notebook").arrays["relu/linear1.weight"]
    change = float(np.abs(weights[1] - weights[0]).max())
    where = "cell 6, parameters after update 1"
    return _row("relu: largest change of fc1.weight in update 1", change, 0.0, where, PRINTED)


def _row(
    what: str, ours: float, value: float, where: str, half_width: float, *, note: str = ""
) -> Finding:
    published = Published(value=value, where=where, half_width=half_width)
    return Finding(what=what, ours=exact(ours), published=published, unit="", digits=4, note=note)


STUDY = Study(
    title="Every number that the notebook prints and that can be derived.",
    source=(
        "The notebook “Dropout과 Dead Relu는 어떤 차이점이 있을까?” (what is the difference "
        "between dropout and dead ReLUs?), cells 5 to 8. Later updates draw masks that are not "
        "printed."
    ),
    quick="the same as full: nothing is trained.",
    find=_find,
)
