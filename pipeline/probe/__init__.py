"""Why is it zero: the instrument. It draws nothing and changes nothing.

It must not know epochs, recipes or MLflow.
"""

from pipeline.probe.counting import StateCount, causes_of, count_causes

__all__ = ["StateCount", "causes_of", "count_causes"]
