"""Who may work while others do."""

import threading
from collections.abc import Iterator

import pytest

from pipeline.errors import Interrupted
from pipeline.fit.turns import Turns


def test_nothing_is_trained_while_somebody_publishes() -> None:
    turns, seen = Turns(), list[str]()
    has_begun, may_end = threading.Event(), threading.Event()

    def publish() -> None:
        with turns.alone():
            has_begun.set()
            may_end.wait(10)
            seen.append("published")

    def epochs() -> Iterator[int]:
        seen.append("trained")
        yield 1

    publisher = threading.Thread(target=publish)
    trainer = threading.Thread(target=lambda: list(turns.each(epochs())))
    publisher.start()
    has_begun.wait(10)
    trainer.start()
    trainer.join(0.2)
    assert seen == []
    may_end.set()
    publisher.join(10)
    trainer.join(10)
    assert seen == ["published", "trained"]


def test_two_train_at_the_same_time() -> None:
    turns = Turns()
    both = threading.Barrier(2)

    def epochs() -> Iterator[int]:
        both.wait(10)  # broken unless the other one is in its epoch as well
        yield 1

    other = threading.Thread(target=lambda: list(turns.each(epochs())))
    other.start()
    assert list(turns.each(epochs())) == [1]
    other.join(10)


def test_an_epoch_that_fails_does_not_keep_others_from_publishing() -> None:
    turns = Turns()

    def epochs() -> Iterator[int]:
        raise MemoryError
        yield 1

    with pytest.raises(MemoryError):
        list(turns.each(epochs()))
    with turns.alone():
        pass


def test_a_heartbeat_ends_what_others_have_stopped() -> None:
    turns = Turns()
    turns.heartbeat()
    turns.stop()
    with pytest.raises(Interrupted):
        turns.heartbeat()
