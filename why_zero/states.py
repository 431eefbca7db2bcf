"""Which units are dead, always on, dormant or starved: counts over a reference set."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from why_zero.records import UnitStates

_ALL = slice(None)


class StateCount:
    """Running sums over a reference set, for every hidden unit of a stack."""

    def __init__(self, networks: int, widths: Sequence[int], device: torch.device) -> None:
        """Start at zero for `networks` networks with hidden layers of these widths."""
        self._samples = np.zeros(networks, np.int64)
        shapes = [(networks, width) for width in widths]
        self._fired = [torch.zeros(s, dtype=torch.int64, device=device) for s in shapes]
        self._reached = [torch.zeros(s, dtype=torch.int64, device=device) for s in shapes]
        self._magnitude = [torch.zeros(s, device=device) for s in shapes]

    def add(
        self,
        hidden: Sequence[tuple[Float[Tensor, "networks batch _"], Tensor]],
        members: slice = _ALL,
    ) -> None:
        """Count a batch seen in evaluation mode.

        Args:
            hidden: (z, h) of each hidden layer, from h1 on; h = relu(z), which is its own
                magnitude. What is counted of a network without ReLU means nothing.
            members: which of the networks these are.
        """
        if not hidden:
            return
        self._samples[members] += hidden[0][0].shape[1]
        every = torch.ones_like(hidden[0][0][:, None, :, 0])
        # From the last layer back: for which samples has every later layer an active unit?
        passes = every
        for layer in reversed(range(len(hidden))):
            z, h = hidden[layer]
            # Counted by a product of zeros and ones, exact below 2**24 samples a batch: summing
            # booleans takes four times as long.
            fires = torch.gt(z, 0, out=torch.empty_like(z))
            fired, reached = torch.bmm(torch.cat([every, passes], dim=1), fires).long().unbind(1)
            self._fired[layer][members] += fired
            self._reached[layer][members] += reached
            self._magnitude[layer][members] += h.sum(1)
            passes = passes * (h.amax(-1) > 0)[:, None]

    def states(self, layer: int, member: int) -> UnitStates:
        """The sums of one network's layer."""
        samples = int(self._samples[member])
        return UnitStates(
            samples=samples,
            fired=self._fired[layer][member].cpu().numpy(),
            reached=self._reached[layer][member].cpu().numpy(),
            magnitude=self._magnitude[layer][member].cpu().double().numpy() / samples,
        )
