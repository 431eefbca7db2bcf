"""Which images are trained on and which are held out for validation."""

import torch
from jaxtyping import Int64
from torch import Tensor

from pipeline.errors import UsageError

# Any number would do, but it must never change: every result depends on the held-out images.
SPLIT_SEED = 20_160_522


def split(count: int, holdout: int) -> tuple[Int64[Tensor, " train"], Int64[Tensor, " validation"]]:
    """Indices to train on and indices to validate on, the same at every call and on every device.

    Which images are held out is fixed once and for all; both parts are sorted, so that gathering
    them reads memory in one direction. The training order is decided elsewhere.

    Args:
        count: images in the training set.
        holdout: how many of them to hold out; 0 gives an empty validation part.

    Raises:
        UsageError: holdout outside [0, count).
    """
    if not 0 <= holdout < count:
        raise UsageError(
            f"holdout must be in [0, {count}), the number of training images, got {holdout}: "
            "give a smaller number, or 0 to validate on the test set"
        )
    order = torch.randperm(count, generator=torch.Generator().manual_seed(SPLIT_SEED))
    return order[holdout:].sort().values, order[:holdout].sort().values
