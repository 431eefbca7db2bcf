"""Why is it zero: the instrument. It draws nothing and changes nothing.

It must not know epochs, recipes or MLflow.
"""

from pipeline.probe.counting import StateCount, causes_of, count_causes
from pipeline.probe.identities import (
    BrokenIdentity,
    check_counts,
    check_dead,
    check_gradients,
    check_order,
    check_pass,
    check_survivors,
    check_zero_count,
)
from pipeline.probe.layers import WatchedLayer
from pipeline.probe.rates import check_dropped, check_zero_rate
from pipeline.probe.watching import ZeroProbe

__all__ = [
    "BrokenIdentity",
    "StateCount",
    "WatchedLayer",
    "ZeroProbe",
    "causes_of",
    "check_counts",
    "check_dead",
    "check_dropped",
    "check_gradients",
    "check_order",
    "check_pass",
    "check_survivors",
    "check_zero_count",
    "check_zero_rate",
    "count_causes",
]
