"""What a checkpoint brings back, bit for bit."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.config.recipe import Recipe
from pipeline.config.settings import parsed
from pipeline.errors import PipelineError
from pipeline.records import EpochRecord
from pipeline.records.history import packed
from pipeline.training import checkpoint as checkpoints
from pipeline.training.batches import Examples
from pipeline.training.checkpoint import Checkpoint, Planned
from pipeline.training.loop import epochs, make_optimizer
from pipeline.training.stack import Stack

ADAM = Recipe(widths=(16, 12), batch_size=20, epochs=4, holdout=1, probe_every=2)
SGD = replace(ADAM, optimizer="sgd", learning_rate=0.1, momentum=0.9, weight_decay=0.01)
PLAIN_SGD = replace(ADAM, optimizer="sgd", learning_rate=0.1)
BEST = replace(ADAM, select="best", patience=1, learning_rate=0.05)
Histories = list[list[EpochRecord]]
# What the code of version 0.2.0 wrote of two networks at the end of epoch 1 of 2.
OF_0_2 = Path(__file__).with_name("checkpoint_of_0_2")


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
    optimizer = make_optimizer(stack)
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
        checkpoint.save(stack, optimizer, records=bare, kept=kept)
        if records[0].epoch == stop_after:
            return


def restored(
    recipes: list[Recipe], checkpoint: Checkpoint
) -> tuple[dict[str, torch.Tensor], Histories, list[EpochRecord | None]]:
    stack = Stack(recipes, inputs=9, classes=3)
    progress = checkpoint.restore(stack, make_optimizer(stack))
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
    halves = cut.halves(["run a", None, "run c"])
    assert [[member.run_id for member in half.members] for half in halves] == [
        ["run a"],
        [None, "run c"],
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
    halves = begin(tmp_path, three(ADAM)).halves([None, None, None])
    assert [half.has_state for half in halves] == [False, False]
    assert [len(half.members) for half in halves] == [1, 2]


def test_only_checkpoints_of_the_same_store_are_found(tmp_path: Path) -> None:
    begin(tmp_path, [ADAM])
    assert checkpoints.unfinished(tmp_path, store="elsewhere") == []
    [found] = checkpoints.unfinished(tmp_path, store="here")
    assert found.members[0].parameters == ADAM.parameters
    found.remove()
    assert checkpoints.unfinished(tmp_path, store="here") == []


def test_two_processes_do_not_train_the_same_networks(tmp_path: Path) -> None:
    checkpoint = begin(tmp_path, [ADAM])
    with (
        checkpoint.locked(),
        pytest.raises(PipelineError, match="trained by one process at a time"),
        Checkpoint(folder=checkpoint.folder, store="here", members=[]).locked(),
    ):
        pass
    with checkpoint.locked():
        pass


def test_a_damaged_checkpoint_is_named_and_kept(tmp_path: Path) -> None:
    checkpoint = begin(tmp_path, [ADAM])
    train([ADAM], checkpoint, stop_after=1)
    (checkpoint.folder / "state.safetensors").write_bytes(b"half a file")
    with pytest.raises(PipelineError, match=f"must be readable, got {checkpoint.folder}"):
        restored([ADAM], checkpoint)
    assert checkpoint.folder.exists()


def test_that_a_stack_was_halved_is_kept(tmp_path: Path) -> None:
    begin(tmp_path, three(ADAM)).halves([None] * 3)
    assert [one.is_halved for one in checkpoints.unfinished(tmp_path, store="here")] == [True] * 2


def test_nobody_takes_a_checkpoint_from_a_process_that_trains(tmp_path: Path) -> None:
    checkpoint = begin(tmp_path, [ADAM])
    [other] = checkpoints.unfinished(tmp_path, store="here")
    with checkpoint.locked():
        other.discard()
        assert checkpoint.is_there
    other.discard()
    assert not checkpoint.folder.exists()


@pytest.mark.parametrize("plan", ["", "[]", '{"format": "why-zero checkpoint 2"}'])
def test_a_plan_that_cannot_be_read_is_told_and_stops_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, plan: str
) -> None:
    broken, whole = begin(tmp_path, [ADAM]), begin(tmp_path, [ADAM])
    (broken.folder / "plan.json").write_text(plan)
    [found] = checkpoints.unfinished(tmp_path, store="here")
    assert found.identity == whole.identity
    assert f"a checkpoint must be readable, got {broken.folder}" in caplog.text


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
    with pytest.raises(PipelineError, match="a checkpoint must be readable"):
        checkpoint.restore(stack, make_optimizer(stack))


def test_a_checkpoint_of_version_0_2_is_read_and_gone_on_with(tmp_path: Path) -> None:
    shutil.copytree(OF_0_2, tmp_path / "left")
    [left] = checkpoints.unfinished(tmp_path, store="sqlite:///mlflow.db 1")
    assert [member.fingerprint for member in left.members] == ["0" * 32, "1" * 32]
    recipes = [parsed(Recipe, dict(member.parameters)) for member in left.members]
    assert [(recipe.drop_rate, recipe.seed, recipe.widths) for recipe in recipes] == [
        (0.0, 0, (4,)),
        (0.5, 7, (4,)),
    ]
    now, _, kept_so_far = restored(recipes, left)
    for member, record in enumerate(kept_so_far):
        assert record is not None
        assert record.weights is not None
        bias = now["biases.0"][member].ravel()  # epoch 1 was the best of both so far
        np.testing.assert_array_equal(record.weights["linear1.bias"], bias)
    train(recipes, left)
    state, histories, kept = restored(recipes, left)
    whole = begin(tmp_path, recipes)
    train(recipes, whole)
    expected, expected_histories, expected_kept = restored(recipes, whole)
    for name, tensor in state.items():
        # To rounding: another processor adds up in another order.
        torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=1e-5)
    assert [[r.epoch for r in history] for history in histories] == [
        [r.epoch for r in history] for history in expected_histories
    ]
    assert [r and r.epoch for r in kept] == [r and r.epoch for r in expected_kept]


def test_a_checkpoint_of_another_format_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(OF_0_2, tmp_path / "other")
    path = tmp_path / "other" / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": "why-zero checkpoint 3"}))
    assert checkpoints.unfinished(tmp_path, store="sqlite:///mlflow.db 1") == []
    assert caplog.text == ""
    assert path.exists()


def test_halves_of_a_damaged_checkpoint_are_refused_in_one_line(tmp_path: Path) -> None:
    checkpoint = begin(tmp_path, three(ADAM))
    train(three(ADAM), checkpoint, stop_after=1)
    (checkpoint.folder / "records-0000.safetensors").write_bytes(b"half a file")
    with pytest.raises(PipelineError, match=f"must be readable, got {checkpoint.folder}"):
        checkpoint.halves([None] * 3)
    assert checkpoint.is_there
