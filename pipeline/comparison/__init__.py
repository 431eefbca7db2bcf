"""Compares trained networks: groups, intervals, a verdict in words, a page, two CSV files."""

from pipeline.comparison.compare import Comparison, compare
from pipeline.comparison.publish import publish

__all__ = ["Comparison", "compare", "publish"]
