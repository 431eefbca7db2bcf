"""Pictures that other processes draw."""

import multiprocessing.process
import multiprocessing.synchronize
import os
import signal
import subprocess
import sys
import time
from functools import partial

import psutil
import pytest
from matplotlib.figure import Figure

from pipeline.plots import render_pool, to_png

# Opens a pool, has it draw once, says which process drew, and waits to be killed.
RENDERING = """
import os, time
from pipeline.plots import render_pool

if __name__ == "__main__":
    with render_pool(2) as pool:
        print(pool.submit(os.getpid)(), flush=True)
        time.sleep(60)
"""


def _curve(height: float, *, title: str) -> Figure:
    figure = Figure()
    axes = figure.add_subplot(title=title)
    axes.plot([0.0, height])
    return figure


def _die_elsewhere() -> str:
    """End the process that runs this, unless it is the one of the tests."""
    if os.environ.get("HOME_PROCESS") != str(os.getpid()):
        os._exit(1)
    return "drawn here"


def test_a_figure_drawn_elsewhere_is_the_same_to_the_last_byte() -> None:
    with render_pool(networks=4) as pool:
        drawn = [pool.png(_curve, height, title="a curve") for height in (1.0, 2.0)]
        pid = pool.submit(os.getpid)
        found = [png() for png in drawn]
        assert pid() != os.getpid()
    assert found == [to_png(_curve(height, title="a curve")) for height in (1.0, 2.0)]
    assert found[0].startswith(b"\x89PNG")


def test_without_anything_to_draw_no_process_starts() -> None:
    before = len(psutil.Process().children())
    with render_pool(networks=0):
        assert len(psutil.Process().children()) == before


def test_where_no_process_can_be_started_it_is_drawn_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(38, "Function not implemented")  # what a system without semaphores says

    with monkeypatch.context() as patched:
        patched.setattr(multiprocessing.synchronize.SemLock, "__init__", refuse)
        with render_pool(networks=2) as pool:
            assert pool.submit(os.getpid)() == os.getpid()
    with monkeypatch.context() as patched:
        patched.setattr(multiprocessing.process.BaseProcess, "start", refuse)
        with render_pool(networks=2) as pool:
            assert pool.submit(os.getpid)() == os.getpid()


def test_what_a_drawing_fails_with_is_raised_where_it_is_asked_for() -> None:
    with render_pool(networks=2) as pool:
        asked = pool.submit(partial(int, "nine"))
        with pytest.raises(ValueError, match="nine"):
            asked()


@pytest.mark.kill
def test_a_drawing_process_that_dies_takes_no_picture_with_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOME_PROCESS", str(os.getpid()))
    with render_pool(networks=2) as pool:
        asked = [pool.submit(_die_elsewhere) for _ in range(3)]
        assert [ask() for ask in asked] == ["drawn here"] * 3
        assert pool.submit(_die_elsewhere)() == "drawn here"
    assert caplog.text.count("drawn one by one") == 1


@pytest.mark.kill
def test_a_drawing_process_leaves_when_its_parent_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RENDERING], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert psutil.pid_exists(worker)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while psutil.pid_exists(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(worker)
