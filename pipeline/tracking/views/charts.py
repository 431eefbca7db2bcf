"""The charts that a view of MLflow's runs page can hold, and how the page keeps them.

The fields are MLflow's own and not documented: they are those that MLflow 3.17 gives a chart which
a person adds.
"""

from dataclasses import dataclass

Json = dict[str, object]


@dataclass(frozen=True)
class LineChart:
    """A metric by step: a line a run.

    Attributes:
        metric: its name, which the page makes the chart's title.
        is_log: whether the y axis is logarithmic.
        by_time: whether the x axis is the time since the run's start instead of the step.
    """

    metric: str
    is_log: bool = False
    by_time: bool = False

    def state(self) -> Json:
        """The chart as the page keeps it."""
        return {
            "type": "LINE",
            "metricKey": self.metric,
            "selectedMetricKeys": [self.metric],
            "xAxisKey": "time-relative" if self.by_time else "step",
            "useGlobalXaxisKey": False,
            "xAxisScaleType": "linear",
            "scaleType": "log" if self.is_log else "linear",
            "yAxisKey": "metric",
            "range": {},
            "lineSmoothness": 0,
            "useGlobalLineSmoothing": False,
        }


@dataclass(frozen=True)
class BarChart:
    """The last value of a metric: a bar a run, in the order of the runs.

    Attributes:
        metric: its name, which the page makes the chart's title.
    """

    metric: str

    def state(self) -> Json:
        """The chart as the page keeps it."""
        return {
            "type": "BAR",
            "metricKey": self.metric,
            "selectedMetricKeys": [self.metric],
        }


@dataclass(frozen=True)
class Scatter:
    """The last value of a metric against a parameter: a point a run.

    Attributes:
        parameter: along the x axis.
        metric: along the y axis.
    """

    parameter: str
    metric: str

    def state(self) -> Json:
        """The chart as the page keeps it."""
        return {
            "type": "SCATTER",
            "xaxis": {"key": self.parameter, "type": "PARAM"},
            "yaxis": {"key": self.metric, "type": "METRIC"},
        }


@dataclass(frozen=True)
class ParallelCoordinates:
    """Parameters and last values of metrics side by side: a line a run through all of them.

    Attributes:
        parameters: the axes on the left.
        metrics: the axes on the right; the last one colours the lines.
    """

    parameters: tuple[str, ...]
    metrics: tuple[str, ...]

    def state(self) -> Json:
        """The chart as the page keeps it."""
        return {
            "type": "PARALLEL",
            "selectedParams": list(self.parameters),
            "selectedMetrics": list(self.metrics),
            "showAllRuns": False,
        }


@dataclass(frozen=True)
class ImageGrid:
    """The images logged under one key, of ten runs at most, with a slider over their steps.

    Attributes:
        key: of the images.
    """

    key: str

    def state(self) -> Json:
        """The grid as the page keeps it."""
        return {"type": "IMAGE", "imageKeys": [self.key], "step": 0, "showRunParams": False}


Chart = LineChart | BarChart | Scatter | ParallelCoordinates | ImageGrid
