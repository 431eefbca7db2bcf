"""A logarithmic scale with a place for exact zeros, which matplotlib's own lacks."""

import math
from dataclasses import dataclass

import numpy as np

from why_zero.records import Floats

# Shares of the scale: the strip of exact zeros, and the white between it and the powers of ten.
STRIP, MOAT = 0.1, 0.03
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class LogScale:
    """Positions from 0 to 1: a strip of exact zeros, then powers of ten.

    Attributes:
        low: the smallest power of ten.
        high: the largest, above `low`.
    """

    low: int
    high: int

    def positions(self, values: Floats, spread: Floats) -> Floats:
        """Where values are drawn; NaN where they are not finite.

        Args:
            values: non-negative, shape (n,).
            spread: where zeros, which would hide each other, lie across their strip, in [0, 1],
                shape (n,).
        """
        finite = np.where(np.isfinite(values), values, math.nan)
        powers = np.log10(finite, where=finite > 0, out=np.full_like(finite, math.nan))
        return np.where(finite == 0, STRIP * (0.2 + 0.6 * spread), self._at(powers))

    def ticks(self, most: int) -> dict[float, int]:
        """At most so many powers of ten by their position, the greatest included."""
        step = math.ceil((self.high - self.low + 1) / most)
        powers = range(self.high, self.low - 1, -step)
        positions = self._at(np.array(powers, dtype=np.float64)).tolist()
        return dict(zip(positions, powers, strict=True))

    def _at(self, powers: Floats) -> Floats:
        share = (powers - self.low) / (self.high - self.low)
        return STRIP + MOAT + (1 - STRIP - MOAT) * share


def scale_of(values: Floats) -> LogScale:
    """The narrowest scale with room for all values that are finite."""
    known = values[np.isfinite(values) & (values > 0)]
    if not known.size:
        return LogScale(-1, 0)
    low, high = math.floor(np.log10(known.min())), math.ceil(np.log10(known.max()))
    return LogScale(low, max(high, low + 1))


def power_of_ten(power: int) -> str:
    """A power of ten as text, 10⁻³, without the cost of a formula."""
    return f"10{str(power).translate(_SUPERSCRIPTS)}"
