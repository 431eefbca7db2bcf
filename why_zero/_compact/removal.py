"""Which dead units can go, and their going."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from why_zero._compact.cut import columns_of, cut, fold
from why_zero._compact.flow import Route
from why_zero._compact.witness import Witness


@dataclass(frozen=True, kw_only=True)
class KeptUnits:
    """Dead units that a compacted network still has.

    Attributes:
        layer: the path of the module whose rows make them.
        units: which ones.
        reason: why they could not be removed safely, in words.
    """

    layer: str
    units: tuple[int, ...]
    reason: str


def removable(
    route: Route, dead: Sequence[int], witness: Witness, kept: list[KeptUnits]
) -> tuple[int, ...]:
    """Which of a layer's dead units can go; `kept` takes the others, with the reason."""
    reasons: dict[int, str] = {}
    for reader, flow in route.readers.items():
        part = witness.module.get_submodule(str(reader.target))
        by_unit = witness.constants(reader).reshape(len(dead), flow.block)
        for unit, constants in zip(dead, by_unit, strict=True):
            if obstacle := _obstacle(constants, part):
                reasons.setdefault(unit, f"{reader.target} {obstacle}")
    layer = witness.module.get_submodule(route.path)
    if not reasons and len(dead) == len(layer.get_parameter("weight")):
        reasons[dead[0]] = "a layer keeps at least one unit"
    for reason in dict.fromkeys(reasons.values()):
        units = tuple(unit for unit in dead if reasons.get(unit) == reason)
        kept.append(KeptUnits(layer=route.path, units=units, reason=reason))
    return tuple(unit for unit in dead if unit not in reasons)


def _obstacle(constants: Tensor, reader: nn.Module) -> str | None:
    """What a reader does that keeps it from doing without columns of these constants."""
    if constants.isnan().any():
        return "reads them as values that differ with the place"
    if not constants.any():
        return None
    padding: Any = getattr(reader, "padding", 0)
    is_padded = padding == "same" or (not isinstance(padding, str) and np.any(padding))
    if is_padded and reader.padding_mode == "zeros":
        return "pads with 0 beside the constant that is left of them"
    return None if reader.bias is not None else "has no bias to take the constant left of them"


def remove(
    module: nn.Module,
    removed: Mapping[str, Sequence[int]],
    routes: Sequence[Route],
    units: Mapping[str, Sequence[int]],
    witness: Witness,
) -> None:
    """Take units out of their layers, of the batch norms behind them and of the next weights.

    Args:
        module: a copy of the one that the witness has watched.
        removed: what goes, by layer.
        routes: of these layers, and others.
        units: the dead units of each layer, as the witness has them.
        witness: knows which constants are left of them.
    """
    rows: defaultdict[str, list[int]] = defaultdict(list)
    columns: defaultdict[str, list[int]] = defaultdict(list)
    for route in routes:
        gone = removed.get(route.path, ())
        if not gone:
            continue
        rows[route.path] += gone
        for path, flow in route.norms.items():
            rows[path] += columns_of(gone, flow.block)
        places = [units[route.path].index(unit) for unit in gone]
        for reader, flow in route.readers.items():
            path, read = str(reader.target), columns_of(gone, flow.block)
            columns[path] += read
            constants = witness.constants(reader)[columns_of(places, flow.block)]
            if constants.any():
                fold(module.get_submodule(path), read, constants)
    for path in rows.keys() | columns.keys():
        cut(module.get_submodule(path), rows=rows[path], columns=columns[path])
