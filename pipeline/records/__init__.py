"""Passed between rooms: frozen records of what a network was and did."""

from pipeline.records.epochs import (
    INPUT,
    CauseMap,
    Ending,
    EpochRecord,
    History,
    LayerRecord,
    Score,
    Turnover,
    Weights,
    turnover,
)
from pipeline.records.metrics import metrics
from pipeline.records.result import Failure, Result

__all__ = [
    "INPUT",
    "CauseMap",
    "Ending",
    "EpochRecord",
    "Failure",
    "History",
    "LayerRecord",
    "Result",
    "Score",
    "Turnover",
    "Weights",
    "metrics",
    "turnover",
]
