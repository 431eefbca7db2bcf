"""Every ready view in MLflow's own page, in a real browser: opened, filled, and left alone."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.config.recipe import Recipe
from pipeline.runs.saved_views import saved_views
from pipeline.tracking import Json, Tracker, View, any_of, connect

api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install .[test]")

pytestmark = [pytest.mark.browser, pytest.mark.server]

PATIENCE = 180
RECIPES = [Recipe(widths=(8, 6), epochs=1, drop_rate=drop_rate) for drop_rate in (0.5, 0.0, 0.2)]
NAMES = ("Drop rates", "Why zeros are zero", "Dead units", "Devices", "Cost")
# By this machine, which has no GPU; a chart without data is not shown.
NOT_LOGGED = {
    "system/system_memory_usage_megabytes",
    "system/gpu_0_utilization_percentage",
    "system/gpu_0_memory_usage_megabytes",
}


@dataclass
class Place:
    """A server over an experiment that holds networks, another run, and the views.

    Attributes:
        tracker: of the experiment.
        views: by name.
        addresses: that open them, by name.
        runs: the page of the experiment's runs.
    """

    tracker: Tracker
    views: dict[str, View]
    addresses: dict[str, str]
    runs: str


@pytest.fixture(scope="module")
def place(
    folder: Path,
    uri: str,
    make_networks: Callable[[Tracker, list[Recipe]], list[str]],
    serving: Callable[[str, Path], AbstractContextManager[str]],
) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        local = connect(experiment="seen")
    networks = make_networks(local, RECIPES)
    with local.start_step("sweep", "a sweep", parameters={}):
        pass
    with serving(uri, folder) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server)
        tracker = connect(experiment="seen")
        views = saved_views(
            RECIPES, search=any_of(networks), devices=("cpu", "another"), stacks=networks
        )
        yield Place(
            tracker=tracker,
            views={view.name: view for view in views},
            addresses=tracker.save_views(views),
            runs=f"{server}/#/experiments/{tracker.experiment_id}/runs"
            "?workflowType=machine_learning",
        )


@pytest.fixture
def page(browser: "api.Browser") -> Iterator["api.Page"]:
    """A person's first visit: nothing is remembered from another one."""
    context = browser.new_context(viewport={"width": 1600, "height": 1200})
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    yield page
    context.close()
    assert troubles == []


def until(seen: Callable[[], object], wanted: object) -> None:
    """Return when what is seen is what is wanted; the page takes its time."""
    end = time.monotonic() + PATIENCE
    while (last := seen()) != wanted and time.monotonic() < end:
        time.sleep(0.2)
    assert last == wanted


def tags(tracker: Tracker) -> dict[str, str]:
    return dict(MlflowClient(tracker.uri).get_experiment(tracker.experiment_id).tags)


def rates_of_runs(page: "api.Page") -> list[str]:
    """The drop rates in the names in the list of runs, from top to bottom."""
    rows = page.evaluate(
        """() => [...document.querySelectorAll('.ag-pinned-left-cols-container [role="row"]')]
            .map((row) => [Number(row.getAttribute('row-index')), row.innerText.trim()])"""
    )
    names = [name for _, name in sorted(rows)]
    return [name.split("p=")[1].split()[0] if "p=" in name else "0" for name in names]


def titles(page: "api.Page") -> list[str]:
    """The sections' titles, from top to bottom; the page adds the number of charts to each."""
    headers = page.get_by_test_id("experiment-view-compare-runs-section-header").all_inner_texts()
    return [header.splitlines()[0] for header in headers]


def drawn(page: "api.Page") -> list[tuple[str, bool]]:
    """Every chart's title, and whether there is a line, point, bar or image for every network."""
    cards = page.evaluate(
        """() => [...document.querySelectorAll(
            '[data-testid="experiment-view-compare-runs-card"]')].map((card) => [
                card.querySelector('h4').innerText,
                ...['.scatterlayer .trace', '.scatterlayer .point', '.barlayer .point', 'img',
                    'canvas'].map((mark) => card.querySelectorAll(mark).length)])"""
    )
    # The canvas of parallel coordinates shows no single network.
    return [(title, max(marks) >= len(RECIPES) or canvas > 0) for title, *marks, canvas in cards]


def title_of(chart: Json) -> str:
    """What the page calls a chart."""
    match chart["type"]:
        case "SCATTER":
            return f"{chart['xaxis']['key']} vs. {chart['yaxis']['key']}"
        case "PARALLEL":
            return "Parallel Coordinates"
        case "IMAGE":
            return str(chart["imageKeys"][0])
        case _:
            return str(chart["metricKey"])


@pytest.mark.parametrize("name", NAMES)
def test_its_address_opens_a_view_with_its_networks_by_drop_rate_and_every_chart_filled(
    name: str, place: Place, page: "api.Page"
) -> None:
    # Charts are drawn only where they would be seen.
    page.set_viewport_size({"width": 1600, "height": 5000})
    before = tags(place.tracker)
    view = place.views[name]
    page.goto(place.addresses[name])
    until(lambda: titles(page), [section.title for section in view.sections])
    until(lambda: rates_of_runs(page), ["0", "0.2", "0.5"])
    charts = [title_of(chart) for chart in view.charts]
    there = [title for title in charts if title not in NOT_LOGGED]
    until(lambda: drawn(page), [(title, True) for title in there])
    assert page.get_by_text("No chart data").count() == 0
    assert tags(place.tracker) == before


def test_the_menu_opens_each_view_in_turn_with_its_columns_and_a_click_shows_its_charts(
    place: Place, page: "api.Page"
) -> None:
    # Columns are there only where they would be seen.
    page.set_viewport_size({"width": 3000, "height": 1200})
    page.goto(place.runs)
    page.get_by_test_id("saved-views-trigger").click()
    items = page.locator('[data-testid^="saved-views-item-"]')
    until(items.all_inner_texts, list(NAMES))
    for name in NAMES:
        view = place.views[name]
        if name != NAMES[0]:
            page.get_by_test_id("saved-views-trigger").click()
        page.get_by_test_id(f"saved-views-item-{view.id}").click()
        wanted = [*view.parameters, *view.metrics, *view.tags]
        until(lambda: columns(page), wanted)
        page.locator('label:has(input[value="CHART"])').click()
        wanted = [section.title for section in view.sections]
        until(lambda: titles(page), wanted)


def columns(page: "api.Page") -> list[str]:
    """The names of the columns of parameters, metrics and tags, from left to right."""
    headers = page.evaluate(
        """() => [...document.querySelectorAll('[role="columnheader"][col-id*=".`"]')]
            .map((header) => [Number(header.ariaColIndex), header.getAttribute('col-id')])"""
    )
    ids = [column for _, column in sorted(headers) if not column.startswith("attributes")]
    return [column.split("`")[1] for column in ids]


def test_a_view_that_a_person_deletes_in_the_menu_does_not_come_back(
    place: Place, page: "api.Page"
) -> None:
    views = list(place.views.values())
    cost = views[-1]
    page.goto(place.runs)
    page.get_by_test_id("saved-views-trigger").click()
    page.get_by_test_id(f"saved-views-item-{cost.id}").hover()
    page.get_by_test_id(f"saved-views-delete-{cost.id}").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    until(lambda: f"mlflow.sharedViewState.{cost.id}" in tags(place.tracker), wanted=False)
    assert list(place.tracker.save_views(views)) == list(NAMES[:-1])
