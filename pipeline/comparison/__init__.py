"""Compares trained networks: groups, intervals, a verdict in words, a page, two CSV files."""

from pipeline.comparison.files import run_ids
from pipeline.comparison.publish import NETWORKS, publish

__all__ = ["NETWORKS", "publish", "run_ids"]
