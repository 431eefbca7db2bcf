"""Which of many units a figure has room for."""

import numpy as np
from numpy.typing import NDArray


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """At most so many of the indices 0 … count - 1, evenly spread, the first and last included.

    Args:
        count: how many there are.
        most: how many there is room for, at least 2.
    """
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.intp)
