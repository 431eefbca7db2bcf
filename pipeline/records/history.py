"""A network's history as one file, per unit and epoch: written once, read without this project.

The file is safetensors. By layer L (h1 … logits), along the first axis the epochs from 0 on:
`L/active`, `L/dropped`, `L/inactive`, `L/both` (epochs, units), counts of watched samples;
`L/fired`, `L/reached` (epochs, units), counts of D, and `L/magnitude`, mean |h| over D, for layers
with ReLU; `L/gradient_norms`, `L/update_norms` (epochs, units); `L/gradient_norm`,
`L/update_ratio` (epochs,); `L/mask_dead` and `L/recycled` (epochs, units), 1 or 0, 255 where it
was not judged or not due. Where inputs are dropped also `input/active` and so on (epochs, inputs).
By split: `train/loss`, `train/accuracy`, … (epochs,). A number that
an epoch does not have is NaN. The header holds `samples`, the size of D, `first`, the first epoch,
and `ending`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from pipeline.records import INPUT, Ending, EpochRecord, History, LayerRecord, Score
from why_zero.records import CAUSES, Floats, UnitStates, ZeroCauses

Arrays = Mapping[str, NDArray[Any]]
FORMAT = "why-zero history 1"
_SCORES = ("train", "train_eval", "validation")
_SPEEDS = ("epoch_seconds", "samples_per_second", "peak_memory_mb")
_STATES = ("fired", "reached", "magnitude")
_ROW_NORMS = ("gradient_norms", "update_norms")
_CLAIMS = ("mask_dead", "recycled")
_UNKNOWN = 255
_NORMS = ("gradient_norm", "update_ratio")


def save(history: History, path: Path) -> None:
    """Write a network's history, from epoch 0 on."""
    arrays, header = packed(history)
    save_file(arrays, path, metadata=header)


def load(path: Path) -> tuple[EpochRecord, ...]:
    """The history that `save` wrote; weights are not part of it."""
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return unpacked(arrays, file.metadata())


def packed(history: History) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Some consecutive records of one network as arrays and a header: see the module."""
    arrays: dict[str, NDArray[Any]] = {}
    for kind in _SCORES:
        scores = [getattr(record, kind) for record in history]
        for part in ("loss", "accuracy"):
            arrays[f"{kind}/{part}"] = _numbers([s and getattr(s, part) for s in scores])
    for speed in _SPEEDS:
        arrays[f"speed/{speed}"] = _numbers([getattr(record, speed) for record in history])
    samples = 0
    for index, first in enumerate(history[0].layers):
        layers = [record.layers[index] for record in history]
        for cause in CAUSES:
            arrays[f"{first.name}/{cause}"] = np.stack([getattr(x.causes, cause) for x in layers])
        for norm in _NORMS:
            arrays[f"{first.name}/{norm}"] = _numbers([getattr(layer, norm) for layer in layers])
        absent = np.full(len(first.causes.active), np.nan)
        for norms in _ROW_NORMS:
            rows = [getattr(layer, norms) for layer in layers]
            arrays[f"{first.name}/{norms}"] = np.stack([absent if r is None else r for r in rows])
        arrays |= _claimed(layers)
        states = [layer.states for layer in layers if layer.states is not None]
        for name in _STATES if states else ():
            arrays[f"{first.name}/{name}"] = np.stack([getattr(state, name) for state in states])
            samples = states[0].samples
    inputs = [record.input_causes for record in history if record.input_causes is not None]
    for cause in CAUSES if inputs else ():
        arrays[f"{INPUT}/{cause}"] = np.stack([getattr(causes, cause) for causes in inputs])
    header = {
        "format": FORMAT,
        "layers": ",".join(layer.name for layer in history[0].layers),
        "samples": str(samples),
        "first": str(history[0].epoch),
        "ending": history[-1].ending or "",
    }
    return arrays, header


def _claimed(layers: Sequence[LayerRecord]) -> dict[str, NDArray[Any]]:
    """What is said of one layer's units in some epochs, where it is said in any."""
    unknown = np.full(len(layers[0].causes.active), _UNKNOWN, dtype=np.uint8)
    found = {}
    for claim in _CLAIMS:
        claims = [getattr(layer, claim) for layer in layers]
        if any(claimed is not None for claimed in claims):
            rows = [unknown if claimed is None else claimed.astype(np.uint8) for claimed in claims]
            found[f"{layers[0].name}/{claim}"] = np.stack(rows)
    return found


def unpacked(
    arrays: Arrays, header: Mapping[str, str], *, member: int = 0
) -> tuple[EpochRecord, ...]:
    """The records that `packed` took; weights are not part of them.

    Args:
        arrays: what it returned.
        header: likewise.
        member: the network's place in its stack.
    """
    first = int(header["first"])
    epochs = len(arrays["train/loss"])
    names = header["layers"].split(",")
    return tuple(
        EpochRecord(
            member=member,
            epoch=first + epoch,
            layers=tuple(
                _layer(arrays, name, epoch, samples=int(header["samples"])) for name in names
            ),
            train=_score(arrays, "train", epoch),
            train_eval=Score(
                float(arrays["train_eval/loss"][epoch]), float(arrays["train_eval/accuracy"][epoch])
            ),
            validation=_score(arrays, "validation", epoch),
            ending=_ending(header["ending"]) if epoch == epochs - 1 else None,
            epoch_seconds=_number(arrays["speed/epoch_seconds"][epoch]),
            samples_per_second=_number(arrays["speed/samples_per_second"][epoch]),
            peak_memory_mb=_number(arrays["speed/peak_memory_mb"][epoch]),
            input_causes=_causes(arrays, INPUT, epoch) if f"{INPUT}/active" in arrays else None,
        )
        for epoch in range(epochs)
    )


def _layer(arrays: Arrays, name: str, epoch: int, *, samples: int) -> LayerRecord:
    states = None
    if f"{name}/fired" in arrays:
        values = {state: arrays[f"{name}/{state}"][epoch] for state in _STATES}
        states = UnitStates(samples=samples, **values)
    return LayerRecord(
        name=name,
        causes=_causes(arrays, name, epoch),
        states=states,
        gradient_norm=_number(arrays[f"{name}/gradient_norm"][epoch]),
        gradient_norms=_row(arrays[f"{name}/gradient_norms"][epoch]),
        update_ratio=_number(arrays[f"{name}/update_ratio"][epoch]),
        update_norms=_row(arrays[f"{name}/update_norms"][epoch]),
        **{claim: _claims(arrays.get(f"{name}/{claim}"), epoch) for claim in _CLAIMS},
    )


def _causes(arrays: Arrays, name: str, epoch: int) -> ZeroCauses:
    return ZeroCauses(**{cause: arrays[f"{name}/{cause}"][epoch] for cause in CAUSES})


def _score(arrays: Arrays, kind: str, epoch: int) -> Score | None:
    loss, accuracy = arrays[f"{kind}/loss"][epoch], arrays[f"{kind}/accuracy"][epoch]
    return None if np.isnan(loss) else Score(float(loss), float(accuracy))


def _row(values: Floats) -> Floats | None:
    return None if np.isnan(values).all() else values


def _claims(values: NDArray[np.uint8] | None, epoch: int) -> NDArray[np.bool_] | None:
    return None if values is None or (values[epoch] == _UNKNOWN).all() else values[epoch] == 1


def _ending(text: str) -> Ending | None:
    return next((ending for ending in get_args(Ending) if ending == text), None)


def _numbers(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _number(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
