"""What a measurement must satisfy, as pure checks: a break raises an error that names it.

The numbers are those of `why_zero.errors.IDENTITIES`. Most hold exactly, or to float rounding, so
they never alarm wrongly; `check_zero_rate` and `check_dropped` test what is up to chance, and call
a right measurement broken with at most `FALSE_ALARM` a call. Stacks of networks and anybody's
module call the same functions.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Inexact, Int
from numpy.typing import NDArray
from torch import Tensor

from why_zero.errors import BrokenIdentity
from why_zero.records import Floats, UnitStates, ZeroCauses, expected_zero_rate

# One call of a check breaks a right instrument with at most this probability, however many
# numbers it looks at. A run that makes fewer than a million such calls (an epoch of a layer of a
# stack is two) is thereby failed wrongly less often than once in a million runs.
FALSE_ALARM = 1e-12
# Two roundings (the scale's, the product's) on either side, in units of the coarser number type.
_ROUNDINGS = 4
# What float32 sums of a batch, and of a layer's weights (millions of equal changes), may be off by.
_OF_A_BATCH, _OF_A_LAYER = 1e-4, 0.05
# Two formulas of a logistic unit, in units of the rounding of h.
_OF_A_FUNCTION = 8
# The squares of smaller changes vanish in float32.
_VANISHING = 1e-30


def check_counts(layer: str, counts: Int[Tensor, "4 ..."], pairs: int) -> None:
    """Identity 1: the four causes add up to the pairs, for every unit.

    Args:
        layer: its name, for the error.
        counts: active, dropped, inactive and both, each counted by itself.
        pairs: (sample, unit) pairs that one unit was looked at in.

    Raises:
        BrokenIdentity: they do not.
    """
    total = counts.sum(0)
    if not bool((total == pairs).all()):
        wrong = total[total != pairs].flatten()[0]
        raise BrokenIdentity(layer, 1, expected=f"{pairs} pairs a unit", observed=int(wrong))


def check_zeros(layer: str, causes: ZeroCauses, zeros: Int[Tensor, " units"]) -> None:
    """Identity 1: a record blames dropout and ReLU for as many zeros as its layer was seen to have.

    Args:
        layer: its name, for the error.
        causes: of the record.
        zeros: of each unit, summed by another way than the causes.

    Raises:
        BrokenIdentity: the causes are another layer's, or their sums went wrong.
    """
    blamed = causes.dropped + causes.inactive + causes.both
    seen = zeros.cpu().numpy()
    for unit in np.flatnonzero(blamed != seen)[:1]:
        raise BrokenIdentity(
            layer, 1, expected=f"{seen[unit]} zeros of unit {unit}", observed=int(blamed[unit])
        )


def check_survivors(
    layer: str,
    h: Float[Tensor, "*shape"],
    y: Float[Tensor, "*shape"],
    *,
    keep: Bool[Tensor, "*shape"],
    scale: Float[Tensor, "..."] | float,
) -> None:
    """Identity 4: y = m h / (1 - p), to float rounding of the coarser of their types.

    Args:
        layer: its name, for the error.
        h: what dropout was given.
        y: what it made of it.
        keep: the mask, True = kept.
        scale: 1 / (1 - p), broadcast over h.

    Raises:
        BrokenIdentity: a survivor that is not scaled, or a dropped value that is not 0.
    """
    _check_close(layer, 4, y, _dropped(h, keep, scale))


def survivors_that_differ(
    h: Inexact[Tensor, "*shape"],
    y: Inexact[Tensor, "*shape"],
    *,
    keep: Bool[Tensor, "*shape"],
    scale: Float[Tensor, "..."] | float,
) -> Int[Tensor, ""]:
    """How many values break identity 4, or 7 with gradients for values: a count on their device.

    Arguments as for `check_survivors`.
    """
    return _differs(y, _dropped(h, keep, scale)).sum()


def check_gradients(
    layer: str,
    h_gradient: Float[Tensor, "*shape"],
    y_gradient: Float[Tensor, "*shape"],
    *,
    keep: Bool[Tensor, "*shape"],
    scale: Float[Tensor, "..."] | float,
) -> None:
    """Identity 7: the gradient of the loss for h gives the mask back.

    Arguments as for `check_survivors`.

    Raises:
        BrokenIdentity: dropout's backward pass used another mask or another scale.
    """
    _check_close(layer, 7, h_gradient, _dropped(y_gradient, keep, scale))


def check_dead(
    layer: str,
    is_dead: Bool[Tensor, "networks units"],
    *gradients: Float[Tensor, "networks units"],
) -> None:
    """Identity 8: what is said to be dead has gradients of exactly 0.0.

    It holds for units that are dead over D, with the loss taken over D in evaluation mode, and for
    units that were closed or dropped for every sample of a batch, with that batch's gradients.

    Args:
        layer: its name, for the error.
        is_dead: the claim.
        gradients: a norm (any) of each unit's incoming row, its bias or its outgoing column.

    Raises:
        BrokenIdentity: a unit said to be dead learns.
    """
    for norms in gradients:
        learns = is_dead & (norms != 0)
        if bool(learns.any()):
            network, unit = learns.nonzero()[0].tolist()
            raise BrokenIdentity(
                layer,
                8,
                expected=f"a gradient of 0.0 for unit {unit}",
                observed=float(norms[network, unit]),
            )


def check_activation(
    layer: str,
    h: Float[Tensor, "networks batch units"],
    expected: Float[Tensor, "networks batch units"],
) -> None:
    """Identity 14: h is what the network's activation function makes of z.

    Args:
        layer: its name, for the error.
        h: what the layer gave.
        expected: the same from z by another formula; what is not finite is left out.

    Raises:
        BrokenIdentity: another function was applied, or none.
    """
    tolerance = _OF_A_FUNCTION * torch.finfo(h.dtype).eps
    close = (h.float() - expected).abs() <= tolerance * (1 + expected.abs())
    differs = ~close & expected.isfinite()
    if bool(differs.any()):
        raise BrokenIdentity(
            layer, 14, expected=float(expected[differs][0]), observed=float(h[differs][0])
        )


def check_pass(
    layer: str,
    counts: Int[Tensor, "4 networks units"],
    *,
    z: Float[Tensor, "networks batch units"],
    y: Float[Tensor, "networks batch units"],
    keep: Bool[Tensor, "networks batch units"] | None,
    scale: Float[Tensor, "networks 1 1"],
    has_no_relu: Bool[Tensor, "networks 1 1"],
    h: Float[Tensor, "networks batch units"] | None = None,
) -> None:
    """Identities 1, 4 and 5 of one layer in one pass, in as few operations as they take.

    y is compared with relu(dropout(z)): that h = relu(z) and y = dropout(h) have been taken for
    one another, scaled and masked rightly is all in it. What is zero in y is what dropout and ReLU
    are blamed for. Networks whose z holds NaN or infinity are left to whoever judges divergence.

    Args:
        layer: its name, for the error.
        counts: what `count_causes` gave for this pass.
        z: pre-activations.
        y: what the next layer sees.
        keep: the mask, True = kept; None where nothing was dropped.
        scale: 1 / (1 - p) of each network.
        has_no_relu: networks without a ReLU behind z.
        h: what dropout is given in those; None where it is z in all of them.

    Raises:
        BrokenIdentity: one of them does not hold.
    """
    check_counts(layer, counts, z.shape[1])
    h = z if h is None else torch.where(has_no_relu, h, z)
    expected = h.clone() if keep is None else _dropped(h, keep, scale)
    lacks_relu = bool(has_no_relu.any())
    if not lacks_relu:
        expected.clamp_(min=0)
    elif not bool(has_no_relu.all()):
        expected = torch.where(has_no_relu, expected, expected.clamp(min=0))
    zeros = z.shape[1] - torch.count_nonzero(y, dim=1)
    blamed = counts[1:].sum(0)
    if torch.equal(y, expected) and torch.equal(zeros, blamed):
        return
    is_finite = z.isfinite().flatten(1).all(1)
    identity = 4 if keep is None or lacks_relu else 5
    _check_close(layer, identity, y[is_finite], expected[is_finite])
    # Nobody is blamed for the own zeros of a unit without a ReLU.
    kept_zeros = h == 0 if keep is None else (h == 0) & keep
    blamed = blamed + (kept_zeros & has_no_relu).sum(1)
    differs = (blamed != zeros) & is_finite[:, None]
    if bool(differs.any()):
        raise BrokenIdentity(
            layer,
            1,
            expected=f"{int(blamed[differs][0])} zeros of a unit by their causes",
            observed=f"{int(zeros[differs][0])} in y",
        )


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
    values = _p_value_bounds(found - shut, pairs - shut, np.asarray(drop_rates))
    values = np.where((found < shut) | (found > pairs), 0.0, values)
    for network in np.flatnonzero(values < FALSE_ALARM / values.size)[:1]:
        expected = expected_zero_rate(shut[network] / pairs, drop_rates[network])
        raise BrokenIdentity(
            layer, 2, expected=f"{expected:.6f}", observed=f"{found[network] / pairs:.6f}"
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
    level = FALSE_ALARM / (4 * rates.size)  # open and closed, the layer and the worst of its units
    for found in (by_unit.sum(2, keepdims=True), by_unit):
        for kept, dropped in (found[:2], found[2:]):
            trials = kept + dropped
            values = _p_value_bounds(dropped, trials, rates)
            for network, unit in np.argwhere(values < level / found.shape[2])[:1]:
                count = int(trials[network, unit])
                raise BrokenIdentity(
                    layer,
                    3,
                    expected=f"about {count * drop_rates[network]:.6g} dropped of {count}",
                    observed=int(dropped[network, unit]),
                )


def check_states(
    layer: str,
    states: UnitStates,
    z: Float[Tensor, "samples units"],
    *,
    later: Sequence[Float[Tensor, "samples _"]],
) -> None:
    """Identity 10 for a few samples: the states are those of a count as the definitions have it.

    Args:
        layer: its name, for the error.
        states: of a ReLU layer, over these samples alone.
        z: pre-activations.
        later: z of the hidden layers behind it. If any z is not finite, nothing is checked.

    Raises:
        BrokenIdentity: a unit did not fire, come back or answer as often or as strongly as that.
    """
    if not all(bool(layer.isfinite().all()) for layer in (z, *later)):
        return
    fires = z > 0
    comes_back = fires.clone()
    for deeper in later:
        comes_back &= (deeper > 0).any(1, keepdim=True)
    for what, found, expected in (
        ("samples fired for", states.fired, fires.sum(0)),
        ("samples with a gradient", states.reached, comes_back.sum(0)),
        ("mean |h|", states.magnitude, z.clamp(min=0).mean(0)),
    ):
        right = expected.cpu().double().numpy()
        for unit in np.flatnonzero(~np.isclose(found, right, rtol=_OF_A_BATCH, atol=0))[:1]:
            raise BrokenIdentity(
                layer, 10, expected=f"{right[unit]:.6g} {what} of unit {unit}", observed=found[unit]
            )


def check_firing(layer: str, states: UnitStates) -> None:
    """Identity 10 over D: a ReLU's mean |h| is 0 just where it never fires.

    Args:
        layer: its name, for the error.
        states: of a ReLU layer; a mean that is not finite is left out.

    Raises:
        BrokenIdentity: a dead unit gives something, or one that fires gives nothing.
    """
    differs = (states.fired > 0) != (states.magnitude > 0)
    for unit in np.flatnonzero(differs & np.isfinite(states.magnitude))[:1]:
        raise BrokenIdentity(
            layer,
            10,
            expected=f"mean |h| = 0 just where no sample fires unit {unit}",
            observed=f"{states.magnitude[unit]:.6g} with {states.fired[unit]} that do",
        )


def check_updates(
    layer: str,
    ratios: Sequence[float],
    *,
    sizes: Float[Tensor, " networks"],
    bias_changes: Float[Tensor, "networks units"],
    unit_changes: NDArray[Any],
) -> None:
    """Identity 11: Pythagoras for an epoch's change, to the rounding of float32 sums.

    Args:
        layer: its name, for the error.
        ratios: the norm of the weights' change over that of the weights, of each network. One that
            is not finite is left out.
        sizes: the norm of the weights before the change.
        bias_changes: of each unit's bias.
        unit_changes: the norm of the change of each unit's row with its bias, (networks, units).

    Raises:
        BrokenIdentity: ratios and norms do not belong together.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # of networks that diverge
        by_weights = np.asarray(ratios) * sizes.cpu().double().numpy()
        found = by_weights**2 + (bias_changes.cpu().double().numpy() ** 2).sum(1)
        expected = (unit_changes**2).sum(1)
    fits = np.isclose(found, expected, rtol=_OF_A_LAYER, atol=_VANISHING)
    for network in np.flatnonzero(~fits & np.isfinite(found) & np.isfinite(expected))[:1]:
        raise BrokenIdentity(
            layer,
            11,
            expected=f"{expected[network]:.6g} of network {network}",
            observed=f"{found[network]:.6g}",
        )


def _p_value_bounds(successes: NDArray[Any], trials: NDArray[Any], rates: NDArray[Any]) -> Floats:
    """What two-sided binomial p-values are at most: 2 exp(-n KL(k/n || p)), and at most 1.

    By the bound of Chernoff (1952) for either tail, in the form of Hoeffding (1963, theorem 1). A
    right count is below a level no more often than the level says. An exact tail is smaller by a
    factor of about sqrt(n): at the levels used here, 8.7 instead of 8.3 standard deviations alarm.

    Args:
        successes: how often it happened.
        trials: how often it could have happened.
        rates: its probability, in [0, 1].
    """
    k, n, p = np.broadcast_arrays(successes, trials, rates)
    nats = np.zeros(k.shape)
    with np.errstate(divide="ignore", invalid="ignore"):  # none of none, and what cannot be
        for count, expected in ((k, n * p), (n - k, n * (1 - p))):
            nats += np.where(count > 0, count * np.log(count / expected), 0.0)
    return np.asarray(np.minimum(1.0, 2 * np.exp(-nats)))


def _dropped(values: Tensor, keep: Tensor, scale: Tensor | float) -> Tensor:
    factors = keep * scale if isinstance(scale, Tensor) else keep.to(values.dtype).mul_(scale)
    return values * factors


def _check_close(layer: str, identity: int, observed: Tensor, expected: Tensor) -> None:
    """Equal to rounding wherever a finite value is expected."""
    if torch.equal(observed, expected):
        return
    differs = _differs(observed, expected)
    if bool(differs.any()):
        raise BrokenIdentity(
            layer,
            identity,
            expected=float(expected[differs][0]),
            observed=float(observed[differs][0]),
        )


def _differs(observed: Tensor, expected: Tensor) -> Tensor:
    """Where they differ by more than rounding, and a finite value is expected."""
    coarser = max((observed.dtype, expected.dtype), key=lambda dtype: torch.finfo(dtype).eps)
    limits = torch.finfo(coarser)
    expected = expected.to(torch.promote_types(expected.dtype, observed.dtype))
    tolerance = expected.abs().mul_(_ROUNDINGS * limits.eps).add_(limits.tiny)
    # A NaN observed is no nearer than anything else, so the comparison is the negated one.
    return ~((observed - expected).abs() <= tolerance) & expected.isfinite()
