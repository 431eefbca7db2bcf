"""The toy's page inside MLflow's own artifact view: a sandboxed frame without an address."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.toy.experiment import Trace

api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install .[test]")

pytestmark = [pytest.mark.browser, pytest.mark.server]

PATIENCE = 60


@pytest.fixture
def address(
    tmp_path: Path,
    trace: Trace,
    make_page: Callable[..., Path],
    serving: Callable[[str, Path], AbstractContextManager[str]],
) -> Iterator[str]:
    """The artifact's address on a server of its own, over a run that holds the page."""
    store = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(tracking_uri=store)
    experiment = client.create_experiment("toy", artifact_location=str(tmp_path / "artifacts"))
    run = client.create_run(experiment).info.run_id
    client.log_artifact(run, str(make_page(trace)))
    with serving(store, tmp_path) as server:
        yield f"{server}/#/experiments/{experiment}/runs/{run}/artifacts/toy.html"


def test_it_can_be_walked_through_inside_the_artifact_view(
    browser: "api.Browser", address: str
) -> None:
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    troubles: list[str] = []
    requests: list[str] = []
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("request", lambda r: requests.append(r.url) if r.frame != tab.main_frame else None)
    tab.on(
        "console",
        # MLflow's own page has errors of its own.
        lambda m: troubles.append(m.text) if m.location["url"].startswith("blob:") else None,
    )
    tab.goto(address)
    frame = tab.frame_locator("iframe")
    frame.locator("#counter").wait_for(timeout=PATIENCE * 1000)
    sandbox = tab.locator("iframe").get_attribute("sandbox")
    assert sandbox == "allow-scripts"
    here = tab.url
    frame.locator("#update").fill("1")
    frame.locator("#after").click()
    frame.locator('[data-set="phase"][data-value="backward"]').click()
    frame.locator('.unit[data-arm="relu"][data-unit="h1.3"]').click()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("l")
    assert frame.locator("#counter").inner_text() == "3 / 10"
    assert frame.locator("h1").inner_text() == "왜 0일까?"
    assert frame.locator('.reading[data-arm="relu"] .which').inner_text() == "h1.3"
    tab.keyboard.press("s")
    tab.keyboard.press("Space")
    frame.locator("#counter", has_text="5 / 10").wait_for(timeout=PATIENCE * 1000)
    tab.keyboard.press("Space")
    assert frame.locator("#play").inner_text() == "재생"
    assert tab.url == here
    assert troubles == []
    assert all(url.startswith("blob:") for url in requests)
    tab.close()
