"""What dropout's share of the zeros must be, up to chance: identities 2 and 3.

A right measurement is called broken with at most `chance.FALSE_ALARM` a call.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from torch import Tensor

from why_zero.errors import BrokenIdentity
from why_zero.identities.chance import FALSE_ALARM, two_sided_p_values


def check_zero_rate(
    layer: str,
    zeros: Int[Tensor, " networks"],
    closed: Int[Tensor, " networks"],
    *,
    pairs: int,
    drop_rates: Sequence[float],
) -> None:
    """Identity 2: the zero rate is s + p - s p, up to the sampling noise of the masks.

    Given the pass's pre-activations, what dropout adds to the closed pairs is Binomial(pairs -
    closed, p): an exact test, with at most `FALSE_ALARM` a call.

    Args:
        layer: its name, for the error.
        zeros: pairs with y == 0 of each network.
        closed: pairs with z <= 0 of each network in the same passes; s = closed / pairs.
        pairs: (sample, unit) pairs of each network.
        drop_rates: p of each network.

    Raises:
        BrokenIdentity: more or fewer zeros than that.
    """
    found, shut = zeros.cpu().numpy(), closed.cpu().numpy()
    values = two_sided_p_values(found - shut, pairs - shut, np.asarray(drop_rates))
    values = np.where((found < shut) | (found > pairs), 0.0, values)
    for network in np.flatnonzero(values < FALSE_ALARM / values.size)[:1]:
        s, p = shut[network] / pairs, drop_rates[network]
        raise BrokenIdentity(
            layer, 2, expected=f"{s + p - s * p:.6f}", observed=f"{found[network] / pairs:.6f}"
        )


def check_dropped(
    layer: str, counts: Int[Tensor, "4 networks units"], drop_rates: Sequence[float]
) -> None:
    """Identity 3: how many were dropped, among the open and among the closed pairs.

    Each layer as a whole and each unit by itself, so a mask that is right on average and wrong by
    unit is found too. With at most `FALSE_ALARM` a call. Masks do not depend on the pre-activations
    they are laid over, so sums over units, batches and epochs are binomial as well (to the extent
    that the number of open pairs does not react to earlier masks, which training does weakly).

    Args:
        layer: its name, for the error.
        counts: active, dropped, inactive and both.
        drop_rates: p of each network.

    Raises:
        BrokenIdentity: too many or too few.
    """
    by_unit = counts.cpu().numpy()
    rates = np.asarray(drop_rates, float)[:, None]
    whole = by_unit.sum(2, keepdims=True)
    tests = 4 * rates.size  # open and closed, the layer and the worst of its units
    for level, found in ((FALSE_ALARM / tests, whole), (FALSE_ALARM / tests, by_unit)):
        for kept, dropped in ((0, 1), (2, 3)):
            trials = found[kept] + found[dropped]
            values = two_sided_p_values(found[dropped], trials, rates)
            for network, unit in np.argwhere(values < level / found.shape[2])[:1]:
                count = int(trials[network, unit])
                raise BrokenIdentity(
                    layer,
                    3,
                    expected=f"about {count * drop_rates[network]:.6g} dropped of {count}",
                    observed=int(found[dropped, network, unit]),
                )
