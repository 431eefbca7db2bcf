"""Running sums of a layer over passes: counts by unit, never values."""

import numpy as np
import torch

from why_zero._watch.layer_counts import LayerCounts, Trials
from why_zero.errors import WhyZeroError
from why_zero.identities import check_counts, check_dropped, check_zero_rate
from why_zero.records import WatchedLayer, ZeroCauses


class LayerSum:
    """What one layer did in all watched passes of one mode.

    What dropout did under one drop rate is tested when its passes have doubled and at the end: so
    a run of a billion passes tests a layer some 30 times at one drop rate.
    """

    def __init__(self, name: str, first: LayerCounts) -> None:
        self.name = name
        units = first.counts.shape[1]
        self._last = first
        self._passes = 0
        self._counts = np.zeros((4, units), np.int64)
        self._other_zeros = np.zeros(units, np.int64)
        self._start_trials(None)

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
        self._counts += layer.counts.cpu().numpy()
        self._other_zeros += layer.other_zeros.cpu().numpy()
        if layer.trials is not None:
            self._add_trials(layer.trials)

    def check(self) -> None:
        """Test what dropout did since its rate was last changed.

        Raises:
            BrokenIdentity: it is not what the drop rate says.
        """
        if self._drop_rate is None:
            return
        rates = [self._drop_rate]
        check_dropped(self.name, torch.from_numpy(self._trials), rates)
        pairs, before, zeros = torch.from_numpy(self._zeros)
        if pairs:
            check_zero_rate(
                self.name, zeros[None], before[None], pairs=int(pairs), drop_rates=rates
            )

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

    def _start_trials(self, drop_rate: float | None) -> None:
        self._drop_rate = drop_rate
        self._passes_with_trials = 0
        self._trials = np.zeros((4, 1, 1), np.int64)
        self._zeros = np.zeros(3, np.int64)  # pairs, those zero without dropout, those zero with it

    def _add_trials(self, trials: Trials) -> None:
        if trials.drop_rate != self._drop_rate:
            self.check()
            self._start_trials(trials.drop_rate)
        self._trials += trials.counts.cpu().numpy()
        self._passes_with_trials += 1
        if trials.is_by_pair:
            self._zeros += [int(trials.counts.sum()), trials.zeros_before, trials.zeros]
        if self._passes_with_trials.bit_count() == 1:
            self.check()
