"""Running sums of a layer over passes: counts by unit, never values."""

import numpy as np
import torch

from why_zero._watch.layer_counts import LayerCounts
from why_zero.errors import WhyZeroError
from why_zero.identities import check_counts, check_dropped, check_zero_rate
from why_zero.records import WatchedLayer, ZeroCauses


class LayerSum:
    """What one layer did in all watched passes of one mode."""

    def __init__(self, name: str, first: LayerCounts) -> None:
        self.name = name
        units = first.counts.shape[1]
        self._last = first
        self._passes = 0
        self._pairs = 0
        self._counts = np.zeros((4, units), np.int64)
        self._other_zeros = np.zeros(units, np.int64)
        self._chance = _Chance(name)

    def add(self, layer: LayerCounts) -> None:
        """Add a pass.

        Raises:
            BrokenIdentity: the causes do not add up to the pairs, or dropout's share is not p.
            WhyZeroError: the layer has changed its number of units.
        """
        units = self._counts.shape[1]
        if layer.counts.shape[1] != units:
            raise WhyZeroError(
                f"a layer must keep its units from pass to pass, got {layer.counts.shape[1]} after "
                f"{units} in {self.name}: use another module (or function) for each width"
            )
        check_counts(self.name, layer.counts, layer.pairs)
        self._last = layer
        self._passes += 1
        self._pairs += layer.pairs
        self._counts += layer.counts.cpu().numpy()
        self._other_zeros += layer.other_zeros.cpu().numpy()
        self._chance.add(layer)

    def check(self) -> None:
        """Test what dropout did since its rate was last changed.

        Raises:
            BrokenIdentity: it is not what the drop rate says.
        """
        self._chance.check()

    def layer(self) -> WatchedLayer:
        """The sums as a record."""
        last = self._last
        return WatchedLayer(
            name=self.name,
            source=last.key.source,
            activation=last.activation,
            has_hard_zeros=last.has_relu,
            drop_rate=last.trials.drop_rate if last.trials else 0.0,
            passes=self._passes,
            causes=ZeroCauses(*self._counts.copy()),
            other_zeros=self._other_zeros.copy(),
        )


class _Chance:
    """The trials under one drop rate, tested when their passes have doubled and at the end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._start(None)

    def _start(self, layer: LayerCounts | None) -> None:
        self._drop_rate = layer.trials.drop_rate if layer is not None and layer.trials else None
        self._passes = 0
        self._pairs = 0
        self._zeros_before = 0
        self._zeros = 0
        self._counts = np.zeros((4, 1, 1), np.int64)

    def add(self, layer: LayerCounts) -> None:
        trials = layer.trials
        if trials is None:
            return
        if trials.drop_rate != self._drop_rate:
            self.check()
            self._start(layer)
        self._counts += trials.counts.cpu().numpy()
        self._passes += 1
        if trials.is_by_pair:
            self._pairs += int(trials.counts.sum())
            self._zeros_before += trials.zeros_before
            self._zeros += trials.zeros
        if self._passes.bit_count() == 1:
            self.check()

    def check(self) -> None:
        """So a run of a billion passes tests a layer some 30 times at one drop rate."""
        if self._drop_rate is None:
            return
        counts = torch.from_numpy(self._counts)
        rates = [self._drop_rate]
        check_dropped(self._name, counts, rates)
        if self._pairs:
            zeros, before = torch.tensor([self._zeros]), torch.tensor([self._zeros_before])
            check_zero_rate(self._name, zeros, before, pairs=self._pairs, drop_rates=rates)
