"""Recycling of dead and dormant units, against plain PyTorch and by hand."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.config.recipe import Recipe
from pipeline.records import EpochRecord, metrics, turnover
from pipeline.records import history as histories
from pipeline.training import device as devices
from pipeline.training.batches import Examples, order
from pipeline.training.loop import epochs
from pipeline.training.optimizer import Optimizer
from pipeline.training.recycle import recycle
from pipeline.training.stack import Stack

CPU = torch.device("cpu")
SMALL = Recipe(
    widths=(8, 6), drop_rate=0.0, batch_size=20, epochs=4, holdout=1, probe_every=1, mask_passes=0
)
NETWORKS = (
    replace(SMALL, recycle_every=1, recycle_below=0.4),
    replace(SMALL, recycle_every=2),
    SMALL,
    replace(SMALL, recycle_every=1, seed=1, learning_rate=0.001),
)


def examples(count: int, seed: int = 0) -> Examples:
    source = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 9), dtype=torch.uint8, generator=source)
    return Examples(images, images[:, :3].long().argmax(1))


def made(recipes: Sequence[Recipe]) -> tuple[Stack, Optimizer]:
    """A stack in which the first unit of h1 and the last two of h2 are dead at birth."""
    stack = Stack(recipes, inputs=9, classes=3)
    with torch.no_grad():
        stack.biases[0][:, 0, 0] = -9
        stack.biases[1][:, 0, 4:] = -9
    return stack, Optimizer(stack)


def trained(
    stack: Stack, optimizer: Optimizer, so_far: Sequence[Sequence[EpochRecord]] = ()
) -> Iterator[tuple[EpochRecord, ...]]:
    data = {"training": examples(130), "validation": examples(50, 1)}
    return epochs(stack, optimizer, **data, so_far=so_far)


def histories_of(recipes: Sequence[Recipe]) -> list[list[EpochRecord]]:
    found: list[list[EpochRecord]] = [[] for _ in recipes]
    for records in trained(*made(recipes)):
        for record in records:
            found[record.member].append(record)
    return found


# Against plain PyTorch


def forward(parameters: dict[str, Tensor], x: Tensor) -> tuple[list[Tensor], Tensor]:
    hidden = []
    for number in (1, 2):
        z = x @ parameters[f"linear{number}.weight"].T + parameters[f"linear{number}.bias"]
        hidden.append(x := z.clamp(min=0))
    return hidden, x @ parameters["linear3.weight"].T + parameters["linear3.bias"]


def recycle_by_hand(
    parameters: dict[str, Tensor], optimizer: torch.optim.Adam, recipe: Recipe, epoch: int
) -> list[list[int]]:
    """Unit by unit, weight by weight; which units of each layer."""
    hidden, _ = forward(parameters, examples(130).images.float() / 255)
    found = []
    for h in hidden:
        strengths = h.abs().mean(0)
        found.append(
            [
                unit
                for unit, strength in enumerate(strengths.tolist())
                if strength <= recipe.recycle_below * float(strengths.mean())
            ]
        )
    for number, units in enumerate(found, start=1):
        weight, bias = (parameters[f"linear{number}.{kind}"] for kind in ("weight", "bias"))
        source = devices.generator(CPU, recipe.seed, f"recycle h{number} epoch {epoch}")
        bound = weight.shape[1] ** -0.5
        fresh = torch.empty_like(weight).uniform_(-bound, bound, generator=source)
        fresh_bias = torch.empty_like(bias).uniform_(-bound, bound, generator=source)
        for unit in units:
            weight[unit], bias[unit] = fresh[unit], fresh_bias[unit]
            for moment in ("exp_avg", "exp_avg_sq"):
                optimizer.state[weight][moment][unit] = 0
                optimizer.state[bias][moment][unit] = 0
    for number, units in enumerate(found, start=2):
        weight = parameters[f"linear{number}.weight"]
        for unit in units:
            weight[:, unit] = 0
            for moment in ("exp_avg", "exp_avg_sq"):
                optimizer.state[weight][moment][:, unit] = 0
    return found


def test_a_stack_recycles_as_plain_loops_do_each_by_its_own_recipe() -> None:
    stack, optimizer = made(NETWORKS)
    starts = [stack.state(member) for member in range(len(NETWORKS))]
    records = [record for step in trained(stack, optimizer) for record in step]
    data = examples(130)
    for member, recipe in enumerate(NETWORKS):
        history = [record for record in records if record.member == member]
        parameters = {
            name: torch.from_numpy(values).requires_grad_()
            for name, values in starts[member].items()
        }
        plain = torch.optim.Adam(parameters.values(), lr=recipe.learning_rate)
        many = 0
        for epoch in range(1, 5):
            for part in order(recipe.seed, epoch=epoch, samples=130).split(20):
                _, logits = forward(parameters, data.images[part].float() / 255)
                plain.zero_grad()
                F.cross_entropy(logits, data.labels[part]).backward()
                plain.step()
            if epoch == 4 or not recipe.recycle_every or epoch % recipe.recycle_every:
                if epoch < 4:
                    assert history[epoch + 1].layers[0].recycled is None
                continue
            with torch.no_grad():
                expected = recycle_by_hand(parameters, plain, recipe, epoch)
            recycled = [layer.recycled for layer in history[epoch + 1].layers]
            assert [np.flatnonzero(units).tolist() for units in recycled[:2]] == expected
            assert recycled[2] is None
            many += sum(map(len, expected))
        assert many or not recipe.recycle_every  # something was there to be recycled
        for name, values in stack.state(member).items():
            torch.testing.assert_close(torch.from_numpy(values), parameters[name].detach())


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_momentum_is_forgotten_too(momentum: float) -> None:
    recipe = replace(
        NETWORKS[0], optimizer="sgd", momentum=momentum, learning_rate=0.1, weight_decay=0.01
    )
    stack, optimizer = made([recipe, replace(recipe, recycle_every=0, recycle_below=0.0)])
    steps = trained(stack, optimizer)
    next(steps)
    records = next(steps)
    recycled = recycle(stack, optimizer, records)[0]
    assert recycled[0][0]
    names = {f"{index}/momentum_buffer" for index in range(6)} if momentum else set()
    assert optimizer.state.keys() == names
    for index in (0, 1) if momentum else ():
        units = torch.from_numpy(recycled[index])
        weights = optimizer.state[f"{index}/momentum_buffer"]
        assert not weights[0][:, units].any()
        assert weights[0][:, ~units].any()
        assert weights[1].any(0)[units].any()  # the other member's stay
        assert not optimizer.state[f"{index + 1}/momentum_buffer"][0][units].any()
        assert not optimizer.state[f"{index + 3}/momentum_buffer"][0][:, units].any()


# What it is for


def test_recycling_dead_units_changes_no_answer_and_makes_them_learn() -> None:
    recipe = replace(SMALL, recycle_every=1, weight_decay=0.0)
    stack, optimizer = made([recipe])
    steps = trained(stack, optimizer)
    next(steps)
    records = next(steps)
    x = examples(60, 3).images.float()[None] / 255
    with torch.no_grad():
        before = stack(x)
        recycle(stack, optimizer, records)
        torch.testing.assert_close(stack(x), before)
    [end] = [record for record in next(steps) if record.member == 0]
    h1 = end.layers[0]
    assert h1.states is not None
    assert not h1.states.dead[0]


def test_the_states_stay_true_and_say_who_was_recycled() -> None:
    [history] = histories_of([replace(SMALL, recycle_every=1)])
    born, first, second = history[:3]
    for record in (born, first):
        assert record.layers[0].recycled is None
        assert record.layers[0].states is not None
        assert record.layers[0].states.dead[0]
    found = turnover(first.layers[0], second.layers[0])
    assert second.layers[0].recycled is not None
    assert second.layers[0].recycled[0]
    assert found.revived_by_recycling[0]
    assert not found.revived_by_weights[0]
    assert not found.revived_by_inputs[0]
    named = metrics(second, first, born)
    assert named["recycled/h1"] == second.layers[0].recycled.sum() >= 1
    assert named["revived/h1"] == found.revived.mean()
    assert "recycled/logits" not in named
    assert "recycled/h1" not in metrics(first, born, born)


def test_epoch_0_and_the_last_one_recycle_nothing() -> None:
    recipe = replace(SMALL, recycle_every=1, epochs=1)
    stack, optimizer = made([recipe])
    *_, [end] = trained(stack, optimizer)
    assert end.weights is not None
    assert end.layers[0].recycled is None
    for name, values in stack.state(0).items():
        np.testing.assert_array_equal(values, end.weights[name])
    assert end.weights["linear1.bias"][0] == -9


# Streams


def test_new_weights_depend_on_nothing_but_seed_epoch_and_layer() -> None:
    """Neither on the neighbours in the stack nor on which other units are recycled."""
    drawn = []
    for recipes in ([NETWORKS[1]], [NETWORKS[3], NETWORKS[1]], [replace(NETWORKS[0], seed=0)]):
        stack, optimizer = made(recipes)
        [record] = [r for r in next(trained(stack, optimizer)) if r.member == len(recipes) - 1]
        recycle(stack, optimizer, [replace(record, epoch=2)])
        drawn.append(stack.state(len(recipes) - 1)["linear1.weight"][0])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])


def test_a_network_is_the_same_alone_and_beside_one_that_recycles() -> None:
    [alone], [_, beside] = histories_of([SMALL]), histories_of([NETWORKS[0], SMALL])
    assert [one.train_eval.loss for one in beside] == pytest.approx(
        [one.train_eval.loss for one in alone], abs=1e-6
    )


def test_a_network_that_has_ended_is_left_alone() -> None:
    recipes = [replace(NETWORKS[0], patience=1, learning_rate=0.001), NETWORKS[0]]
    stack, optimizer = made(recipes)
    [_, second] = next(trained(stack, optimizer))
    before = stack.state(0)
    assert recycle(stack, optimizer, [replace(second, epoch=1)]).keys() == {1}
    for name, values in stack.state(0).items():
        np.testing.assert_array_equal(values, before[name])


# Going on


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_training_resumes_bit_for_bit(stop: int) -> None:
    """From what a checkpoint holds: weights, the optimizer's state, records in their files."""
    stack, optimizer = made(NETWORKS)
    past: list[list[EpochRecord]] = [[] for _ in NETWORKS]
    steps = trained(stack, optimizer)
    for _ in range(stop + 1):
        for record in next(steps):
            past[record.member].append(record)
    held = {name: value.clone() for name, value in stack.state_dict().items()}
    moments = {name: value.clone() for name, value in optimizer.state.items()}
    rest = [record for step in steps for record in step]
    again, other = made(NETWORKS)
    again.load_state_dict(held)
    other.load(moments)
    so_far = [
        histories.unpacked(*histories.packed(history), member=member)
        for member, history in enumerate(past)
    ]
    resumed = [record for step in trained(again, other, so_far) for record in step]
    assert [record.epoch for record in resumed] == [record.epoch for record in rest]
    for one, two in zip(rest, resumed, strict=True):
        assert one.train_eval == two.train_eval
        for layer, same in zip(one.layers, two.layers, strict=True):
            np.testing.assert_array_equal(layer.recycled, same.recycled)
    for member in range(len(NETWORKS)):
        for name, values in stack.state(member).items():
            np.testing.assert_array_equal(values, again.state(member)[name])
