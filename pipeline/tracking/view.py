"""What a saved view of MLflow's runs page shows, and the text in which the page keeps it.

The format is MLflow's own and not documented: it is the page's state as MLflow 3.17 writes it when
a person saves a view. It stands here alone. It must not know the store, nor what a metric means.
"""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

TAG_PREFIX = "mlflow.sharedViewState."
_DEFLATED = "deflate;"

_FIRST_COLUMNS = ("attributes.`Run Name`", "runDateAndNestInfo")

Json = dict[str, object]


@dataclass(frozen=True)
class LineChart:
    """Metrics by step: a line a run, and where there are several metrics a dash for each.

    Attributes:
        metrics: their names; the page makes the chart's title of them.
        is_log: whether the y axis is logarithmic.
        by_time: whether the x axis is the time since the run's start instead of the step.
    """

    metrics: tuple[str, ...]
    is_log: bool = False
    by_time: bool = False

    def state(self) -> Json:
        """The chart as the page keeps it."""
        return {
            "type": "LINE",
            "metricKey": self.metrics[0],
            "selectedMetricKeys": list(self.metrics),
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
    """The last values of metrics: a bar a run, in the order of the runs.

    Attributes:
        metrics: their names; several stand side by side.
    """

    metrics: tuple[str, ...]

    def state(self) -> Json:
        """The chart as the page keeps it."""
        return {
            "type": "BAR",
            "metricKey": self.metrics[0],
            "selectedMetricKeys": list(self.metrics),
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


@dataclass(frozen=True)
class Section:
    """Charts under one title.

    Attributes:
        title: a question that they answer.
        charts: from left to right, row by row.
        columns: charts a row.
        height: of a row, in pixels.
    """

    title: str
    charts: tuple[Chart, ...]
    columns: int = 3
    height: int = 340


@dataclass(frozen=True, kw_only=True)
class View:
    """One entry of the "Views" menu.

    Attributes:
        name: in the menu; it makes the view's id, so no two views share it.
        search: which runs it shows, as `tagged` or `any_of` say it.
        order_by: the parameter whose text orders them.
        parameters: columns of the table.
        metrics: columns of the table, right of the parameters.
        sections: from top to bottom.
        tags: columns of the table, right of the metrics.
    """

    name: str
    search: str
    order_by: str
    parameters: tuple[str, ...]
    metrics: tuple[str, ...]
    sections: tuple[Section, ...]
    tags: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """What names it in tags and addresses: the same for the same name."""
        return "why-zero-" + re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


def text_of(
    view: View, *, metrics: Iterable[str], images: Iterable[str], created: int, updated: int
) -> str:
    """The value of the view's tag.

    Args:
        view: the view.
        metrics: all that its runs have: the page adds a chart for each of them that is neither in
            the view nor noted there as removed.
        images: the keys of all images that its runs have; likewise.
        created: milliseconds since 1970; the menu lists the youngest view first.
        updated: the same, of this writing.
    """
    state = json.dumps(_state(view, metrics, images), separators=(",", ":"))
    packed = _DEFLATED + base64.b64encode(zlib.compress(state.encode(), 9)).decode()
    written: Json = {
        "name": view.name,
        "createdAt": created,
        "updatedAt": updated,
        "state": packed,
    }
    return json.dumps(written | {"digest": _digest(written)})


def is_untouched(text: str) -> bool:
    """Whether a tag's value is what `text_of` made: the page drops the digest, edits break it."""
    kept = _read(text)
    return "digest" in kept and kept.pop("digest") == _digest(kept)


def shows_the_same(one: str, other: str) -> bool:
    """Whether two values of a tag differ in nothing but their times."""
    return all(_read(one).get(key) == _read(other).get(key) for key in ("name", "state"))


def name_in(text: str) -> str | None:
    """The name of the view in a tag's value, whoever wrote it; None where it holds none."""
    name = _read(text).get("name")
    return name if isinstance(name, str) else None


def _state(view: View, metrics: Iterable[str], images: Iterable[str]) -> Json:
    sections: list[Json] = []
    charts: list[Json] = []
    for i, section in enumerate(view.sections):
        place = f"section-{i}"
        sections.append(
            {
                "uuid": place,
                "name": section.title,
                "display": True,
                "isReordered": True,
                "isGenerated": False,
                "deleted": False,
                "columns": section.columns,
                "cardHeight": section.height,
            }
        )
        charts += [
            _card(f"{place}-{j}", chart.state(), place) for j, chart in enumerate(section.charts)
        ]
    charts += _removed(charts, metrics, images)
    columns = [
        *(f"params.`{name}`" for name in view.parameters),
        *(f"metrics.`{name}`" for name in view.metrics),
        *(f"tags.`{name}`" for name in view.tags),
    ]
    return {
        "searchFilter": view.search,
        "orderByKey": f"params.`{view.order_by}`",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": columns,
        "columnOrder": [*_FIRST_COLUMNS, *columns],
        "columnWidths": {},
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": charts,
        "compareRunSections": sections,
        # Else the page sorts the sections by their names.
        "isAccordionReordered": True,
        "viewMaximized": False,
        "runListHidden": False,
        "groupBy": None,
        "groupsExpanded": {},
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "globalLineChartConfig": {
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "selectedXAxisMetricKey": "",
        },
    }


def _card(uuid: str, chart: Json, section: str) -> Json:
    """A chart in its place; one that is not generated is left as it is by the page."""
    return {
        "uuid": uuid,
        "runsCountToCompare": 500,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
        **chart,
    }


def _removed(charts: Sequence[Json], metrics: Iterable[str], images: Iterable[str]) -> list[Json]:
    """Charts noted as removed, for what is in no chart: else the page adds one for each."""
    shown = {chart.get("metricKey") for chart in charts}
    grids = {tuple(keys) for chart in charts if isinstance(keys := chart.get("imageKeys"), list)}
    left: list[Json] = [
        {"type": "LINE", "metricKey": name} for name in sorted(metrics) if name not in shown
    ]
    left += [
        {"type": "IMAGE", "imageKeys": [key]} for key in sorted(images) if (key,) not in grids
    ]
    return [
        {"uuid": f"removed-{i}", "metricSectionId": "", "deleted": True, "isGenerated": True, **one}
        for i, one in enumerate(left)
    ]


def _digest(written: Json) -> str:
    return hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()


def _read(text: str) -> Json:
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
