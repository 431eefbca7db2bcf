"""The number of threads follows what is faster, whatever that is at the moment."""

import time
from collections.abc import Callable

import pytest
import torch

from pipeline.training.threads import LATEST, Threads


class Machine:
    """A clock, and what an update takes with so many threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float]) -> None:
        self.now = 0.0
        self.seconds = seconds
        self.threads = 0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)
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
