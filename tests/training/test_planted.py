"""Wrong experiments and wrong measurements, planted in a run: its own checks stop it.

Each is something that somebody has built before. What the checks of the instrument find in
tensors is in `tests/why_zero/test_identities.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch

from pipeline.config.recipe import Recipe
from pipeline.records import EpochRecord
from pipeline.training import masks
from pipeline.training.batches import Examples
from pipeline.training.loop import epochs
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack
from why_zero import BrokenIdentity

Plant = Callable[[str, str, str], None]

# Two hidden layers of one width, so that one can be taken for the other.
SMALL = Recipe(widths=(16, 16), batch_size=20, epochs=1, holdout=1, probe_every=1)
PAIR = (SMALL, replace(SMALL, seed=1))


def examples(count: int, seed: int) -> Examples:
    source = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 9), dtype=torch.uint8, generator=source)
    return Examples(images, images[:, :3].long().argmax(1))


def train(recipes: Sequence[Recipe] = PAIR, *, starts: Sequence[float] = ()) -> list[EpochRecord]:
    """The last records of a stack trained on noise.

    Args:
        recipes: of the stack.
        starts: what all weights and biases of each layer are at first, instead of drawn.
    """
    stack = Stack(recipes, inputs=9, classes=3)
    for parameters in (stack.weights, stack.biases):
        for parameter, start in zip(parameters, starts, strict=False):
            torch.nn.init.constant_(parameter, start)
    data = {"training": examples(130, 0), "validation": examples(50, 1)}
    *_, last = epochs(stack, Optimizer(stack), **data)
    return list(last)


def broken(recipes: Sequence[Recipe] = PAIR, *, starts: Sequence[float] = ()) -> tuple[int, str]:
    """The number of the identity that breaks in training, and the layer."""
    with pytest.raises(BrokenIdentity) as caught:
        train(recipes, starts=starts)
    return caught.value.identity, caught.value.layer


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_planted(seed: int) -> None:
    """Of all checks only 2 and 3 are up to chance, with 1e-12 a call: 8 runs of 12 calls each."""
    others = {
        "drop_rate": (0.0, 0.3, 0.5, 0.9)[seed % 4],
        "activation": ("relu", "none")[seed // 4],
        "precision": ("float32", "bfloat16")[seed % 2],
        "output_dropout": seed % 3 > 0,
    }
    records = train([replace(SMALL, seed=2 * seed + k, **others) for k in range(2)])
    assert [record.ending for record in records] == ["finished"] * 2


# The drop rate


def test_a_drop_rate_that_is_lower_for_one_seed_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks and scales agree with each other, and not with the recipe."""
    right = Recipe.drop_rate_of
    monkeypatch.setattr(
        Recipe, "drop_rate_of", lambda self, layer: right(self, layer) * (1 - 0.2 * self.seed)
    )
    assert broken() == (5, "h1")


def test_masks_that_drop_more_rarely_for_one_seed_are_caught(plant: Plant) -> None:
    """Their scales are the recipe's, and 2,080 pairs a layer are enough to tell 0.4 from 0.5."""
    right = "recipe.drop_rate_of(layer)"
    plant("pipeline.training.masks.RandomMasks.__init__", right, f"{right} * (1 - recipe.seed / 5)")
    assert broken()[0] == 3


@pytest.mark.parametrize("factor", [0.9, 1.001, 1.1])
def test_survivors_scaled_by_another_factor_are_caught(
    monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    """The factor is in the stack's buffer: the passes themselves do not contradict it."""
    right = Stack.__init__

    def scaled(self: Stack, *recipes: object, **sizes: object) -> None:
        right(self, *recipes, **sizes)  # type: ignore[arg-type]
        self.scales *= factor

    monkeypatch.setattr(Stack, "__init__", scaled)
    assert broken() == (5, "h1")


# Whose masks


@pytest.mark.parametrize(
    ("recipes", "right", "wrong"),
    [
        (PAIR, "return bits if", "return bits.roll(1, 0) if"),
        ((*PAIR, replace(SMALL, seed=1)), "bits[self._seed_of]", "bits[self._seed_of.roll(1)]"),
    ],
)
def test_a_network_that_is_given_its_neighbour_s_mask_is_caught(
    plant: Plant, recipes: Sequence[Recipe], right: str, wrong: str
) -> None:
    """They drop at the right rate: only whose they are is wrong."""
    plant("pipeline.training.masks.RandomMasks._bits", right, wrong)
    assert broken(recipes) == (13, "h1")


def test_a_network_without_dropout_that_is_given_a_mask_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = masks._thresholds
    monkeypatch.setattr(
        masks, "_thresholds", lambda rates, device: right([max(rates)] * len(rates), device)
    )
    assert broken([replace(SMALL, drop_rate=0.0), SMALL]) == (13, "h1")


# Which samples


def test_an_epoch_whose_first_batch_is_left_out_is_caught(plant: Plant) -> None:
    plant(
        "pipeline.training.batches.batches", "range(0, len(examples)", "range(size, len(examples)"
    )
    assert broken() == (12, "input")


def test_updates_that_leave_out_the_first_batch_are_caught(plant: Plant) -> None:
    plant("pipeline.training.loop.updates", "enumerate(batches)", "enumerate(list(batches)[1:])")
    assert broken() == (12, "input")


def test_an_epoch_that_sees_one_sample_twice_and_another_not_at_all_is_caught(plant: Plant) -> None:
    plant("pipeline.training.batches.order", "return torch.randperm", "return 1 | torch.randperm")
    with pytest.raises(BrokenIdentity, match="of which 65 are different ones"):
        train()


@pytest.mark.parametrize(
    "wrong", ["examples.labels[taken - 1]", "(examples.labels[taken] + 1) % 3"]
)
def test_labels_that_are_off_by_one_are_caught(plant: Plant, wrong: str) -> None:
    """Those of the sample before, and those of the class behind."""
    plant("pipeline.training.batches.batches", "examples.labels[taken]", wrong)
    assert broken() == (12, "logits")


def test_a_loss_for_the_class_behind_is_caught(plant: Plant) -> None:
    path = "pipeline.training.measure.cross_entropy"
    plant(path, "target.expand(len(logits), -1)", "(target.expand(len(logits), -1) + 1) % 3")
    assert broken() == (12, "logits")


def test_inputs_of_the_sample_before_are_caught(plant: Plant) -> None:
    right = "taken.reshape(-1)"
    plant("pipeline.training.batches.batches", right, f"({right} - 1) % len(examples)")
    assert broken() == (12, "input")


# What is measured


@pytest.mark.parametrize(
    ("function", "right", "wrong"),
    [
        ("_column", "self._causes[index].cpu()", "self._causes[(1, 0, 2)[index]].cpu()"),
        ("add", "self._causes[index] +=", "self._causes[(1, 0, 2)[index]] +="),
    ],
)
def test_causes_of_two_layers_that_are_swapped_are_caught(
    plant: Plant, function: str, right: str, wrong: str
) -> None:
    plant(f"pipeline.training.measure.Watch.{function}", right, wrong)
    assert broken() == (1, "h1")


@pytest.mark.parametrize("wrong", ["z.abs().sum(1)", "z.sum(1)", "h.amax(1)", "2 * h.sum(1)"])
def test_a_magnitude_that_is_not_the_mean_of_h_is_caught(plant: Plant, wrong: str) -> None:
    plant("why_zero.states.StateCount.add", "h.sum(1)", wrong)
    assert broken() == (10, "h1")


@pytest.mark.parametrize(
    ("path", "right", "wrong"),
    [
        ("epoch_records", "training.in_order(), states", "validation.in_order(), states"),
        ("evaluate", "in enumerate(batches)", "in enumerate(2 * list(batches))"),
    ],
)
def test_states_that_are_not_over_all_images_trained_on_are_caught(
    plant: Plant, path: str, right: str, wrong: str
) -> None:
    plant(f"pipeline.training.measure.{path}", right, wrong)
    assert broken() == (10, "h1")


def test_a_gradient_said_to_come_back_through_a_closed_layer_is_caught(plant: Plant) -> None:
    """All of h1 fires, and its sums are taken away from h2, which is closed for every sample."""
    plant("why_zero.states.StateCount.add", "passes * (h", "passes + 0 * (h")
    assert broken(starts=(1, -1, 0)) == (10, "h1")


@pytest.mark.parametrize(
    ("path", "right", "wrong", "identity"),
    [
        ("why_zero.states.StateCount.add", "torch.gt(z, 0", "torch.ge(z, 0", 10),
        ("why_zero.causes.count_causes", "(z > 0)", "(z >= 0)", 1),
    ],
)
def test_a_unit_at_zero_that_is_said_to_fire_is_caught(
    plant: Plant, path: str, right: str, wrong: str, identity: int
) -> None:
    """Dead is z <= 0. Weights of 0 put every unit there; elsewhere the two say the same."""
    plant(path, right, wrong)
    assert broken(starts=(0, 0, 0)) == (identity, "h1")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("(weight_change.norm(dim=1) /", "(0.5 * weight_change.norm(dim=1) /"),
        ("update_ratio=ratios[member] if", "update_ratio=ratios[member] / 2 if"),
        ("update_norms=update_norms[member] if", "update_norms=update_norms[member - 1] if"),
        ("weight_change.norm(dim=1)", "after[:, :-1].flatten(1).norm(dim=1)"),
        ("(after - before, dim=1)", "((after - before)[:, 1:], dim=1)"),
    ],
)
def test_an_update_ratio_that_its_units_contradict_is_caught(
    plant: Plant, right: str, wrong: str
) -> None:
    plant("pipeline.training.measure.Watch._column", right, wrong)
    assert broken()[0] == 11


def test_a_gradient_that_bypasses_the_mask_is_caught(plant: Plant) -> None:
    """Forward all is as it should be. Some unit is dropped for all of a batch of few samples."""
    right = "h * (keep.view(torch.uint8) * self.scales[layer])"
    plant("pipeline.training.stack.Stack.onward", right, f"h + ({right} - h).detach()")
    few = [replace(recipe, batch_size=5) for recipe in PAIR]
    assert broken(few)[0] == 8


def test_gradients_that_are_gone_before_they_are_read_are_missed(plant: Plant) -> None:
    gone = "optimizer.step()\n        optimizer.zero_grad()"
    plant("pipeline.training.loop.updates", "optimizer.step()", gone)
    assert broken() == (8, "h1")
