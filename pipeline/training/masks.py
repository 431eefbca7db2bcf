"""Dropout masks, drawn for a stack of networks from streams of their own."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from pipeline.config.recipe import Recipe
from pipeline.records import INPUT
from pipeline.training import device as devices
from why_zero import BrokenIdentity


@runtime_checkable
class MaskSource(Protocol):
    """A source of masks for one training pass after another."""

    def draw(self, batch: int) -> Sequence[Bool[Tensor, "networks batch _"] | None]:
        """The next masks, one for each layer: True = kept, None where nothing is dropped."""

    def draw_inputs(self, batch: int, inputs: int) -> Bool[Tensor, "networks batch _"] | None:
        """The next mask of the inputs; None where nothing is dropped."""


class RandomMasks:
    """The masks of one stream: each network's and layer's from its own (seed, layer, stream).

    Networks with one seed share the random numbers behind their masks, so a unit that is dropped
    at p = 0.2 is dropped at p = 0.5 as well. A mask takes 32 bits per unit, so its actual
    rate is within 2**-33 of p.
    """

    def __init__(
        self, recipes: Sequence[Recipe], units: Sequence[int], *, stream: str, device: torch.device
    ) -> None:
        """Open the streams.

        Args:
            recipes: one for each network of the stack.
            units: units of each layer, logits included.
            stream: what the masks are for, such as `epoch 3`: part of the generators' seeds.
            device: where the masks are drawn.
        """
        seeds = list(dict.fromkeys(recipe.seed for recipe in recipes))
        self._seeds = seeds
        self._layers = recipes[0].layers
        self._seed_of = torch.tensor([seeds.index(r.seed) for r in recipes], device=device)
        self._is_one_for_each = len(seeds) in (1, len(recipes))
        self._units = units
        self._thresholds: list[Int[Tensor, "networks 1 1"] | None] = []
        for layer in self._layers:
            rates = [recipe.drop_rate_of(layer) for recipe in recipes]
            self._thresholds.append(_thresholds(rates, device) if any(rates) else None)
        self._generators = [[torch.Generator(device) for _ in seeds] for _ in self._layers]
        # A stream of their own, so that they shift no other mask; none where nobody drops inputs.
        rates = [recipe.input_drop_rate for recipe in recipes]
        self._input_threshold = _thresholds(rates, device) if any(rates) else None
        self._input_generators = [torch.Generator(device) for _ in seeds if any(rates)]
        self._device = device
        self.restart(stream)

    def restart(self, stream: str) -> None:
        """Switch to another stream, from its beginning."""
        for layer, generators in zip(self._layers, self._generators, strict=True):
            for seed, generator in zip(self._seeds, generators, strict=True):
                devices.seed_with(generator, seed, f"mask {layer} {stream}")
        for seed, generator in zip(self._seeds, self._input_generators, strict=False):
            devices.seed_with(generator, seed, f"mask {INPUT} {stream}")

    @property
    def generators(self) -> list[torch.Generator]:
        """The generators of the next masks."""
        return list(itertools.chain(*self._generators, self._input_generators))

    def draw(
        self, batch: int, *, layers: int | None = None
    ) -> list[Bool[Tensor, "networks batch _"] | None]:
        """The next masks for `batch` samples, one for each of the first so many layers, or all."""
        return [
            None
            if threshold is None
            else _is_at_least(self._bits(self._generators[layer], batch, units), threshold)
            for layer, (threshold, units) in enumerate(
                zip(self._thresholds[:layers], self._units, strict=False)
            )
        ]

    def draw_inputs(self, batch: int, inputs: int) -> Bool[Tensor, "networks batch _"] | None:
        """The next mask of the inputs for `batch` samples; None where no network drops any."""
        if self._input_threshold is None:
            return None
        return _is_at_least(
            self._bits(self._input_generators, batch, inputs), self._input_threshold
        )

    def _bits(
        self, generators: Sequence[torch.Generator], batch: int, units: int
    ) -> Int[Tensor, "networks_or_1 batch units"]:
        """32 random bits for each unit, drawn once for networks with the same seed."""
        count = batch * units
        size = (len(generators), (count + 1) // 2)
        words = torch.empty(size, dtype=torch.int64, device=self._device)
        for row, generator in zip(words, generators, strict=True):
            devices.fill_with_random_bits(row, generator)
        bits = words.view(torch.int32)[:, :count].view(len(generators), batch, -1)
        return bits if self._is_one_for_each else bits[self._seed_of]


def check_masks(
    kept: Mapping[str, Bool[Tensor, "batch _"] | None],
    recipe: Recipe,
    units: Sequence[int],
    *,
    batch: int,
    epoch: int,
    device: torch.device,
) -> None:
    """Identity 13: a network's first masks of an epoch are those that it draws alone.

    Args:
        kept: its masks in the stack by layer, that of the inputs included.
        recipe: its recipe.
        units: of each layer.
        batch: samples.
        epoch: whose masks they are.
        device: where they are drawn.

    Raises:
        BrokenIdentity: a mask is not its own.
    """
    source = RandomMasks([recipe], units, stream=f"epoch {epoch}", device=device)
    alone = dict(zip(recipe.layers, source.draw(batch), strict=True))
    if (inputs := kept[INPUT]) is not None:
        alone[INPUT] = source.draw_inputs(batch, inputs.shape[1])
    for layer, own in alone.items():
        mask = kept[layer]
        # Alone it has no mask where it drops nothing; beside networks that drop, one of ones.
        everything = torch.ones((), dtype=torch.bool, device=device)
        given = everything if mask is None else mask
        expected = everything if own is None else own[0]
        if bool((given != expected).any()):
            raise BrokenIdentity(
                layer,
                13,
                expected=f"the first mask of {recipe.name} in epoch {epoch}",
                observed="another one",
            )


def _is_at_least(
    bits: Int[Tensor, "networks_or_1 batch units"], threshold: Int[Tensor, "networks 1 1"]
) -> Bool[Tensor, "networks batch units"]:
    """Whether the bits reach the threshold, compared into bytes: a third of the time on a CPU."""
    networks = max(len(bits), len(threshold))
    kept = torch.empty((networks, *bits.shape[1:]), dtype=torch.uint8, device=bits.device)
    return torch.ge(bits, threshold, out=kept).view(torch.bool)


def _thresholds(rates: Sequence[float], device: torch.device) -> Int[Tensor, "networks 1 1"]:
    """The int32 below which a random int32 falls with probability p."""
    lowest, highest = -(2**31), 2**31 - 1
    values = [min(lowest + round(rate * 2**32), highest) for rate in rates]
    return torch.tensor(values, dtype=torch.int32, device=device)[:, None, None]
