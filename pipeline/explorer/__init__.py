"""Trained networks as a page that runs them: draw a digit, and see why each unit is zero."""

from pipeline.explorer.publish import explorer_of, log_explorer, log_explorers, pair

__all__ = ["explorer_of", "log_explorer", "log_explorers", "pair"]
