"""Keeps ready views in the "Views" menu of an experiment.

A later run renews a view under its id; what a person changed or deleted stays so. It must not know
which views there are, nor what they show.
"""

import logging
import time
from collections.abc import Mapping, Sequence

from pipeline.errors import PipelineError
from pipeline.tracking import view as views_of_mlflow
from pipeline.tracking.store import Store
from pipeline.tracking.view import TAG_PREFIX, ImageGrid, View

# Tags of the experiment that stay when a person deletes a view, and so tell that it was there.
_WRITTEN = "why-zero.view."
_MOST_RUNS = 1000
_logger = logging.getLogger(__name__)


def keep(store: Store, views: Sequence[View]) -> dict[str, str]:
    """Write the views that nobody has changed, and return the ids of all that are there, by name.

    A view that a person deleted stays deleted; where a person's own view has its name, that one
    is returned. Whatever goes wrong is one warning: a view is never worth a run.

    Args:
        store: whose experiment the views are for.
        views: in the order of the menu.
    """
    try:
        return _keep(store, views)
    except PipelineError as refusal:
        _logger.warning("The views in MLflow's UI could not be written: %s", refusal)
        return {}


def _keep(store: Store, views: Sequence[View]) -> dict[str, str]:
    before = _tags(store)
    now = time.time_ns() // 1_000_000
    images = {
        chart.key
        for view in views
        for section in view.sections
        for chart in section.charts
        if isinstance(chart, ImageGrid)
    }
    metrics = {search: _metrics(store, search) for search in {view.search for view in views}}
    for place, view in enumerate(views):
        if _is_a_persons(view, before):
            continue
        text = views_of_mlflow.text_of(
            view,
            metrics=metrics[view.search],
            images=images,
            created=now - place,
            updated=now,
        )
        with store.writing():
            store.client.set_experiment_tag(store.experiment_id, TAG_PREFIX + view.id, text)
            store.client.set_experiment_tag(store.experiment_id, _WRITTEN + view.id, "written")
    names = _names(_tags(store))
    return {view.name: names[view.name] for view in views if view.name in names}


def _is_a_persons(view: View, tags: Mapping[str, str]) -> bool:
    """Whether a person changed or deleted the view, or saved another one of this name."""
    text = tags.get(TAG_PREFIX + view.id)
    if text is not None:
        return not views_of_mlflow.is_untouched(text)
    return _WRITTEN + view.id in tags or view.name in _names(tags)


def _names(tags: Mapping[str, str]) -> dict[str, str]:
    """The ids of the views that the menu lists, by name."""
    names = {}
    for key, text in tags.items():
        if key.startswith(TAG_PREFIX) and (name := views_of_mlflow.name_in(text)):
            names[name] = key.removeprefix(TAG_PREFIX)
    return names


def _tags(store: Store) -> dict[str, str]:
    with store.writing():
        return dict(store.client.get_experiment(store.experiment_id).tags)


def _metrics(store: Store, search: str) -> set[str]:
    """The names of all metrics of the runs that the search finds."""
    with store.writing():
        runs = store.client.search_runs([store.experiment_id], search, max_results=_MOST_RUNS)
    return {name for run in runs for name in run.data.metrics}
