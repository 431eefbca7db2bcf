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

from pipeline.tracking.views.charts import Chart, Json

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
_DEFLATED = "deflate;"

# The run and when it was made: what is not named comes after what is.
_FIRST_COLUMNS = ("attributes.`Run Name`", "runDateAndNestInfo")


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
    view: View, *, metrics: Iterable[str], images: Iterable[str], made: int, updated: int
) -> str:
    """The value of the view's tag.

    Args:
        view: the view.
        metrics: all that its runs have: the page adds a chart for each of them that is neither in
            the view nor noted there as removed.
        images: the keys of all images that its runs have; likewise.
        made: milliseconds since 1970; the menu lists the youngest view first.
        updated: the same, of this writing.
    """
    state = json.dumps(_state(view, metrics, images), separators=(",", ":"))
    packed = _DEFLATED + base64.b64encode(zlib.compress(state.encode(), 9)).decode()
    written: Json = {
        "name": view.name,
        "createdAt": made,
        "updatedAt": updated,
        "state": packed,
    }
    # In the value itself, so that no kill between two writes leaves one without the other.
    return json.dumps(written | {"digest": _digest(written)})


def is_untouched(text: str) -> bool:
    """Whether a tag's value is just as `text_of` made it; the page knows nothing of the digest."""
    read = _read(text)
    return read.pop("digest", None) == _digest(read)


def name_in(text: str) -> str | None:
    """The name of the view in a tag's value, whoever wrote it; None where it holds none."""
    name = _read(text).get("name")
    return name if isinstance(name, str) else None


def created(text: str) -> int | None:
    """When the view in a tag's value was made, in milliseconds since 1970; None where unknown."""
    made = _read(text).get("createdAt")
    return made if isinstance(made, int) else None


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
    left += [{"type": "IMAGE", "imageKeys": [key]} for key in sorted(images) if (key,) not in grids]
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
