"""Sums of a probe by key, to be added and subtracted: names come last, as they may still change."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from why_zero._watch.layer_counts import Key, Names
from why_zero.findings import Findings
from why_zero.records import SHARES, UnexplainedZeros, WatchedLayer, ZeroCauses

# The call that made the zeros, and where they were seen.
Place = tuple[str, str]


@dataclass(frozen=True)
class ModeSums:
    """What was counted in the passes of one mode."""

    layers: dict[Key, WatchedLayer] = field(default_factory=dict)
    unexplained: dict[Place, UnexplainedZeros] = field(default_factory=dict)


@dataclass(frozen=True)
class KeyedSums:
    """What was counted up to some moment."""

    training: ModeSums = field(default_factory=ModeSums)
    evaluation: ModeSums = field(default_factory=ModeSums)
    notes: dict[str, str] = field(default_factory=dict)
    set_aside: int = 0

    def since(self, before: "KeyedSums") -> "KeyedSums":
        """What was counted after an earlier moment; the notes are all."""
        return KeyedSums(
            _since(self.training, before.training),
            _since(self.evaluation, before.evaluation),
            self.notes,
            self.set_aside - before.set_aside,
        )

    def named(self, names: Names) -> Findings:
        """The same for people."""
        return Findings(
            layers=_named(self.training, names),
            evaluation_layers=_named(self.evaluation, names),
            unexplained=most_first(self.training.unexplained),
            evaluation_unexplained=most_first(self.evaluation.unexplained),
            notes=self.notes,
            set_aside=self.set_aside,
        )


def merged(ranks: Sequence[KeyedSums]) -> KeyedSums:
    """The sums over all ranks; a layer that some rank has not seen is that of the others."""
    notes: dict[str, str] = {}
    for rank, sums in enumerate(ranks):
        for name, why in sums.notes.items():
            is_known = notes.setdefault(name, why) == why
            if not is_known:
                notes[f"{name} (rank {rank})"] = why
    return KeyedSums(
        _together([sums.training for sums in ranks]),
        _together([sums.evaluation for sums in ranks]),
        notes,
        sum(sums.set_aside for sums in ranks),
    )


def most_first(unexplained: dict[Place, UnexplainedZeros]) -> tuple[UnexplainedZeros, ...]:
    """The unexplained zeros of all places."""
    return tuple(sorted(unexplained.values(), key=lambda left: -left.zeros))


def _named(sums: ModeSums, names: Names) -> dict[str, WatchedLayer]:
    layers = [replace(layer, name=names.of(key)) for key, layer in sums.layers.items()]
    return {layer.name: layer for layer in layers}


def _since(now: ModeSums, before: ModeSums) -> ModeSums:
    layers = {
        key: _combined(layer, before.layers[key], -1) if key in before.layers else layer
        for key, layer in now.layers.items()
    }
    unexplained = {
        place: added(left, before.unexplained[place], -1) if place in before.unexplained else left
        for place, left in now.unexplained.items()
    }
    return ModeSums(
        {key: layer for key, layer in layers.items() if layer.passes},
        {place: left for place, left in unexplained.items() if left.passes},
    )


def _together(ranks: Sequence[ModeSums]) -> ModeSums:
    total = ModeSums()
    for sums in ranks:
        for key, layer in sums.layers.items():
            known = total.layers.get(key)
            total.layers[key] = _combined(known, layer, 1) if known else layer
        for place, left in sums.unexplained.items():
            was = total.unexplained.get(place)
            total.unexplained[place] = added(was, left) if was else left
    return total


def _combined(layer: WatchedLayer, other: WatchedLayer, sign: int) -> WatchedLayer:
    """The counts of a layer, and those of the same layer elsewhere, added or taken away."""
    if not np.array_equal(layer.unit_ids, other.unit_ids):
        layer, other = _as_one_unit(layer), _as_one_unit(other)
    causes = (getattr(layer.causes, name) + sign * getattr(other.causes, name) for name in SHARES)
    return replace(
        layer,
        passes=layer.passes + sign * other.passes,
        causes=ZeroCauses(*causes),
        axis_is_guess=layer.axis_is_guess or other.axis_is_guess,
    )


def _as_one_unit(layer: WatchedLayer) -> WatchedLayer:
    """A layer whose number of units is not everywhere the same."""
    causes = (getattr(layer.causes, name).sum(keepdims=True) for name in SHARES)
    return replace(layer, causes=ZeroCauses(*causes), unit_axes=(), unit_ids=np.zeros(1, np.int64))


def added(left: UnexplainedZeros, other: UnexplainedZeros, sign: int = 1) -> UnexplainedZeros:
    """Zeros of one place, and others of it added; taken away with the sign -1."""
    return replace(
        left,
        zeros=left.zeros + sign * other.zeros,
        values=left.values + sign * other.values,
        passes=left.passes + sign * other.passes,
    )
