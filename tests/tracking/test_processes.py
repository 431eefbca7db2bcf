"""Whose runs are left, and whose are not ours to judge."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipeline.tracking import Tracker, connect, processes
from pipeline.tracking.processes import host, is_dead, this_process

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_this_process_lives() -> None:
    assert not is_dead(this_process())


def test_a_process_that_has_ended_is_dead() -> None:
    start = this_process().rsplit("/", 1)[1]
    assert is_dead(f"{host()}/{ended()}/{start}")
    assert is_dead(f"{host()}/{ended()}/1700000000")


@ON_LINUX
def test_a_process_that_got_the_number_of_another_seconds_later_does_not_keep_it_alive() -> None:
    name, pid, start = this_process().rsplit("/", 2)
    boot, ticks = start.split(":")
    assert is_dead(f"{name}/{pid}/{boot}:{int(ticks) - 300}")


@ON_LINUX
def test_a_process_of_an_earlier_boot_is_dead() -> None:
    name, pid, start = this_process().rsplit("/", 2)
    assert is_dead(f"{name}/{pid}/another-boot:{start.split(':')[1]}")


@ON_LINUX
def test_a_clock_that_is_set_kills_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    this_process()
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: 0.0)
    assert not is_dead(this_process())


def test_without_a_count_of_ticks_the_start_is_told_by_the_clock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "_BOOT", tmp_path / "none")
    name, pid, start = this_process.__wrapped__().rsplit("/", 2)
    assert not is_dead(f"{name}/{pid}/{start}")
    assert not is_dead(f"{name}/{pid}/{float(start) - 1:.2f}")
    assert is_dead(f"{name}/{pid}/{float(start) - 60:.2f}")
    assert is_dead(f"{name}/{ended()}/{start}")


def test_a_start_in_whole_seconds_as_version_0_2_wrote_it_may_be_an_hour_off() -> None:
    start = int(psutil.Process().create_time())
    assert not is_dead(f"{host()}/{os.getpid()}/{start - 60}")
    assert is_dead(f"{host()}/{os.getpid()}/{start - 100_000}")


def test_of_processes_elsewhere_nothing_is_known() -> None:
    assert not is_dead(f"elsewhere/{ended()}/1700000000")


@pytest.fixture
def tracker(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    folder = tmp_path_factory.mktemp("abandoned")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return connect()


def test_only_runs_of_dead_processes_of_this_machine_are_ended(tracker: Tracker) -> None:
    owners = {
        "dead": f"{host()}/{ended()}/1700000000",
        "elsewhere": "elsewhere/1/1700000000",
        "alive": this_process(),
    }
    ids = {}
    for name, owner in owners.items():
        run = tracker.start_network(name, {}, step="t", tags={"fingerprint": name})
        run.tags({processes.TAG: owner})
        ids[name] = run.id
    connect()
    ends = {run.name: run.tags for run in tracker.search("tags.kind = 'network'")}
    assert set(ends) == {"dead"}
    assert ends["dead"]["outcome"] == "killed"
    assert "has died" in ends["dead"]["reason"]
    again = tracker.reopen(ids["dead"], "dead")
    assert tracker.search("tags.kind = 'network'") == []
    again.end("finished")
    [found] = tracker.search("tags.kind = 'network'")
    assert found.tags["outcome"] == "finished"
    assert "reason" not in found.tags
