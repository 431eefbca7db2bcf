"""Which changes make a result one that has to be computed again."""

import re
import shutil
from pathlib import Path

import pytest
import torch

from pipeline.runs.fingerprint import code_digest, fingerprint

ROOT = Path(__file__).parents[2]
SHOWING = (
    "pipeline/comparison/style.css",
    "pipeline/toy/page/style.css",
    "pipeline/plots/style.py",
    "pipeline/cli/commands.py",
    "pipeline/toy/experiment.py",
    "pipeline/tracking/tracker.py",
    "pipeline/runs/publish.py",
    "pipeline/data/README.md",
    "why_zero/_watch/recorder.py",
    "why_zero/report/text.py",
)
DECIDING = (
    "why_zero/states.py",
    "pipeline/data/splits.py",
    "pipeline/training/loop.py",
    "pipeline/records/epochs.py",
    "pipeline/config/recipe.py",
    "pipeline/runs/answers.py",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of both packages without the images."""
    for package in ("pipeline", "why_zero"):
        ignored = shutil.ignore_patterns("*.gz", "__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    return tmp_path


def touch(file: Path) -> None:
    with file.open("a") as end:
        end.write("\n")


@pytest.mark.parametrize("file", SHOWING)
def test_a_file_that_only_shows_results_leaves_them_valid(tree: Path, file: str) -> None:
    before = code_digest(tree)
    touch(tree / file)
    assert code_digest(tree) == before


@pytest.mark.parametrize("file", DECIDING)
def test_a_file_that_decides_numbers_makes_them_others(tree: Path, file: str) -> None:
    before = code_digest(tree)
    touch(tree / file)
    assert code_digest(tree) != before


def test_the_toy_depends_on_its_room_but_not_on_how_its_page_looks(tree: Path) -> None:
    before = code_digest(tree, rooms=("pipeline/toy",))
    touch(tree / "pipeline/toy/page/style.css")
    assert code_digest(tree, rooms=("pipeline/toy",)) == before
    touch(tree / "pipeline/toy/experiment.py")
    assert code_digest(tree, rooms=("pipeline/toy",)) != before


def test_a_renamed_file_makes_other_numbers(tree: Path) -> None:
    before = code_digest(tree)
    (tree / "pipeline/training/loop.py").rename(tree / "pipeline/training/loops.py")
    assert code_digest(tree) != before


def test_a_fingerprint_covers_each_part_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = [fingerprint("a", "b"), fingerprint("ab"), fingerprint("b", "a"), fingerprint("a")]
    marks.append(fingerprint("a", rooms=("pipeline/toy",)))
    assert len(set(marks)) == len(marks)
    assert all(re.fullmatch("[0-9a-f]{32}", mark) for mark in marks)
    assert fingerprint("a", "b") == marks[0]
    monkeypatch.setattr("pipeline.runs.fingerprint.version", lambda _: f"{torch.__version__}.1")
    assert fingerprint("a", "b") != marks[0]
