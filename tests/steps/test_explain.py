"""The step `explain`: a page from somebody's files, and neither run nor store."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import commands

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(4, 8), nn.BatchNorm1d(8)
        self.drop, self.last = nn.Dropout(0.5), nn.Linear(8, 2)
        nn.init.constant_(self.norm.bias, -50.0)

    def forward(self, x):
        return self.last(self.drop(torch.relu(self.norm(self.first(x)))))
"""


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    Path("model.py").write_text(MODEL)
    np.save("x.npy", np.random.default_rng(0).random((65, 4)))  # float64, as numpy has it


def test_it_writes_the_page_and_says_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.run(["explain", "model.py:Net", "x.npy", "--out", "report.html"]) == 0
    shown = capsys.readouterr().out
    assert "8 of the 8 units of first (100.0%) never fire for the 65 samples." in shown
    assert "report.html was written" in shown
    page = Path("report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "8 of 8 units with a ReLU never fired for the 65 samples." in page


def test_it_makes_no_store_and_imports_no_mlflow() -> None:
    program = (
        "import sys; from pipeline.cli import commands\n"
        "code = commands.run(['explain', 'model.py:Net', 'x.npy'])\n"
        "sys.exit(code or 'mlflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = {path.name for path in Path().iterdir()} - {"__pycache__"}
    assert made == {"model.py", "x.npy", "explanation.html"}


def test_a_full_disk_is_one_line_and_leaves_the_page_that_was_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    Path("page.html").write_text("old")
    there = sorted(Path().iterdir())
    monkeypatch.setattr(os, "fsync", refuse)
    assert commands.run(["explain", "model.py:Net", "x.npy", "--out", "page.html"]) == 1
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "got page.html (No space left on device): name another" in shown
    assert Path("page.html").read_text() == "old"
    assert sorted(set(Path().iterdir()) - {Path("__pycache__")}) == there


def test_one_seed_gives_one_page_and_another_seed_another() -> None:
    pages = []
    for seed in ("1", "1", "2"):
        assert commands.run(["explain", "model.py:Net", "x.npy", "--seed", seed]) == 0
        pages.append(Path("explanation.html").read_text("utf-8"))
    assert pages[0] == pages[1] != pages[2]


def test_limit_batch_and_passes_are_what_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--limit", "50", "--batch", "20", "--passes", "3"]
    assert commands.run(["explain", "model.py:Net", "x.npy", *options]) == 0
    assert "for the 50 samples" in capsys.readouterr().out
    page = Path("explanation.html").read_text("utf-8")
    # 3 passes through batches of 17, 17 and 16.
    assert "<td>9</td></tr>" in page
    assert "In training mode 3 times" in page


def test_no_last_batch_is_a_single_sample_which_batch_norm_refuses() -> None:
    assert commands.run(["explain", "model.py:Net", "x.npy", "--batch", "64"]) == 0


def test_where_nothing_is_wrong_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Path("plain.py").write_text(
        "from torch import nn\ndef net():\n    return nn.Sequential(nn.Linear(4, 2), nn.Tanh())\n"
    )
    assert commands.run(["explain", "plain.py:net", "x.npy"]) == 0
    assert "Nothing to mend was found." in capsys.readouterr().out
    assert commands.run(["explain", "plain.py:net", "x.npy", "--limit", "9"]) == 0
    assert "Nothing to mend was found in what could be counted." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["model.py:Net"], "takes 2 values", 2),
        (["model.py:Net", "x.npy", "--batch", "0"], "batch must be a whole number of at least", 2),
        (["model.py:Net", "none.npy"], "a file must be there, got no file none.npy", 1),
        (["model.py", "x.npy"], "a model must be FILE.py:CLASS", 1),
        (["model.py:Net", "x.npy", "--out", "none/a.html"], "make none first", 1),
        (["model.py:Net", "x.npy", "--out", "folder"], "got folder (Is a directory)", 1),
        (["model.py:Net", "wide.npy"], "Net must take the batches, got RuntimeError", 1),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], message: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("folder").mkdir()
    np.save("wide.npy", np.ones((3, 7)))
    assert commands.run(["explain", *arguments]) == code
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert message in shown
