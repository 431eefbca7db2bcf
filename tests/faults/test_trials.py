"""What a disturbed process must not do, whatever was done to it."""

import os
import signal

import pytest

from tests.faults import trials
from tests.faults.injection import Fault
from tests.faults.trials import Ended, broken_promises, is_reached, read_all


@pytest.mark.parametrize(
    "ended",
    [
        Ended(code=-signal.SIGKILL, said=""),
        Ended(code=1, said="epoch 1\nerror: a disk must have room, got none\n"),
        Ended(code=0, said="done\n"),
    ],
)
def test_a_process_may_be_killed_say_why_it_ends_or_get_over_it(ended: Ended) -> None:
    assert broken_promises(ended) == []


@pytest.mark.parametrize(
    ("ended", "promise"),
    [
        (Ended(code=1, said="epoch 1\n"), "message: code 1 without a word"),
        (Ended(code=0, said="Traceback (most recent call last):\nOSError"), "message: a traceback"),
        (Ended(code=1, said="error: a\nException ignored in: <x>"), "message: a traceback"),
        (Ended(code=-signal.SIGABRT, said=""), "message: it died of signal 6"),
        (Ended(code=None, said=""), "stuck: it hangs"),
    ],
)
def test_it_must_not_end_without_a_word_with_a_traceback_or_never(
    ended: Ended, promise: str
) -> None:
    [broken] = broken_promises(ended)
    assert broken.startswith(promise)


def test_a_fault_that_did_not_happen_says_nothing() -> None:
    lived = Ended(code=0, said="", places=["commit", "commit"])
    assert is_reached(Fault(2, "locked"), lived)
    assert not is_reached(Fault(3, "locked"), lived)
    assert not is_reached(Fault(1, "kill"), lived)
    assert is_reached(Fault(9, "kill"), Ended(code=-signal.SIGKILL, said=""))


def test_what_a_process_that_hangs_has_said_is_known() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"epoch 1")
    assert read_all([reading], seconds=0.1) == ([b"epoch 1"], False)
    os.close(writing)
    assert read_all([reading], seconds=0.1) == ([b""], True)
    os.close(reading)


def test_the_time_in_which_everything_was_stopped_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[float] = []

    def stopped(*_: object) -> tuple[list[int], list[int], list[int]]:
        looks.append(1000.0)
        return [], [], []

    monkeypatch.setattr(trials.time, "monotonic", lambda: sum(looks))
    monkeypatch.setattr(trials.select, "select", stopped)
    assert read_all([7], seconds=3) == ([b""], False)
    assert len(looks) == 3
