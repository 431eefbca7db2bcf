"""Which units died between two censuses, and which came back."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from why_zero.errors import WhyZeroError
from why_zero.records import UnitStates, unit_ids_of


@dataclass(frozen=True, kw_only=True)
class UnitChanges:
    """What became of the units of one layer, as rows of the weights that make them.

    Attributes:
        died: dead now, and not before.
        revived: dead before, and not now.
        still_dead: dead both times.
    """

    died: tuple[int, ...]
    revived: tuple[int, ...]
    still_dead: tuple[int, ...]


def changes(
    before: Mapping[str, UnitStates], after: Mapping[str, UnitStates]
) -> dict[str, UnitChanges]:
    """Which units died from one census to a later one, and which came back, by layer.

    Args:
        before: what `why_zero.census` gave.
        after: what it gave later, for the same network over the same reference set.

    Raises:
        WhyZeroError: the censuses have other layers, or a layer has other units.
    """
    if alone := sorted(before.keys() ^ after.keys()):
        raise WhyZeroError(
            f"both censuses must have the same layers, got {', '.join(alone)} in one alone: "
            "take them of the same network over the same reference set"
        )
    return {name: _changes(name, before[name], state) for name, state in after.items()}


def _changes(name: str, before: UnitStates, after: UnitStates) -> UnitChanges:
    then, now = unit_ids_of(before), unit_ids_of(after)
    if then != now:
        raise WhyZeroError(
            f"a layer must have the same units in both censuses, got {len(then)} and "
            f"{len(now)} in {name}: take them of the same network"
        )
    ids = np.array(now, np.int64)
    return UnitChanges(
        died=tuple(ids[~before.dead & after.dead].tolist()),
        revived=tuple(ids[before.dead & ~after.dead].tolist()),
        still_dead=tuple(ids[before.dead & after.dead].tolist()),
    )
