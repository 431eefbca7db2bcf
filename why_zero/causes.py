"""Why activations are zero: z and masks in, exact counts of the causes out."""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from why_zero.identities import check_counts
from why_zero.records import ZeroCauses


def by_cause(
    is_open: Bool[Tensor, "*shape"], keep: Bool[Tensor, "*shape"]
) -> Iterator[Bool[Tensor, "*shape"]]:
    """Which pairs have each cause, in the order of `CAUSES`, each found by itself.

    Args:
        is_open: z > 0, or no ReLU behind z.
        keep: the dropout mask, True = kept.
    """
    yield is_open & keep
    yield is_open & ~keep
    yield ~is_open & keep
    yield ~(is_open | keep)


def count_causes(
    z: Float[Tensor, "networks batch units"],
    keep: Bool[Tensor, "networks batch units"] | None,
    *,
    has_no_relu: Bool[Tensor, "networks 1 1"],
) -> Int[Tensor, "4 networks units"]:
    """How often each unit was active, dropped, inactive or both (in this order), over the batch.

    Each cause is counted by itself, so that their sum can be checked against the batch.

    Args:
        z: pre-activations.
        keep: the dropout mask, True = kept; None where nothing was dropped.
        has_no_relu: networks without a ReLU behind z, be they linear, logistic or leaky: their
            units are never closed.
    """
    is_open = (z > 0) | has_no_relu
    if keep is None:
        active, inactive = is_open.sum(1), (~is_open).sum(1)
        none = torch.zeros_like(active)
        return torch.stack([active, none, inactive, none])
    return torch.stack([flags.sum(1) for flags in by_cause(is_open, keep)])


def causes_of(
    counts: Int[Tensor, "4 units"], watched: int, *, layer: str = "of the stack"
) -> ZeroCauses:
    """The record of one network's layer.

    Args:
        counts: sums of what `count_causes` gave.
        watched: the samples that were watched.
        layer: its name, for the error.

    Raises:
        BrokenIdentity: the causes do not add up to the samples, so the count itself is wrong.
    """
    check_counts(layer, counts, watched)
    return ZeroCauses(*counts.cpu().numpy())
