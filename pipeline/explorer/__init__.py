"""Trained networks as a page that runs them: draw a digit, and see why each unit is zero."""

from pipeline.explorer.publish import EXPLORER, explorer_of, log_explorer, pair

__all__ = ["EXPLORER", "explorer_of", "log_explorer", "pair"]
