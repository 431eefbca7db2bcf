"""What a saved view of MLflow's runs page shows, and the text in which the page keeps it.

The format is MLflow's own and not documented: it is the page's state, as MLflow 3.17 writes it when
a person saves a view.
"""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.tracking.views.charts import Json

TAG_PREFIX = "mlflow.sharedViewState."
# What a UI that reads this format has in its code.
WORDS = (
    TAG_PREFIX,
    "viewStateShareKey",
    "createdAt",
    "searchFilter",
    "orderByKey",
    "selectedColumns",
    "columnOrder",
    "runsHiddenMode",
    "compareRunCharts",
    "compareRunSections",
    "isAccordionReordered",
    "metricSectionId",
    "selectedMetricKeys",
    "imageKeys",
)
# The run and its start time: columns not named come after those that are.
_FIRST_COLUMNS = ("attributes.`Run Name`", "runDateAndNestInfo")


@dataclass(frozen=True)
class Section:
    """Charts under one title.

    Attributes:
        title: a question that they answer; a laptop shows some fourteen letters of it.
        charts: from left to right, row by row, as `charts` makes them.
        columns: charts per row.
        height: of a row, in pixels.
    """

    title: str
    charts: Sequence[Json]
    columns: int = 2
    height: int = 340


@dataclass(frozen=True, kw_only=True)
class View:
    """One entry of the "Views" menu.

    Attributes:
        name: in the menu; it makes the view's id, so no two views share it.
        search: which runs it shows, as `tagged` or `any_of` say it.
        parameters: columns of the table.
        metrics: columns of the table, right of the parameters.
        sections: from top to bottom.
        tags: columns of the table, right of the metrics.
    """

    name: str
    search: str
    parameters: Sequence[str]
    metrics: Sequence[str]
    sections: Sequence[Section]
    tags: Sequence[str] = ()

    @property
    def id(self) -> str:
        """Its id in tags and addresses: the same for the same name."""
        return "why-zero-" + re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def charts(self) -> list[Json]:
        """The charts of all sections."""
        return [chart for section in self.sections for chart in section.charts]


def text_of(
    view: View, *, metrics: Iterable[str], grids: Iterable[Json], made: int, updated: int
) -> str:
    """The value of the view's tag.

    Args:
        view: the view.
        metrics: all that its runs have: the page adds a chart for each of them that is neither in
            the view nor noted there as removed.
        grids: one of every kind of images that its runs have; likewise.
        made: milliseconds since 1970; the menu lists the youngest view first.
        updated: the same, of this writing.
    """
    state = json.dumps(_state(view, metrics, grids), separators=(",", ":"))
    written: Json = {
        "name": view.name,
        "createdAt": made,
        "updatedAt": updated,
        "state": "deflate;" + base64.b64encode(zlib.compress(state.encode(), 9)).decode(),
    }
    # In the value itself, so that a kill between two writes cannot leave one without the other.
    return json.dumps(written | {"digest": _digest(written)})


def read(text: str) -> Json:
    """What a tag's value holds, from us or a user; empty if it is not a view."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def is_untouched(text: str) -> bool:
    """Whether a tag's value is just as `text_of` made it; the page knows nothing of the digest."""
    value = read(text)
    return value.pop("digest", None) == _digest(value)


def _state(view: View, metrics: Iterable[str], grids: Iterable[Json]) -> Json:
    sections: list[Json] = []
    charts: list[Json] = []
    for i, section in enumerate(view.sections):
        sections.append(
            {
                "uuid": f"section-{i}",
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
            {
                "uuid": f"section-{i}-{j}",
                "runsCountToCompare": 500,
                "metricSectionId": f"section-{i}",
                "deleted": False,
                "isGenerated": False,  # otherwise the page changes it
                **chart,
            }
            for j, chart in enumerate(section.charts)
        ]
    columns = [
        f"{kind}.`{name}`"
        for kind, names in (
            ("params", view.parameters),
            ("metrics", view.metrics),
            ("tags", view.tags),
        )
        for name in names
    ]
    return {
        "searchFilter": view.search,
        # By their names, which begin with the drop rate and the seed: the page sorts by one key.
        "orderByKey": "tags.`mlflow.runName`",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": columns,
        "columnOrder": [*_FIRST_COLUMNS, *columns],
        "columnWidths": {},
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": charts + _removed(view, metrics, grids),
        "compareRunSections": sections,
        # Otherwise the page sorts the sections by name.
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


def _removed(view: View, metrics: Iterable[str], grids: Iterable[Json]) -> list[Json]:
    """Charts marked as removed, for metrics in no chart: otherwise the page adds one for each."""
    shown = {chart.get("metricKey") for chart in view.charts}
    charts: list[Json] = [
        *({"type": "LINE", "metricKey": name} for name in sorted(metrics) if name not in shown),
        *(
            {"type": "IMAGE", "imageKeys": grid["imageKeys"]}
            for grid in grids
            if grid not in view.charts
        ),
    ]
    removed = {"metricSectionId": "", "deleted": True, "isGenerated": True}
    return [{"uuid": f"removed-{i}", **removed, **chart} for i, chart in enumerate(charts)]


def _digest(written: Json) -> str:
    return hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()
