"""What a checkpoint brings back, bit for bit."""

import errno
import json
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.config.recipe import Recipe
from pipeline.errors import PipelineError
from pipeline.records import EpochRecord
from pipeline.records.history import packed
from pipeline.training import checkpoint as checkpoints
from pipeline.training.batches import Examples
from pipeline.training.checkpoint import Checkpoint, DamagedError, Planned, UnderWayError, epoch_end
from pipeline.training.loop import epochs
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack

ADAM = Recipe(widths=(16, 12), batch_size=20, epochs=4, holdout=1, probe_every=2)
SGD = replace(ADAM, optimizer="sgd", learning_rate=0.1, momentum=0.9, weight_decay=0.01)
PLAIN_SGD = replace(ADAM, optimizer="sgd", learning_rate=0.1)
BEST = replace(ADAM, select="best", patience=1, learning_rate=0.05)
Histories = list[list[EpochRecord]]


def examples(count: int, seed: int) -> Examples:
    source = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 9), dtype=torch.uint8, generator=source)
    return Examples(images, images[:, :3].long().argmax(1))


TRAINING, VALIDATION = examples(130, 0), examples(50, 1)


def three(shared: Recipe) -> list[Recipe]:
    rates = ((0.0, 0), (0.5, 0), (0.2, 7))
    return [replace(shared, drop_rate=rate, seed=seed) for rate, seed in rates]


def begin(root: Path, recipes: list[Recipe]) -> Checkpoint:
    members = [
        Planned(fingerprint=f"network {i}", parameters=recipe.parameters)
        for i, recipe in enumerate(recipes)
    ]
    return checkpoints.begin(root, store="here", members=members)


def train(recipes: list[Recipe], checkpoint: Checkpoint, *, stop_after: int | None = None) -> None:
    """Train from where the checkpoint is, to the end or to the end of an epoch."""
    stack = Stack(recipes, inputs=9, classes=3)
    optimizer = Optimizer(stack)
    kept: list[EpochRecord | None] = [None] * len(recipes)
    past: Histories = []
    if checkpoint.has_state:
        progress = checkpoint.restore(stack, optimizer)
        kept = list(progress.kept)
        past = [list(history) for history in progress.histories]
    for records in epochs(stack, optimizer, training=TRAINING, validation=VALIDATION, so_far=past):
        for record in records:
            kept[record.member] = record if record.weights is not None else kept[record.member]
        bare = [replace(record, weights=None) for record in records]
        checkpoint.write(epoch_end(stack, optimizer, records=bare, kept=kept))
        if records[0].epoch == stop_after:
            return


def restored(
    recipes: list[Recipe], checkpoint: Checkpoint
) -> tuple[dict[str, torch.Tensor], Histories, list[EpochRecord | None]]:
    stack = Stack(recipes, inputs=9, classes=3)
    progress = checkpoint.restore(stack, Optimizer(stack))
    return stack.state_dict(), [list(h) for h in progress.histories], list(progress.kept)


def same_but_for_the_clock(one: EpochRecord, other: EpochRecord) -> None:
    timeless = {"epoch_seconds": None, "samples_per_second": None, "peak_memory_mb": None}
    for (name, value), expected in zip(
        packed([replace(one, **timeless)])[0].items(),
        packed([replace(other, **timeless)])[0].values(),
        strict=True,
    ):
        np.testing.assert_array_equal(value, expected, err_msg=name)
    assert (one.epoch, one.member, one.ending) == (other.epoch, other.member, other.ending)


@pytest.mark.parametrize(
    "shared", [ADAM, SGD, PLAIN_SGD, BEST], ids=["adam", "sgd", "plain", "best"]
)
@pytest.mark.parametrize("stop_after", [0, 1])
def test_training_that_was_cut_short_goes_on_bit_for_bit(
    tmp_path: Path, shared: Recipe, stop_after: int
) -> None:
    recipes = three(shared)
    whole, cut = begin(tmp_path, recipes), begin(tmp_path, recipes)
    train(recipes, whole)
    train(recipes, cut, stop_after=stop_after)
    train(recipes, cut)
    (state, histories, kept), (again, histories_again, kept_again) = (
        restored(recipes, one) for one in (whole, cut)
    )
    for name, tensor in state.items():
        assert torch.equal(tensor, again[name]), name
    for history, other in zip(histories, histories_again, strict=True):
        for one, record in zip(history, other, strict=True):
            same_but_for_the_clock(one, record)
    for one, other_kept in zip(kept, kept_again, strict=True):
        assert one is not None
        assert other_kept is not None
        assert one.weights is not None
        assert other_kept.weights is not None
        assert one.epoch == other_kept.epoch
        for name, values in one.weights.items():
            np.testing.assert_array_equal(values, other_kept.weights[name])


def test_what_has_ended_is_not_trained_again(tmp_path: Path) -> None:
    recipes = three(ADAM)
    checkpoint = begin(tmp_path, recipes)
    train(recipes, checkpoint)
    before, _, _ = restored(recipes, checkpoint)
    train(recipes, checkpoint)
    after, _, _ = restored(recipes, checkpoint)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_halves_hold_their_networks_and_go_on_to_nearly_the_same_weights(tmp_path: Path) -> None:
    recipes = three(ADAM)
    whole, cut = begin(tmp_path, recipes), begin(tmp_path, recipes)
    train(recipes, whole)
    train(recipes, cut, stop_after=2)
    halves = cut.halves()
    assert [[member.fingerprint for member in half.members] for half in halves] == [
        ["network 0"],
        ["network 1", "network 2"],
    ]
    assert not cut.folder.exists()
    found = checkpoints.unfinished(tmp_path, store="here")
    assert [one.identity for one in found[:2]] == [half.identity for half in halves]
    state, _, _ = restored(recipes, whole)
    for half, part in zip(halves, (slice(0, 1), slice(1, 3)), strict=True):
        train(recipes[part], half)
        again, histories, _ = restored(recipes[part], half)
        assert [len(history) for history in histories] == [5] * len(recipes[part])
        for name, tensor in again.items():
            torch.testing.assert_close(tensor, state[name][part], rtol=1e-3, atol=1e-5)


def test_a_stack_without_an_epoch_can_be_halved(tmp_path: Path) -> None:
    halves = begin(tmp_path, three(ADAM)).halves()
    assert [half.has_state for half in halves] == [False, False]
    assert [len(half.members) for half in halves] == [1, 2]


def test_only_checkpoints_of_the_same_store_are_found(tmp_path: Path) -> None:
    begin(tmp_path, [ADAM])
    assert checkpoints.unfinished(tmp_path, store="elsewhere") == []
    [found] = checkpoints.unfinished(tmp_path, store="here")
    assert found.members[0].parameters == ADAM.parameters
    found.remove()
    assert checkpoints.unfinished(tmp_path, store="here") == []


def test_what_could_not_be_deleted_of_a_checkpoint_is_none_and_goes_with_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = begin(tmp_path, three(ADAM))
    with monkeypatch.context() as patch, checkpoint.locked():

        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EIO, "no disk")

        patch.setattr(os, "unlink", refuse)
        checkpoint.remove()
    assert not checkpoint.folder.exists()
    assert list(tmp_path.iterdir())
    assert checkpoints.unfinished(tmp_path, store="here") == []
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_is_gone_already_can_be_removed(tmp_path: Path) -> None:
    checkpoint = begin(tmp_path, [ADAM])
    checkpoint.remove()
    checkpoint.remove()
    assert not checkpoint.folder.exists()


def test_the_end_of_an_epoch_is_a_copy_that_further_training_leaves_as_it_is() -> None:
    stack = Stack([ADAM], inputs=9, classes=3)
    end = epoch_end(stack, Optimizer(stack), records=[], kept=[None])
    with torch.no_grad():
        stack.biases[0].fill_(7.0)
    assert not bool((end.state["biases.0"] == 7.0).any())


def test_two_processes_do_not_train_the_same_networks(tmp_path: Path) -> None:
    checkpoint = begin(tmp_path, [ADAM])
    with (
        checkpoint.locked(),
        pytest.raises(UnderWayError, match="another process trains 1 of the networks"),
        Checkpoint(folder=checkpoint.folder, store="here", members=checkpoint.members).locked(),
    ):
        pass
    with checkpoint.locked():
        pass


def test_a_damaged_checkpoint_is_named_and_kept(tmp_path: Path) -> None:
    checkpoint = begin(tmp_path, [ADAM])
    train([ADAM], checkpoint, stop_after=1)
    (checkpoint.folder / "state.safetensors").write_bytes(b"half a file")
    with pytest.raises(DamagedError, match=f"as it was written, got {checkpoint.folder}"):
        restored([ADAM], checkpoint)
    assert checkpoint.folder.exists()


def test_that_a_stack_was_halved_is_kept(tmp_path: Path) -> None:
    begin(tmp_path, three(ADAM)).halves()
    assert [one.is_halved for one in checkpoints.unfinished(tmp_path, store="here")] == [True] * 2


def test_nobody_takes_a_checkpoint_from_a_process_that_trains(tmp_path: Path) -> None:
    checkpoint = begin(tmp_path, [ADAM])
    [other] = checkpoints.unfinished(tmp_path, store="here")
    with checkpoint.locked():
        other.discard()
        assert checkpoint.is_there
    other.discard()
    assert not checkpoint.folder.exists()


@pytest.mark.parametrize(
    "plan", ["", "[]", "[" * 10**5, '{"format": "why-zero checkpoint 3"}', '{"format": NaN}']
)
def test_a_plan_that_cannot_be_read_is_told_and_stops_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, plan: str
) -> None:
    broken, whole = begin(tmp_path, [ADAM]), begin(tmp_path, [ADAM])
    (broken.folder / "plan.json").write_text(plan)
    [found] = checkpoints.unfinished(tmp_path, store="here")
    assert found.identity == whole.identity
    assert len(caplog.records) == (plan != '{"format": NaN}')
    assert all(f"as it was written, got {broken.folder}" in r.message for r in caplog.records)


def test_a_place_where_nothing_can_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PipelineError, match="a checkpoint must be written"):
        begin(tmp_path / "file", [ADAM])


@pytest.mark.parametrize("harm", ["no metadata", "another shape"])
def test_a_state_that_is_not_what_was_written_is_one_line(tmp_path: Path, harm: str) -> None:
    checkpoint = begin(tmp_path, [ADAM])
    train([ADAM], checkpoint, stop_after=1)
    recipe = ADAM
    if harm == "no metadata":
        state = checkpoint.folder / "state.safetensors"
        save_file(load_file(state), state)
    else:
        recipe = replace(ADAM, widths=(3,))
    stack = Stack([recipe], inputs=9, classes=3)
    with pytest.raises(DamagedError, match="a checkpoint must be as it was written"):
        checkpoint.restore(stack, Optimizer(stack))


def test_a_checkpoint_of_another_format_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = begin(tmp_path, [ADAM])
    path = checkpoint.folder / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": "why-zero checkpoint 2"}))
    assert checkpoints.unfinished(tmp_path, store="here") == []
    assert caplog.text == ""
    assert path.exists()


def test_halves_of_a_damaged_checkpoint_are_refused_in_one_line(tmp_path: Path) -> None:
    checkpoint = begin(tmp_path, three(ADAM))
    train(three(ADAM), checkpoint, stop_after=1)
    (checkpoint.folder / "records-0000.safetensors").write_bytes(b"half a file")
    with pytest.raises(DamagedError, match=f"as it was written, got {checkpoint.folder}"):
        checkpoint.halves()
    assert list(tmp_path.iterdir()) == [checkpoint.folder]


@pytest.mark.parametrize("name", ["plan.json", "state.safetensors", "records-0001.safetensors"])
def test_a_bit_that_flips_anywhere_in_a_file_is_noticed_before_anything_is_taken(
    tmp_path: Path, name: str
) -> None:
    tiny = replace(ADAM, widths=(2,), epochs=1, select="best")
    checkpoint = begin(tmp_path, [tiny])
    train([tiny], checkpoint)
    path = checkpoint.folder / name
    whole = path.read_bytes()
    stack = Stack([tiny], inputs=9, classes=3)
    born = {key: value.clone() for key, value in stack.state_dict().items()}
    for place in range(0, len(whole), 1 if name == "plan.json" else 3):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        if name == "plan.json":
            found = checkpoints.unfinished(tmp_path, store="here")
            # White space and the case of an escape say nothing: what is read is what was written.
            assert [one.members for one in found] in ([], [checkpoint.members])
            continue
        with suppress(DamagedError):
            checkpoint.restore(stack, Optimizer(stack))
            pytest.fail(f"bit {place % 8} of byte {place} went unnoticed")
        assert all(torch.equal(value, born[key]) for key, value in stack.state_dict().items())
    path.write_bytes(whole)
    checkpoint.restore(stack, Optimizer(stack))


@pytest.mark.parametrize("other", ["another epoch", "another checkpoint"])
def test_a_whole_file_in_the_wrong_place_is_noticed(tmp_path: Path, other: str) -> None:
    one, two = begin(tmp_path, [ADAM]), begin(tmp_path, [ADAM])
    for checkpoint in (one, two):
        train([ADAM], checkpoint, stop_after=2)
    source = (one if other == "another epoch" else two).folder / "records-0002.safetensors"
    shutil.copy(source, one.folder / "records-0001.safetensors")
    if other == "another checkpoint":
        shutil.copy(two.folder / "state.safetensors", one.folder / "state.safetensors")
    with pytest.raises(DamagedError, match="does not match its digest"):
        restored([ADAM], one)


@pytest.mark.parametrize("what", ["begun", "halved"])
def test_a_checkpoint_is_in_its_place_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    whole = begin(tmp_path, three(ADAM))
    train(three(ADAM), whole, stop_after=1)
    write = Checkpoint.plan

    def write_and_die(self: Checkpoint) -> None:
        write(self)
        [hidden] = tmp_path.glob(".*.part")
        # As a killed process leaves it, whose lock is free.
        shutil.copytree(hidden, tmp_path / ".0123456789abcdef.01234567.part")
        raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr(Checkpoint, "plan", write_and_die)
        with pytest.raises(SystemExit):
            begin(tmp_path, [ADAM]) if what == "begun" else whole.halves()
    [found] = checkpoints.unfinished(tmp_path, store="here")
    assert found.members == whole.members
    assert list(tmp_path.iterdir()) == [whole.folder]


def test_a_checkpoint_that_is_restarted_has_forgotten_its_epochs_and_not_its_networks(
    tmp_path: Path,
) -> None:
    checkpoint = begin(tmp_path, [ADAM])
    train([ADAM], checkpoint, stop_after=1)
    checkpoint.restart()
    assert not checkpoint.has_state
    [found] = checkpoints.unfinished(tmp_path, store="here")
    assert [path.name for path in found.folder.iterdir()] == ["plan.json"]
