"""What is asked before anything is trained."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import files
from pipeline.cli import commands
from pipeline.errors import PipelineError
from pipeline.health import LEAST_ROOM, check_before_training
from pipeline.tracking import Tracker, connect

TRAINING = ("main", "mnist", "sweep", "toy")


@pytest.fixture
def tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    """On a store in one folder, with artifacts in another, started in a third."""
    for name in ("store", "work", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/store/mlflow.db")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return connect()


@pytest.mark.parametrize("full", ["store", "work", "temporary"])
def test_a_disk_that_is_nearly_full_is_refused_wherever_training_writes(
    full: str, tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_before_training(tracker)

    def usage(folder: Path) -> SimpleNamespace:
        free = LEAST_ROOM - 1 if tmp_path / full in (folder, *folder.parents) else LEAST_ROOM
        return SimpleNamespace(free=free)

    monkeypatch.setattr(files.shutil, "disk_usage", usage)
    with pytest.raises(PipelineError, match=rf"must have room for .*{tmp_path / full}"):
        check_before_training(tracker)


def test_asking_writes_nothing(tracker: Tracker, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    check_before_training(tracker)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("tracker")
@pytest.mark.parametrize("step", TRAINING)
def test_no_step_that_trains_starts_where_it_cannot_keep_checkpoints(
    step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("checkpoints").write_text("a file")
    assert commands.run([step]) == 1
    shown = capsys.readouterr()
    assert shown.err == (
        f"error: a folder must be writable, got {Path.cwd()}/checkpoints: make it so, or start in "
        "another folder\n"
    )
    assert connect().search("") == []


def test_a_temporary_folder_that_is_nowhere_is_one_line(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(PipelineError, match=r"writable temporary folder, got none .*TMPDIR"):
        check_before_training(tracker)
