"""Checkpoints beside training: every record, and the state as often as it pays."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.config.recipe import Recipe
from pipeline.errors import PipelineError
from pipeline.records import EpochRecord
from pipeline.training import checkpoint as checkpoints
from pipeline.training.batches import Examples
from pipeline.training.checkpoint import Checkpoint, EpochEnd, Planned
from pipeline.training.checkpoint_writer import PAYS, CheckpointWriter
from pipeline.training.loop import epochs
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack

RECIPE = Recipe(widths=(5,), epochs=30, batch_size=20, mask_passes=0)
IMAGES = torch.arange(160, dtype=torch.uint8).view(40, 4)
DATA = Examples(IMAGES, torch.arange(40) % 3)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    member = Planned(fingerprint="a", parameters=RECIPE.parameters)
    return checkpoints.begin(tmp_path, store="here", members=[member])


class Clock:
    """A clock that stands still but for what is said to take time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, checkpoint: Checkpoint) -> None:
        self.now = 100.0
        self.states: list[int] = []
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        write = Checkpoint.write

        def slow(own: Checkpoint, end: EpochEnd) -> None:
            assert own is checkpoint
            write(own, end)
            if end.state is not None:
                self.states.append(end.epoch)
                self.now += 2.0

        monkeypatch.setattr(Checkpoint, "write", slow)


def train(writer: CheckpointWriter, clock: Clock, *, seconds: float) -> list[EpochRecord]:
    """Train to the end, each epoch in so many seconds, and save each."""
    stack = Stack([RECIPE], inputs=4, classes=3)
    optimizer = Optimizer(stack)
    history = []
    for [record] in epochs(stack, optimizer, training=DATA, validation=DATA):
        clock.now += seconds
        kept: Sequence[EpochRecord | None] = [record if record.weights else None]
        history.append(replace(record, weights=None))
        writer.save(stack, optimizer, records=history[-1:], kept=kept)
        writer.wait()
    return history


@pytest.mark.parametrize(("seconds", "pause"), [(2 * PAYS + 1, 1), (7.0, 3), (1.0, 20)])
def test_a_state_is_written_at_the_first_and_the_last_epoch_and_between_them_if_it_pays(
    monkeypatch: pytest.MonkeyPatch, checkpoint: Checkpoint, seconds: float, pause: int
) -> None:
    clock = Clock(monkeypatch, checkpoint)
    with closing(CheckpointWriter(lambda: checkpoint)) as writer:
        history = train(writer, clock, seconds=seconds)
    expected = [*range(0, RECIPE.epochs, pause), RECIPE.epochs]
    assert clock.states == sorted(set(expected))
    stack = Stack([RECIPE], inputs=4, classes=3)
    progress = checkpoint.restore(stack, Optimizer(stack))
    assert [record.epoch for record in progress.histories[0]] == [r.epoch for r in history]


def test_what_could_not_be_written_is_raised_with_the_next_epoch(
    monkeypatch: pytest.MonkeyPatch, checkpoint: Checkpoint
) -> None:
    full = PipelineError("a checkpoint must be written, got no room: make some")

    def refuse(*_: object) -> None:
        raise full

    monkeypatch.setattr(Checkpoint, "write", refuse)
    stack = Stack([RECIPE], inputs=4, classes=3)
    optimizer = Optimizer(stack)
    [record] = next(epochs(stack, optimizer, training=DATA, validation=DATA))
    bare = replace(record, weights=None)
    with closing(CheckpointWriter(lambda: checkpoint)) as writer:
        writer.save(stack, optimizer, records=[bare], kept=[None])
        with pytest.raises(PipelineError, match="got no room"):
            writer.save(stack, optimizer, records=[bare], kept=[None])
