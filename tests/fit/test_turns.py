"""Who may work while others do."""

import threading
import time

import pytest

from pipeline.errors import Interrupted
from pipeline.fit.turns import Turns

WAIT = 10  # seconds until a test gives up


def test_nothing_is_trained_while_somebody_publishes() -> None:
    turns, seen = Turns(), list[str]()
    has_begun, may_end = threading.Event(), threading.Event()

    def publish() -> None:
        with turns.working(), turns.alone():
            has_begun.set()
            may_end.wait(WAIT)
            seen.append("published")

    def train() -> None:
        with turns.working():
            seen.append("trained")

    publisher, trainer = threading.Thread(target=publish), threading.Thread(target=train)
    publisher.start()
    has_begun.wait(WAIT)
    trainer.start()
    trainer.join(0.2)
    assert seen == []
    may_end.set()
    publisher.join(WAIT)
    trainer.join(WAIT)
    assert seen == ["published", "trained"]


def test_whoever_publishes_waits_until_the_others_give_way() -> None:
    turns, seen = Turns(), list[str]()

    def publish() -> None:
        with turns.working(), turns.alone():
            seen.append("published")

    publisher = threading.Thread(target=publish)
    with turns.working():
        publisher.start()
        publisher.join(0.2)
        seen.append("trained")
        turns.give_way()
        while publisher.is_alive():  # it may not have been waiting yet
            turns.give_way()
        seen.append("trained on")
    assert seen == ["trained", "published", "trained on"]


def test_two_train_at_the_same_time() -> None:
    turns = Turns()
    both = threading.Barrier(2)

    def train() -> None:
        with turns.working():
            both.wait(WAIT)  # broken unless the other one is at work as well

    other = threading.Thread(target=train)
    other.start()
    train()
    other.join(WAIT)


def test_two_that_publish_do_so_one_after_another() -> None:
    turns, inside, most = Turns(), set[int](), list[int]()
    all_at_work = threading.Barrier(4)

    def publish() -> None:
        with turns.working():
            all_at_work.wait(WAIT)
            with turns.alone():
                inside.add(threading.get_ident())
                time.sleep(0.02)  # long enough for another one to come in
                most.append(len(inside))
                inside.remove(threading.get_ident())

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert most == [1] * 4


def test_what_fails_at_work_or_alone_keeps_nobody_waiting() -> None:
    turns = Turns()
    with pytest.raises(MemoryError), turns.working():
        raise MemoryError
    with pytest.raises(OSError, match="full"), turns.working(), turns.alone():
        raise OSError("full")
    with turns.working(), turns.alone():
        pass


def test_a_heartbeat_ends_what_others_have_stopped() -> None:
    turns = Turns()
    turns.heartbeat()
    turns.stop()
    with pytest.raises(Interrupted):
        turns.heartbeat()
