"""Input dropout, against plain PyTorch with the same masks, and against counts by hand."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.config.recipe import Recipe
from pipeline.config.settings import ByLayer
from pipeline.records import EpochRecord
from pipeline.training import masks as masks_module
from pipeline.training.batches import Batch, Examples, batches, order
from pipeline.training.cause_map import cause_maps
from pipeline.training.loop import epochs, updates
from pipeline.training.masks import RandomMasks
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack, plain
from why_zero import BrokenIdentity
from why_zero.causes import count_causes

CPU = torch.device("cpu")
SMALL = Recipe(
    widths=(16, 12), batch_size=20, epochs=2, holdout=1, probe_every=1, input_drop_rate=0.2
)
KEPT = replace(SMALL, input_drop_rate=0.0)


def examples(count: int, seed: int = 0) -> Examples:
    """Images of noise, of which every third pixel is 0."""
    source = torch.Generator().manual_seed(seed)
    images = torch.randint(1, 256, (count, 9), dtype=torch.uint8, generator=source)
    images[:, ::3] = 0
    return Examples(images, images[:, 1:4].long().argmax(1))


def train(recipes: Sequence[Recipe]) -> list[list[EpochRecord]]:
    stack = Stack(recipes, inputs=9, classes=3)
    histories: list[list[EpochRecord]] = [[] for _ in recipes]
    for records in epochs(
        stack, Optimizer(stack), training=examples(130), validation=examples(50, 1)
    ):
        for record in records:
            histories[record.member].append(record)
    return histories


def input_mask(recipe: Recipe, batch: int, *, stream: str = "epoch 1", inputs: int = 9) -> Tensor:
    """As the documented streams have it."""
    [mask] = RandomMasks([recipe], (16, 12, 3), stream=stream, device=CPU).draw_inputs(
        batch, inputs
    )
    return mask


# Against plain PyTorch


def test_an_epoch_is_that_of_a_plain_loop_with_the_same_weights_batches_and_masks() -> None:
    """Members differ in what they drop: inputs, by layer, nothing at the input."""
    recipes = [
        replace(SMALL, drop_rate=ByLayer((0.5, 0.2, 0.0))),
        replace(SMALL, drop_rate=0.0, input_drop_rate=0.5),
        replace(KEPT, drop_rate=0.3, seed=1),
        replace(SMALL, drop_rate=ByLayer((0.0, 0.4)), output_dropout=False, seed=1),
    ]
    data = examples(130)
    stack = Stack(recipes, inputs=9, classes=3)
    starts = [stack.state(member) for member in range(len(recipes))]
    seen = list(
        updates(
            stack,
            Optimizer(stack),
            batches=batches(recipes, data, epoch=1),
            masks=RandomMasks(recipes, stack.units, stream="epoch 1", device=CPU),
            is_watched=lambda _: False,
        )
    )
    rates = [(0.5, 0.2, 0.0), (0.0, 0.0, 0.0), (0.3, 0.3, 0.3), (0.0, 0.4, 0.0)]
    for member, recipe in enumerate(recipes):
        parameters = {
            name: torch.from_numpy(values).requires_grad_()
            for name, values in starts[member].items()
        }
        optimizer = torch.optim.Adam(parameters.values(), lr=0.001)
        own = RandomMasks([recipe], stack.units, stream="epoch 1", device=CPU)
        rows = order(recipe.seed, epoch=1, samples=130).split(20)
        for part, update in zip(rows, seen, strict=True):
            x = data.images[part].float() / 255
            kept = own.draw_inputs(len(part), 9)
            if kept is not None:
                x = torch.where(kept[0], x / (1 - recipe.input_drop_rate), 0)
            for number, (rate, keep) in enumerate(
                zip(rates[member], own.draw(len(part)), strict=True), start=1
            ):
                z = x @ parameters[f"linear{number}.weight"].T + parameters[f"linear{number}.bias"]
                h = z if number == 3 else z.clamp(min=0)
                x = h if keep is None else torch.where(keep[0], h / (1 - rate), 0)
                assert (keep is None) == (rate == 0)
            loss = F.cross_entropy(x, data.labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            torch.testing.assert_close(update.losses[member].mean(), loss.detach())
        for name, values in stack.state(member).items():
            torch.testing.assert_close(torch.from_numpy(values), parameters[name].detach())


def test_the_plain_network_drops_inputs_and_every_layer_at_its_own_rate() -> None:
    recipe = replace(SMALL, drop_rate=ByLayer((0.5, 0.0, 0.1)))
    network = plain(recipe, Stack([recipe], inputs=9, classes=3).state(0))
    rates = {
        name: module.p
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Dropout)
    }
    assert rates == {"dropout0": 0.2, "dropout1": 0.5, "dropout3": 0.1}
    assert list(dict(network.named_children()))[:3] == ["flatten", "dropout0", "linear1"]


# Streams


def test_input_masks_shift_no_other_mask_and_no_other_network() -> None:
    with_inputs, without = (
        RandomMasks([recipe], (16, 12, 3), stream="epoch 1", device=CPU) for recipe in (SMALL, KEPT)
    )
    assert without.draw_inputs(20, 9) is None
    assert with_inputs.draw_inputs(20, 9) is not None
    for one, other in zip(with_inputs.draw(20), without.draw(20), strict=True):
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)


def test_networks_of_one_seed_share_the_numbers_behind_their_input_masks() -> None:
    low, high, other = SMALL, replace(SMALL, input_drop_rate=0.5), replace(SMALL, seed=1)
    together = RandomMasks([low, high, other, KEPT], (16, 12, 3), stream="epoch 1", device=CPU)
    mask = together.draw_inputs(40, 9)
    assert mask is not None
    assert not (mask[1] & ~mask[0]).any()  # kept at 0.5 is kept at 0.2
    assert not torch.equal(mask[0], mask[2])
    assert mask[3].all()
    for member, recipe in enumerate((low, high, other)):
        assert torch.equal(mask[member], input_mask(recipe, 40))
    assert not torch.equal(mask[0], input_mask(low, 40, stream="epoch 2"))


def test_a_network_is_the_same_alone_and_beside_one_that_drops_inputs() -> None:
    alone, [_, beside] = train([KEPT])[0], train([SMALL, KEPT])
    for one, other in zip(alone, beside, strict=True):
        assert other.input_causes is None
        assert one.train_eval.loss == pytest.approx(other.train_eval.loss, abs=1e-6)


# What is counted


def test_inputs_are_counted_by_cause_as_a_count_by_hand_has_them() -> None:
    """A zero of the data is inactive, or both where it is dropped as well."""
    [[_, first, _]] = train([SMALL])
    causes = first.input_causes
    assert causes is not None
    assert causes.pairs == 130 * 9
    assert causes.unexplained.sum() == 0
    # Of every batch of the epoch: which inputs are there, and which are kept.
    own = RandomMasks([SMALL], (16, 12, 3), stream="epoch 1", device=CPU)
    expected = np.zeros((4, 9), dtype=np.int64)
    for part in order(SMALL.seed, epoch=1, samples=130).split(20):
        is_there = (examples(130).images[part] > 0).numpy()
        [keep] = own.draw_inputs(len(part), 9).numpy()
        for row, where in enumerate(
            (is_there & keep, is_there & ~keep, ~is_there & keep, ~is_there & ~keep)
        ):
            expected[row] += where.sum(0)
    found = [causes.active, causes.dropped, causes.inactive, causes.both]
    np.testing.assert_array_equal(found, expected)
    assert (causes.inactive + causes.both).tolist() == [130, 0, 0] * 3


def test_the_cause_map_is_of_passes_in_which_inputs_are_dropped() -> None:
    [[*_, last]] = train([SMALL])
    data = examples(40, 2)
    batch = Batch((data.images / 255)[None], data.labels[None])
    first, _ = cause_maps(SMALL, last, batch)
    assert last.weights is not None
    weight, bias = (
        torch.from_numpy(last.weights[f"linear1.{kind}"]) for kind in ("weight", "bias")
    )
    for number in range(2):
        keep = input_mask(SMALL, 40, stream=f"cause map, pass {number}")
        z = torch.where(keep, data.images / 255 / 0.8, 0) @ weight.T + bias
        assert first.is_closed[number].mean() == pytest.approx(float((z <= 0).float().mean()))


def test_an_input_mask_wakes_a_unit_that_is_dead_in_evaluation_mode() -> None:
    """h1.1 = x1 - x2 - 0.2 fires if x2 alone is dropped; h1.2 = -1 never does.

    50 samples x 3 passes: the mask that wakes it has probability 1/4, missed with 2e-19.
    """
    weights = {
        "linear1.weight": [[1, -1], [0, 0]],
        "linear1.bias": [-0.2, -1],
        "linear2.weight": [[0, 0], [0, 0]],
        "linear2.bias": [0, 0],
    }
    ones = Examples(torch.full((50, 2), 255, dtype=torch.uint8), torch.zeros(50, dtype=torch.int64))
    for rate, expected in ((0.5, [False, True]), (0.0, [True, True])):
        recipe = Recipe(widths=(2,), drop_rate=0.0, input_drop_rate=rate, epochs=1)
        stack = Stack([recipe], inputs=2, classes=2)
        stack.load(0, {name: np.array(v, dtype=np.float32) for name, v in weights.items()})
        [record] = next(epochs(stack, Optimizer(stack), training=ones, validation=ones))
        assert record.layers[0].states is not None
        assert record.layers[0].states.dead.tolist() == [True, True]
        assert record.layers[0].mask_dead is not None
        assert record.layers[0].mask_dead.tolist() == expected


# Planted bugs: a run's own checks stop it


def broken(recipes: Sequence[Recipe]) -> tuple[int, str]:
    with pytest.raises(BrokenIdentity) as caught:
        train(recipes)
    return caught.value.identity, caught.value.layer


PAIR = (SMALL, replace(SMALL, seed=1, input_drop_rate=0.4))


def test_nothing_is_planted() -> None:
    assert [history[-1].ending for history in train(PAIR)] == ["finished"] * 2


def test_rates_of_two_layers_that_are_swapped_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """In masks and scales alike, so that these agree with each other."""
    by_layer = replace(SMALL, drop_rate=ByLayer((0.5, 0.2, 0.0)))
    assert train([by_layer])[0][-1].ending == "finished"
    right = Recipe.drop_rate_of
    swapped = {"h1": "h2", "h2": "h1"}
    monkeypatch.setattr(
        Recipe, "drop_rate_of", lambda self, layer: right(self, swapped.get(layer, layer))
    )
    assert broken([by_layer]) == (5, "h1")


def test_inputs_scaled_for_another_rate_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Stack.__init__

    def wrong(self: Stack, *given: object, **settings: object) -> None:
        right(self, *given, **settings)
        self.input_scales *= 1.1

    monkeypatch.setattr(Stack, "__init__", wrong)
    assert broken(PAIR) == (5, "input")


def test_inputs_dropped_at_another_rate_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = masks_module.RandomMasks.draw_inputs

    def wrong(self: RandomMasks, batch: int, inputs: int) -> Tensor:
        kept = right(self, batch, inputs)
        return kept | right(self, batch, inputs)

    monkeypatch.setattr(masks_module.RandomMasks, "draw_inputs", wrong)
    assert broken([replace(PAIR[1], batch_size=1000)])[1] == "input"


@pytest.mark.parametrize(
    ("plant", "identity"),
    [
        (lambda mask: mask.roll(1, 0), 13),  # another member's
        (lambda mask: mask | torch.ones_like(mask), 13),  # nothing dropped
    ],
)
def test_a_mask_that_is_another_s_is_caught(
    plant: Callable[[Tensor], Tensor], identity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = masks_module.RandomMasks.draw_inputs

    def wrong(self: RandomMasks, batch: int, inputs: int) -> Tensor:
        mask = right(self, batch, inputs)
        return plant(mask) if len(mask) > 1 else mask

    monkeypatch.setattr(masks_module.RandomMasks, "draw_inputs", wrong)
    assert broken([SMALL, replace(SMALL, seed=1)]) == (identity, "input")


def test_zeros_of_the_data_blamed_on_dropout_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Identity 3 would not notice; the zeros of y do."""

    def wrong(z: Tensor, keep: Tensor | None, *, has_no_relu: Tensor) -> Tensor:
        is_of_inputs = z.shape[2] == 9
        return count_causes(z, keep, has_no_relu=has_no_relu | is_of_inputs)

    monkeypatch.setattr("pipeline.training.measure.count_causes", wrong)
    assert broken(PAIR) == (1, "input")
