"""Keeps ready views in the "Views" menu of an experiment.

A later run updates a view under its id; what a user changed or deleted stays that way.
"""

import time
from collections.abc import Mapping, Sequence

from pipeline.errors import PipelineError
from pipeline.tracking.store import Store
from pipeline.tracking.views import ui
from pipeline.tracking.views.view import TAG_PREFIX, WORDS, View, is_untouched, read, text_of

# Tags of the experiment that stay when a user deletes a view, and so show that it existed.
_WRITTEN = "why-zero.view."
_MOST_RUNS = 1000


def keep(store: Store, views: Sequence[View]) -> dict[str, str]:
    """Write the views that no user has changed, and return the ids of all that exist, by name.

    A view that a user deleted stays deleted; if a user has saved one with the same name, that one
    is returned.

    Args:
        store: whose experiment the views are for.
        views: in the order of the menu.

    Raises:
        PipelineError: the UI or the store does not take views as they are written.
    """
    if missing := ui.words_it_lacks(store.uri, WORDS):
        raise PipelineError(
            f"the UI must read views as MLflow 3.17 does, got one that knows no {missing[0]!r}: "
            "compare the runs in its chart view, or install MLflow 3.17"
        )
    before = _tags(store)
    metrics = {search: _metrics(store, search) for search in {view.search for view in views}}
    grids = [chart for view in views for chart in view.charts if chart["type"] == "IMAGE"]
    now = time.time_ns() // 1_000_000
    written: dict[str, str] = {}
    for place, view in enumerate(views):
        if _is_a_persons(view, before):
            continue
        key = TAG_PREFIX + view.id
        # An updated view keeps its place in the menu.
        made = read(before.get(key, "")).get("createdAt", now - place)
        written[key] = text_of(
            view, metrics=metrics[view.search], grids=grids, made=made, updated=now
        )
        with store.writing():
            store.client.set_experiment_tag(store.experiment_id, key, written[key])
            store.client.set_experiment_tag(store.experiment_id, _WRITTEN + view.id, "written")
    after = _tags(store)
    if changed := [key for key, text in written.items() if after.get(key) != text]:
        raise PipelineError(
            f"a store must keep a view as it is written, got another text under {changed[0]!r}: "
            "compare the runs in its chart view"
        )
    ids = _ids(after)
    return {view.name: ids[view.name] for view in views if view.name in ids}


def kept_ids(store: Store) -> dict[str, str]:
    """The ids of the views in the menu of the store's experiment, by name."""
    return _ids(_tags(store))


def _is_a_persons(view: View, tags: Mapping[str, str]) -> bool:
    """Whether a user has changed or deleted the view, or saved another with the same name."""
    text = tags.get(TAG_PREFIX + view.id)
    if text is not None:
        return not is_untouched(text)
    return _WRITTEN + view.id in tags or view.name in _ids(tags)


def _ids(tags: Mapping[str, str]) -> dict[str, str]:
    """The ids of the views in the menu, by name."""
    return {
        name: key.removeprefix(TAG_PREFIX)
        for key, text in tags.items()
        if key.startswith(TAG_PREFIX) and isinstance(name := read(text).get("name"), str) and name
    }


def _tags(store: Store) -> dict[str, str]:
    with store.writing():
        return dict(store.client.get_experiment(store.experiment_id).tags)


def _metrics(store: Store, search: str) -> set[str]:
    """The names of all metrics of the runs that the search finds."""
    with store.writing():
        runs = store.client.search_runs([store.experiment_id], search, max_results=_MOST_RUNS)
    return {name for run in runs for name in run.data.metrics}
