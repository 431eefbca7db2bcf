"""Compares trained networks: groups, intervals, a verdict in words, a page, two CSV files.

It must not know who trained the networks or found them, and measures nothing.
"""

from pipeline.comparison.files import run_ids
from pipeline.comparison.publish import NETWORKS, publish

__all__ = ["NETWORKS", "publish", "run_ids"]
