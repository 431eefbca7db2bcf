"""How surprising a count is, exactly, and how surprising it must be to be called broken."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from why_zero.records import Floats

# One call of a check breaks a right instrument with at most this probability, however many
# numbers it looks at. A run that makes fewer than a million such calls (an epoch of a layer of a
# stack is two) is thereby failed wrongly less often than once in a million runs.
FALSE_ALARM = 1e-12


def two_sided_p_values(
    successes: NDArray[Any], trials: NDArray[Any], rates: NDArray[Any]
) -> Floats:
    """Exact binomial p-values: twice the smaller tail, at most 1.

    The tails are regularised incomplete beta functions (Abramowitz and Stegun 26.5.24), which
    hold for 10**9 trials as well as for 10. Doubling never gives less than `scipy.stats.binomtest`
    with the tails taken one by one, so the false-alarm rate stays below the level asked for.

    Args:
        successes: how often it happened.
        trials: how often it could have happened.
        rates: its probability, in [0, 1].
    """
    k, n, p = np.broadcast_arrays(successes, trials, rates)
    # betainc takes no zero: the whole range is certain.
    at_most = np.where(k >= n, 1.0, betainc(np.maximum(n - k, 1), k + 1, 1 - p))
    at_least = np.where(k <= 0, 1.0, betainc(np.maximum(k, 1), np.maximum(n - k, 0) + 1, p))
    return np.asarray(np.minimum(1.0, 2 * np.minimum(at_most, at_least)))
