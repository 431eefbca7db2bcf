"""The page in a browser: on a desk, on a phone, in the dark."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.comparison.compare import compare
from pipeline.comparison.page import page
from pipeline.records.result import Result

api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install .[test]")

pytestmark = pytest.mark.browser

WORDS = "rgb(34, 34, 34)", "rgb(236, 234, 228)"


@pytest.mark.parametrize(("scheme", "ink"), [("light", WORDS[0]), ("dark", WORDS[1])])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_runs_out_of_the_page_and_nothing_is_fetched(  # noqa: PLR0917 - fixtures
    browser: "api.Browser",
    sweep: Callable[..., list[Result]],
    tmp_path: Path,
    width: int,
    scheme: str,
    ink: str,
) -> None:
    rows = {0.0: (0.9, 0.91), 0.2: (0.95, 0.96), 0.5: (0.8, 0.85)}
    results = [*sweep(rows), *sweep(rows, learning_rate=0.1, device_name="a" * 40)]
    path = tmp_path / "comparison.html"
    path.write_text(page(compare(results), {}, origin="a sweep"), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    fetched: list[str] = []
    tab.on("request", lambda request: fetched.append(request.url))
    tab.goto(path.as_uri())
    for folded in tab.locator("details").all():
        folded.evaluate("element => { element.open = true }")
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.evaluate("getComputedStyle(document.body).color") == ink
    figures = tab.locator("figure svg")
    assert figures.count() > 5
    for index in range(figures.count()):
        box = figures.nth(index).bounding_box()
        assert box is not None
        assert 250 < box["width"] <= width
        assert box["height"] > 60
    assert fetched == [path.as_uri()]
    context.close()
