"""The tutorial notebook: it runs as it stands, and is committed as it ran."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PATH = ROOT / "docs" / "tutorial.ipynb"
CELLS = json.loads(PATH.read_text("utf-8"))["cells"]


def kinds(cells: list[dict[str, Any]]) -> list[list[str]]:
    """What each cell gave, without what was logged: text, a table, a picture."""
    best = ("text/html", "image/png")
    return [
        [
            next((kind for kind in best if kind in output.get("data", {})), output["output_type"])
            for output in cell.get("outputs", [])
            if output.get("name") != "stderr"
        ]
        for cell in cells
    ]


@pytest.mark.slow
def test_the_tutorial_runs_in_a_kernel_and_gives_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient: pip install .[test]")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient: pip install .[test]")
    pytest.importorskip("ipykernel", reason="needs ipykernel: pip install .[test]")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    notebook = nbformat.read(PATH, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        coalesce_streams=True,
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    assert kinds(notebook["cells"]) == kinds(CELLS)
    assert (tmp_path / "mlflow.db").is_file()


def test_it_is_small_shows_what_it_gave_and_not_where_it_ran() -> None:
    text = PATH.read_text("utf-8")
    assert len(text) < 200_000
    assert [kind for cell in kinds(CELLS) for kind in cell] == [
        *("text/html", "image/png", "stream", "stream", "stream")
    ]
    for trace in (str(Path.home()), str(ROOT), " at 0x", "stderr"):
        assert trace not in text
