"""Running sums of a layer over passes: counts by unit, never values."""

from collections.abc import Iterator

import numpy as np
import torch

from why_zero._watch.layer_counts import LayerCounts, Trials
from why_zero.errors import BrokenIdentity
from why_zero.identities import check_dropped, check_zero_rate
from why_zero.records import WatchedLayer, ZeroCauses


class LayerSum:
    """What one layer did in all watched passes of one mode.

    What dropout did under one drop rate is tested when its passes have doubled and at the end: so
    a run of a billion passes tests a layer some 30 times at one drop rate.

    Attributes:
        varies: whether its number of units has changed; they are counted as one unit then.
    """

    def __init__(self, first: LayerCounts) -> None:
        self._last = first
        self._passes = 0
        self._counts = np.zeros_like(first.counts.numpy())
        self._ids = first.units.numbers.numpy()
        self.varies = False
        self._start_trials(None)

    def add(self, layer: LayerCounts, name: str) -> Iterator[BrokenIdentity]:
        """Add a pass, and say what contradicts its drop rate."""
        counts = layer.counts.numpy()
        if self.varies or counts.shape != self._counts.shape:
            self.varies = True
            self._counts = self._counts.sum(1, keepdims=True)
            self._ids = np.zeros(1, np.int64)
            counts = counts.sum(1, keepdims=True)
        self._last = layer
        self._passes += 1
        self._counts = self._counts + counts
        if layer.trials is not None:
            yield from self._add_trials(layer.trials, layer.drop_rate, name)

    def check(self, name: str) -> Iterator[BrokenIdentity]:
        """What dropout did since its rate was last changed, where it is not what the rate says."""
        if self._drop_rate is None:
            return
        rates = [self._drop_rate]
        try:
            check_dropped(name, torch.from_numpy(self._trials), rates)
            pairs, before, zeros = torch.from_numpy(self._zeros)
            if pairs:
                check_zero_rate(name, zeros[None], before[None], pairs=int(pairs), drop_rates=rates)
        except BrokenIdentity as error:
            yield error

    def layer(self, name: str) -> WatchedLayer:
        """The sums as a record."""
        last = self._last
        return WatchedLayer(
            name=name,
            source=last.key.source,
            activation=last.activation,
            has_hard_zeros=last.has_relu,
            drop_rate=last.drop_rate,
            passes=self._passes,
            causes=ZeroCauses(*self._counts.copy()),
            unit_axes=() if self.varies else last.units.axes,
            unit_ids=self._ids,
            axis_is_guess=last.units.is_guess,
        )

    def _start_trials(self, drop_rate: float | None) -> None:
        self._drop_rate = drop_rate
        self._passes_with_trials = 0
        self._trials = np.zeros((4, 1, 1), np.int64)
        self._zeros = np.zeros(3, np.int64)  # pairs, those zero without dropout, those zero with it

    def _add_trials(self, trials: Trials, drop_rate: float, name: str) -> Iterator[BrokenIdentity]:
        if drop_rate != self._drop_rate:
            yield from self.check(name)
            self._start_trials(drop_rate)
        counts = trials.counts.numpy()
        self._trials += counts[:, None, None]
        self._passes_with_trials += 1
        if trials.is_by_pair:
            self._zeros += [counts.sum(), int(trials.zeros_before), int(trials.zeros)]
        if self._passes_with_trials.bit_count() == 1:
            yield from self.check(name)
