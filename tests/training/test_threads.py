"""The number of threads follows what is faster, whatever that is at the moment."""

import time
from collections.abc import Callable

import pytest
import torch

from pipeline.training import device as devices
from pipeline.training.threads import LATEST, LOOKS, Threads


class Machine:
    """A clock, what an update takes with so many threads, and how many cores others leave idle."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float]) -> None:
        self.now = 0.0
        self.seconds = seconds
        self.threads = 0
        self.free = 0.0  # cores
        self.idle = 0.0  # seconds of all cores; at 0 the machine does not say
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(devices, "idle_seconds", lambda: self.idle)
        monkeypatch.setattr(torch, "set_num_threads", self.set)

    def set(self, count: int) -> None:
        self.threads = count

    def train(self, threads: Threads, seconds: float) -> dict[int, float]:
        """The seconds that updates with each number of threads have taken."""
        spent: dict[int, float] = {}
        until = self.now + seconds
        while self.now < until:
            taken = self.seconds(self.threads)
            self.now += taken
            self.idle += taken * max(0.0, self.free - self.threads)
            spent[self.threads] = spent.get(self.threads, 0) + taken
            threads()
        return spent


def quiet(count: int) -> float:
    return {1: 7.0e-3, 2: 5.4e-3}[count]


def busy(count: int) -> float:
    return {1: 7.7e-3, 2: 22.7e-3}[count]


def test_free_cores_are_used_and_trying_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, quiet)
    threads = Threads(2, most=2)
    spent = machine.train(threads, 60.0)
    assert threads.count == 2
    assert 0 < spent[1] < 0.02 * spent[2]


def test_beside_another_program_one_thread_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, quiet)
    threads = Threads(2, most=2)
    machine.train(threads, 30.0)
    machine.seconds = busy
    machine.train(threads, LATEST + 1)
    assert threads.count == 1
    spent = machine.train(threads, 60.0)
    assert 0 < spent[2] < 0.05 * spent[1]
    machine.seconds = quiet
    machine.train(threads, LATEST + 1)
    assert threads.count == 2


def test_a_core_that_becomes_idle_is_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, busy)
    machine.free, machine.idle = 1.0, 1.0
    threads = Threads(1, most=2)
    assert set(machine.train(threads, 60.0)) == {1}  # none is idle, and a second is not tried
    machine.seconds, machine.free = quiet, 2.0
    machine.train(threads, 3 * LOOKS)
    assert threads.count == 2
    # No core is idle any more, which is its own doing.
    spent = machine.train(threads, 60.0)
    assert 0 < spent[1] < 0.02 * spent[2]


def test_another_program_that_begins_is_noticed_by_what_updates_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch, quiet)
    threads = Threads(2, most=2)
    machine.train(threads, 60.0)
    machine.seconds = busy
    machine.train(threads, 3 * LOOKS)
    assert threads.count == 1


def test_many_cores_are_climbed_step_by_step_as_far_as_it_pays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch, lambda count: 1 / count + count / 16)
    threads = Threads(1, most=16)
    machine.train(threads, 600.0)
    assert threads.count == 4


def test_the_median_of_all_tried_updates_but_the_first_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the five that count, three are faster; with the first or without the second, half are."""
    machine = Machine(monkeypatch, quiet)
    threads = Threads(2, most=2)
    for taken in (1.0, 1.0, 1.0, 1.0, 1.0, 9.0, 0.1, 0.1, 0.1, 9.0, 9.0):
        machine.now += taken
        threads()
    assert threads.count == machine.threads == 1


def test_where_there_is_one_core_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, quiet)
    assert set(machine.train(Threads(1, most=1), 30.0)) == {1}
