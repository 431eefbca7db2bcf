"""An interruption waits for a write to end."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.cli import commands
from pipeline.errors import Interrupted
from pipeline.interrupts import held, interrupt
from pipeline.tracking import connect


def test_without_a_block_that_holds_it_an_interruption_is_raised_at_once() -> None:
    with pytest.raises(Interrupted):
        interrupt(signal.SIGTERM)


def test_an_interruption_is_raised_once_after_the_outermost_block() -> None:
    done = []
    with pytest.raises(Interrupted) as caught:  # noqa: PT012, SIM117
        with held():
            with held():
                interrupt(signal.SIGTERM)
                done.append("inner")
            done.append("outer")
    assert done == ["inner", "outer"]
    assert caught.value.exit_code == 128 + signal.SIGTERM
    with held():
        pass


def test_the_block_of_another_thread_holds_nothing_here() -> None:
    is_held, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with held():
            is_held.set()
            may_end.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(20)
    with pytest.raises(Interrupted):
        interrupt(signal.SIGINT)
    may_end.set()
    thread.join()


@pytest.fixture
def handlers() -> Iterator[None]:
    """Leave the handlers of signals as they were."""
    before = {number: signal.getsignal(number) for number in commands._ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", commands._ENDING)
def test_a_signal_inside_a_write_to_sqlite_lets_it_end_and_the_run_is_marked(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    run = connect().start_network("a", {}, step="t", tags={})
    log_batch = MlflowClient.log_batch

    def interrupted(self: MlflowClient, run_id: str, **given: object) -> None:
        if given.get("metrics"):
            os.kill(os.getpid(), number)
        log_batch(self, run_id, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(MlflowClient, "log_batch", interrupted)
    for each in commands._ENDING:
        signal.signal(each, commands._interrupt)
    with pytest.raises(Interrupted), run:
        run.metrics({"a": 1.0}, 0)
    stored = MlflowClient().get_run(run.id)
    assert (stored.info.status, stored.data.tags["outcome"]) == ("KILLED", "killed")
    assert stored.data.metrics == {"a": 1.0}
