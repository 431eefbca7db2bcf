"""What every measurement must satisfy: exact checks, and exact tests of what is up to chance."""

from why_zero.identities.checks import (
    check_counts,
    check_dead,
    check_gradients,
    check_order,
    check_pass,
    check_survivors,
    check_zero_count,
)
from why_zero.identities.rates import check_dropped, check_zero_rate

__all__ = [
    "check_counts",
    "check_dead",
    "check_dropped",
    "check_gradients",
    "check_order",
    "check_pass",
    "check_survivors",
    "check_zero_count",
    "check_zero_rate",
]
