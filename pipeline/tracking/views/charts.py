"""The charts that a view of MLflow's runs page can hold, as the page keeps them.

The fields are MLflow's own and not documented: they are those that MLflow 3.17 gives a chart which
a person adds. The title of a scatter is that of its axes.
"""

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]


def line_chart(metric: str, *, title: str, is_log: bool = False, by_time: bool = False) -> Json:
    """A metric by step: one line per run.

    Args:
        metric: its name.
        title: of the chart.
        is_log: whether the y axis is logarithmic.
        by_time: whether the x axis is the time since the run's start instead of the step.
    """
    return {
        "type": "LINE",
        "metricKey": metric,
        "displayName": title,
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


def bar_chart(metric: str, *, title: str) -> Json:
    """The last value of a metric: one bar per run, in the order of the runs.

    Args:
        metric: its name.
        title: of the chart.
    """
    return {
        "type": "BAR",
        "metricKey": metric,
        "displayName": title,
        "selectedMetricKeys": [metric],
    }


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
