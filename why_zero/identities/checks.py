"""What a measurement must satisfy, as pure checks: a break raises an error that names it.

The numbers are those of the definitions' list "What the instrument can check about itself".
These hold exactly, or to float rounding, so they never alarm wrongly; the statistical ones are in
`why_zero.identities.rates`. Our stacks and anybody's module call the same functions.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from why_zero.errors import BrokenIdentity

# Two roundings (the scale's, the product's) on either side, in units of the coarser number type.
ROUNDINGS = 4


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


def check_zero_count(
    layer: str,
    counts: Int[Tensor, "4 ..."],
    zeros: Int[Tensor, "..."],
    *,
    other_zeros: Int[Tensor, "..."] | int = 0,
) -> None:
    """Identity 1: what is zero in y is what dropout and ReLU are blamed for, for every unit.

    Args:
        layer: its name, for the error.
        counts: active, dropped, inactive and both.
        zeros: how often y == 0, read from y alone.
        other_zeros: kept pairs without a ReLU whose value was 0 before dropout.

    Raises:
        BrokenIdentity: a zero without a cause, or a cause without a zero.
    """
    expected = counts[1:].sum(0) + other_zeros
    differs = expected != zeros
    if bool(differs.any()):
        raise BrokenIdentity(
            layer,
            1,
            expected=f"{int(expected[differs][0])} zeros of a unit by their causes",
            observed=f"{int(zeros[differs][0])} in y",
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


def check_order(
    layer: str,
    z: Float[Tensor, "*shape"],
    y: Float[Tensor, "*shape"],
    *,
    keep: Bool[Tensor, "*shape"],
    scale: Float[Tensor, "..."] | float,
) -> None:
    """Identity 5: y, made as dropout(relu(z)), is what relu(dropout(z)) would have been.

    Args:
        layer: its name, for the error.
        z: pre-activations.
        y: what the next layer sees.
        keep: the mask, True = kept.
        scale: 1 / (1 - p), broadcast over z.

    Raises:
        BrokenIdentity: it is not.
    """
    _check_close(layer, 5, y, _dropped(z, keep, scale).clamp_(min=0))


def check_gradients(
    layer: str,
    h_gradient: Float[Tensor, "*shape"],
    y_gradient: Float[Tensor, "*shape"],
    *,
    keep: Bool[Tensor, "*shape"],
    scale: Float[Tensor, "..."] | float,
) -> None:
    """Identity 7: the gradient gives the mask back.

    Args:
        layer: its name, for the error.
        h_gradient: of the loss, for what dropout was given.
        y_gradient: of the loss, for what it made of it.
        keep: the mask, True = kept.
        scale: 1 / (1 - p), broadcast over h.

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
    units with z <= 0 (or dropped) for every sample of a batch, with that batch's gradients.

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


def check_pass(
    layer: str,
    counts: Int[Tensor, "4 networks units"],
    *,
    z: Float[Tensor, "networks batch units"],
    y: Float[Tensor, "networks batch units"],
    keep: Bool[Tensor, "networks batch units"] | None,
    scale: Float[Tensor, "networks 1 1"],
    is_linear: Bool[Tensor, "networks 1 1"],
) -> None:
    """Identities 1, 4 and 5 of one layer in one pass, in as few operations as they take.

    y is compared with relu(dropout(z)): that h = relu(z) and y = dropout(h) have been taken for
    one another, scaled and masked rightly is all in it. Networks whose z holds NaN or infinity
    are left to whoever judges divergence.

    Args:
        layer: its name, for the error.
        counts: what `count_causes` gave for this pass.
        z: pre-activations.
        y: what the next layer sees.
        keep: the mask, True = kept; None where nothing was dropped.
        scale: 1 / (1 - p) of each network.
        is_linear: networks without a ReLU behind z.

    Raises:
        BrokenIdentity: one of them does not hold.
    """
    check_counts(layer, counts, z.shape[1])
    is_finite: Tensor | None = None
    expected = z.clone() if keep is None else _dropped(z, keep, scale)
    linear = is_linear[:, 0, 0]
    if not bool(linear.any()):
        expected.clamp_(min=0)
    elif not bool(linear.all()):
        expected = torch.where(is_linear, expected, expected.clamp(min=0))
    if not torch.equal(y, expected):
        is_finite = z.isfinite().flatten(1).all(1)
        identity = 5 if keep is not None and not bool(linear.any()) else 4
        _check_close(layer, identity, y[is_finite], expected[is_finite])
    zeros = z.shape[1] - torch.count_nonzero(y, dim=1)
    if torch.equal(zeros, counts[1:].sum(0)):
        return
    is_finite = z.isfinite().flatten(1).all(1) if is_finite is None else is_finite
    kept_zeros = z == 0 if keep is None else (z == 0) & keep
    other_zeros = (kept_zeros & is_linear).sum(1)
    check_zero_count(
        layer, counts[:, is_finite], zeros[is_finite], other_zeros=other_zeros[is_finite]
    )


def _dropped(values: Tensor, keep: Tensor, scale: Tensor | float) -> Tensor:
    factors = keep * scale if isinstance(scale, Tensor) else keep.to(values.dtype).mul_(scale)
    return values * factors


def _check_close(layer: str, identity: int, observed: Tensor, expected: Tensor) -> None:
    """Equal to rounding wherever a finite value is expected."""
    if torch.equal(observed, expected):
        return
    coarser = max((observed.dtype, expected.dtype), key=lambda dtype: torch.finfo(dtype).eps)
    limits = torch.finfo(coarser)
    expected = expected.to(torch.promote_types(expected.dtype, observed.dtype))
    tolerance = expected.abs().mul_(ROUNDINGS * limits.eps).add_(limits.tiny)
    # A NaN observed is no nearer than anything else, so the comparison is the negated one.
    differs = ~((observed - expected).abs() <= tolerance) & expected.isfinite()
    if bool(differs.any()):
        raise BrokenIdentity(
            layer,
            identity,
            expected=float(expected[differs][0]),
            observed=float(observed[differs][0]),
        )
