"""Names that are scripts, in every page that is made, in a real browser: none may run."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.data import prepared, write_prepared
from pipeline.data.images import Part, assemble

pytestmark = [pytest.mark.browser, pytest.mark.slow]

IMAGE = '<img src=x onerror="ran=1">'
SCRIPTS = (IMAGE, "</script><script>ran=1</script>", "\"'><svg onload=ran=1>")
MODEL = """
from collections import OrderedDict
from torch import nn

def net():
    layers = [({0!r}, nn.Linear(4, 8)), ({1!r}, nn.ReLU()), ("c", nn.Linear(8, 2))]
    return nn.Sequential(OrderedDict(layers))
"""
SMALL = ("--epochs", "1", "--widths", "8", "--mask-passes", "0", "--holdout", "30")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A prepared file whose classes, source and licence are scripts; its name cannot be one."""
    source = np.random.default_rng(0)
    train, test = (
        Part(
            torch.from_numpy(source.integers(0, 256, (count, 6, 5)).astype(np.uint8)),
            torch.from_numpy(np.arange(count) % 3),
        )
        for count in (90, 30)
    )
    made = assemble("x", train, test=test, classes=SCRIPTS, source=IMAGE, licence=SCRIPTS[1])
    return write_prepared(made, tmp_path)


@pytest.fixture
def look(browser: Any) -> Callable[[str], str]:  # noqa: ANN401 - of playwright
    """Opens an address, with every fold open, and returns the text; fails if a script has run."""

    def open_page(address: str) -> str:
        tab = browser.new_page()
        said: list[str] = []
        tab.on("dialog", lambda dialog: said.append(dialog.message))
        tab.goto(address)
        tab.wait_for_timeout(500)
        tab.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        tab.wait_for_timeout(300)
        assert tab.evaluate("window.ran") is None, address
        assert tab.locator('img[src="x"]').count() == 0, address
        text = str(tab.inner_text("body"))
        tab.close()
        return text

    return open_page


def test_a_script_as_a_name_runs_in_no_page(  # noqa: PLR0917 - fixtures
    pipeline: Callable[..., int],
    runs: Callable[..., list[Run]],
    store: str,
    hostile: Path,
    look: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ("--data", hostile, *SMALL, "--drop-rates", "0,0.5", "--seeds", "0")
    assert pipeline("sweep", *options) == 0, capsys.readouterr().err
    client = MlflowClient(store)
    for run in runs(kind="network"):
        client.update_run(run.info.run_id, name=SCRIPTS[2])
    assert pipeline("compare") == 0, capsys.readouterr().err
    pages = 0
    for run in runs(kind="step"):
        for place in ("", "report"):
            for item in client.list_artifacts(run.info.run_id, place):
                if item.path.endswith(".html"):
                    pages += 1
                    path = client.download_artifacts(run.info.run_id, item.path)
                    look(Path(path).as_uri())
    assert pages >= 3
    Path("model.py").write_text(MODEL.format(*SCRIPTS[::2]))
    np.save("x.npy", np.ones((5, 4), np.float32))
    assert pipeline("explain", "model.py:net", "x.npy") == 0, capsys.readouterr().err
    assert IMAGE in look(Path("explanation.html").absolute().as_uri())


@pytest.mark.server
def test_a_script_as_a_name_runs_in_no_description_in_mlflows_pages(  # noqa: PLR0917 - fixtures
    pipeline: Callable[..., int],
    runs: Callable[..., list[Run]],
    store: str,
    hostile: Path,
    look: Callable[[str], str],
    tmp_path: Path,
    serving: Callable[[str, Path], AbstractContextManager[str]],
) -> None:
    assert prepared(str(hostile)).classes == SCRIPTS
    assert pipeline("mnist", "--data", hostile, *SMALL) == 0
    with serving(store, tmp_path) as address:
        for run in runs():
            page = f"{address}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
            assert look(page)


def test_the_eye_sees_a_script_that_runs(look: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(f"<p>{SCRIPTS[1]}")
    with pytest.raises(AssertionError):
        look((tmp_path / "page.html").as_uri())
