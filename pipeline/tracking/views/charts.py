"""The charts that a view of MLflow's runs page can hold, as the page keeps them.

The fields are MLflow's own and not documented: they are those that MLflow 3.17 gives a chart which
a person adds. A chart's title is its metric.
"""

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]


def line_chart(metric: str, *, is_log: bool = False, by_time: bool = False) -> Json:
    """A metric by step: one line per run.

    Args:
        metric: its name.
        is_log: whether the y axis is logarithmic.
        by_time: whether the x axis is the time since the run's start instead of the step.
    """
    return {
        "type": "LINE",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "xAxisKey": "time-relative" if by_time else "step",
        "useGlobalXaxisKey": False,
        "xAxisScaleType": "linear",
        "scaleType": "log" if is_log else "linear",
        "yAxisKey": "metric",
        "range": {},
        "lineSmoothness": 0,
        "useGlobalLineSmoothing": False,
    }


def bar_chart(metric: str) -> Json:
    """The last value of a metric: one bar per run, in the order of the runs."""
    return {"type": "BAR", "metricKey": metric, "selectedMetricKeys": [metric]}


def scatter(parameter: str, metric: str) -> Json:
    """The last value of a metric against a parameter: one point per run."""
    return {
        "type": "SCATTER",
        "xaxis": {"key": parameter, "type": "PARAM"},
        "yaxis": {"key": metric, "type": "METRIC"},
    }


def parallel_coordinates(parameters: Sequence[str], metrics: Sequence[str]) -> Json:
    """Parameters, then last values of metrics: one line per run, coloured by the last metric."""
    return {
        "type": "PARALLEL",
        "selectedParams": list(parameters),
        "selectedMetrics": list(metrics),
        "showAllRuns": False,
    }


def image_grid(key: str) -> Json:
    """The images logged under a key, of ten runs at most, with a slider over their steps."""
    return {"type": "IMAGE", "imageKeys": [key], "step": 0, "showRunParams": False}
