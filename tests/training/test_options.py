"""Activations, initial weights, scaled inputs, max-norm and decay, against plain PyTorch."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import Tensor, nn

from pipeline.config.recipe import Recipe
from pipeline.config.settings import ByLayer
from pipeline.records import EpochRecord, Weights
from pipeline.training import checkpoint as checkpoints
from pipeline.training import device as devices
from pipeline.training import stack as stack_module
from pipeline.training.batches import Examples, batches, order
from pipeline.training.checkpoint import Checkpoint, Planned, epoch_end
from pipeline.training.loop import epochs, updates
from pipeline.training.masks import RandomMasks
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import PixelScale, Stack, plain, read_weights
from why_zero import BrokenIdentity, ZeroProbe

CPU = torch.device("cpu")
SMALL = Recipe(
    widths=(16, 12), batch_size=20, epochs=3, holdout=1, probe_every=1, drop_rate=0.3, mask_passes=1
)
# Of each option several values side by side in one stack.
MEMBERS = (
    {
        "activation": "sigmoid",
        "init": "he",
        "scaling": "standard",
        "max_norm": 0.5,
        "input_drop_rate": 0.2,
    },
    {
        "activation": "leaky_relu",
        "init": "normal:0.3",
        "zero_biases": True,
        "scaling": "symmetric",
        "drop_rate": ByLayer((0.5, 0.0, 0.2)),
        "input_drop_rate": 0.4,
    },
    {"activation": "relu", "scaling": "standard", "max_norm": 0.7, "zero_biases": True},
    {"activation": "none", "init": "he", "max_norm": 0.2},
    {},
)
OPTIMIZERS = (
    {"optimizer": "adam", "learning_rate": 0.01, "learning_rate_decay": 0.5},
    {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "learning_rate_decay": 0.8,
        "momentum": 0.9,
        "weight_decay": 0.01,
    },
)


def examples(count: int, seed: int = 0) -> Examples:
    source = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 200, (count, 9), dtype=torch.uint8, generator=source)
    return Examples(images, images[:, :3].long().argmax(1))


TRAINING, VALIDATION = examples(130), examples(50, seed=1)
# Of the pixels trained on, by numpy.
PIXELS = TRAINING.images.numpy().astype(np.float64) / 255


def recipe_of(**options: Any) -> Recipe:  # noqa: ANN401
    return replace(SMALL, **options)


def stack_of(recipes: Sequence[Recipe]) -> Stack:
    return Stack(recipes, inputs=9, classes=3, pixels=TRAINING.pixels)


def train(
    recipes: Sequence[Recipe],
    *,
    checkpoint: Checkpoint | None = None,
    stop_after: int | None = None,
    device: torch.device = CPU,
    cuda_graphs: bool = True,
) -> list[list[EpochRecord]]:
    """The networks' records, from where the checkpoint is and until the end of an epoch."""
    stack = stack_of(recipes).to(device)
    optimizer = Optimizer(stack)
    past: list[list[EpochRecord]] = [[] for _ in recipes]
    if checkpoint and checkpoint.has_state:
        past = [list(one) for one in checkpoint.restore(stack, optimizer).histories]
    for records in epochs(
        stack,
        optimizer,
        training=Examples(TRAINING.images.to(device), TRAINING.labels.to(device)),
        validation=Examples(VALIDATION.images.to(device), VALIDATION.labels.to(device)),
        so_far=[list(one) for one in past],
        cuda_graphs=cuda_graphs,
    ):
        for record in records:
            past[record.member].append(record)
        if checkpoint:
            bare = [replace(record, weights=None) for record in records]
            kept = [None] * len(recipes)
            checkpoint.write(epoch_end(stack, optimizer, records=bare, kept=kept))
        if records[0].epoch == stop_after:
            break
    return past


class Plain(nn.Module):
    """The recipe's network as anybody would write it; masks are passed in."""

    def __init__(self, recipe: Recipe, weights: Weights) -> None:
        super().__init__()
        self.mean, self.deviation = {
            "unit": (0.0, 1.0),
            "symmetric": (0.5, 0.5),
            "standard": (PIXELS.mean(), PIXELS.std()),
        }[recipe.scaling]
        self.linears = nn.ModuleList(nn.Linear(*sizes) for sizes in ((9, 16), (16, 12), (12, 3)))
        for number, linear in enumerate(self.linears, start=1):
            linear.weight.data = torch.from_numpy(weights[f"linear{number}.weight"].copy())
            linear.bias.data = torch.from_numpy(weights[f"linear{number}.bias"].copy())
        self.activation = {
            "relu": nn.ReLU(),
            "none": nn.Identity(),
            "sigmoid": nn.Sigmoid(),
            "leaky_relu": nn.LeakyReLU(),
        }[recipe.activation]
        self.drop_rates = [recipe.drop_rate_of(layer) for layer in recipe.layers]
        self.input_drop_rate = recipe.input_drop_rate

    def forward(
        self, images: Tensor, masks: Sequence[Tensor | None], kept: Tensor | None
    ) -> Tensor:
        y = (images.float() / 255 - self.mean) / self.deviation
        if kept is not None:
            y = torch.where(kept[0], y / (1 - self.input_drop_rate), 0)
        for number, (linear, keep) in enumerate(zip(self.linears, masks, strict=True), start=1):
            h = linear(y) if number == 3 else self.activation(linear(y))
            y = h
            if keep is not None:
                y = torch.where(keep[0], h / (1 - self.drop_rates[number - 1]), 0)
        return y


def plainly(recipe: Recipe, weights: Weights) -> tuple[list[float], Plain]:
    """The training loss of each epoch, and the trained network, by torch's own parts."""
    network = Plain(recipe, weights)
    rate, decay = recipe.learning_rate, recipe.weight_decay
    optimizer: torch.optim.Optimizer = (
        torch.optim.Adam(network.parameters(), lr=rate, weight_decay=decay)
        if recipe.optimizer == "adam"
        else torch.optim.SGD(
            network.parameters(), lr=rate, momentum=recipe.momentum, weight_decay=decay
        )
    )
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, recipe.learning_rate_decay)
    losses = []
    for epoch in range(1, recipe.epochs + 1):
        masks = RandomMasks([recipe], (16, 12, 3), stream=f"epoch {epoch}", device=CPU)
        total = 0.0
        for rows in order(recipe.seed, epoch=epoch, samples=130).split(20):
            kept = masks.draw_inputs(len(rows), 9)
            logits = network(TRAINING.images[rows], masks.draw(len(rows)), kept)
            loss = F.cross_entropy(logits, TRAINING.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
            for linear in network.linears if recipe.max_norm else ():
                linear.weight.data = torch.renorm(linear.weight.data, 2, 0, recipe.max_norm)
        schedule.step()
        losses.append(total / 130)
    return losses, network


@pytest.mark.parametrize("shared", OPTIMIZERS, ids=["adam", "sgd"])
def test_members_that_differ_in_every_option_train_as_plain_pytorch_does(
    shared: dict[str, Any],
) -> None:
    recipes = [
        recipe_of(**shared, **member, seed=seed) for seed, member in enumerate(MEMBERS, start=3)
    ]
    born = stack_of(recipes)
    for member, history in enumerate(train(recipes)):
        losses, network = plainly(recipes[member], born.state(member))
        found = [record.train.loss for record in history if record.train]
        assert found == pytest.approx(losses, rel=1e-4)
        kept = history[-1].weights
        assert kept is not None
        for number, linear in enumerate(network.linears, start=1):
            for kind in ("weight", "bias"):
                np.testing.assert_allclose(
                    kept[f"linear{number}.{kind}"],
                    getattr(linear, kind).detach().numpy(),
                    rtol=2e-4,
                    atol=2e-6,
                )


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.get("activation", "default"))
def test_a_member_trains_alone_as_beside_others(member: dict[str, Any]) -> None:
    recipes = [recipe_of(**each, learning_rate_decay=0.7) for each in MEMBERS]
    place = MEMBERS.index(member)
    [alone], together = train([recipes[place]]), train(recipes)[place]
    for one, other in zip(alone, together, strict=True):
        assert one.train_eval.loss == pytest.approx(other.train_eval.loss, rel=1e-4)


@pytest.mark.parametrize("shared", OPTIMIZERS, ids=["adam", "sgd"])
def test_training_that_was_cut_short_goes_on_at_the_learning_rate_where_it_was(
    tmp_path: Path, shared: dict[str, Any]
) -> None:
    recipes = [recipe_of(**shared, **member) for member in MEMBERS]
    members = [Planned(fingerprint=recipe.name, parameters=recipe.parameters) for recipe in recipes]
    cut = checkpoints.begin(tmp_path, store="here", members=members)
    train(recipes, checkpoint=cut, stop_after=1)
    for whole, resumed in zip(train(recipes), train(recipes, checkpoint=cut), strict=True):
        assert [one.train for one in whole] == [one.train for one in resumed]
        first, second = whole[-1].weights, resumed[-1].weights
        assert first is not None
        assert second is not None
        assert first.keys() == second.keys()
        for name, values in first.items():
            np.testing.assert_array_equal(values, second[name])


# Initial weights


def documented_stream(seed: int) -> torch.Generator:
    return devices.generator(CPU, seed, "initial weights")


@pytest.mark.parametrize(
    ("init", "sigma"), [("he", math.sqrt(2 / 900)), ("normal:0.05", 0.05), ("normal:2", 2.0)]
)
def test_normal_weights_have_the_deviation_that_is_asked_for(init: str, sigma: float) -> None:
    """270,000 numbers: their deviation is within 4 of its own standard errors, sigma / 735."""
    stack = Stack([recipe_of(init=init, widths=(300,))], inputs=900, classes=2)
    weights = stack.state(0)["linear1.weight"]
    assert abs(float(weights.std()) / sigma - 1) < 4 / math.sqrt(2 * weights.size)
    assert abs(float(weights.mean())) < 4 * sigma / math.sqrt(weights.size)
    # A normal number is beyond two deviations in 4.55 % of cases, a uniform one never.
    assert float((np.abs(weights) > 2 * sigma).mean()) == pytest.approx(0.0455, abs=0.002)


def test_he_s_deviation_is_that_of_each_layer_s_own_inputs() -> None:
    stack = Stack([recipe_of(init="he", widths=(400, 100))], inputs=50, classes=2)
    state = stack.state(0)
    for number, inputs in ((1, 50), (2, 400)):
        deviation = float(state[f"linear{number}.weight"].std())
        assert deviation == pytest.approx(math.sqrt(2 / inputs), rel=0.03)


def test_zero_biases_leave_the_weights_as_they_are() -> None:
    for init in ("default", "he", "normal:0.1"):
        drawn, zero = (
            stack_of([recipe_of(init=init, zero_biases=zero)]).state(0) for zero in (False, True)
        )
        for number in (1, 2, 3):
            np.testing.assert_array_equal(
                drawn[f"linear{number}.weight"], zero[f"linear{number}.weight"]
            )
            assert not zero[f"linear{number}.bias"].any()
            assert drawn[f"linear{number}.bias"].all()


def test_the_default_is_drawn_as_before() -> None:
    source = documented_stream(5)
    state = stack_of([recipe_of(seed=5)]).state(0)
    for number, (inputs, units) in enumerate(((9, 16), (16, 12), (12, 3)), start=1):
        bound = inputs**-0.5
        for kind, shape in (("weight", (units, inputs)), ("bias", (units,))):
            expected = torch.empty(shape).uniform_(-bound, bound, generator=source)
            np.testing.assert_array_equal(state[f"linear{number}.{kind}"], expected.numpy())


# Inputs


def test_standard_inputs_have_mean_0_and_deviation_1_over_the_images_trained_on() -> None:
    assert TRAINING.pixels.mean == pytest.approx(PIXELS.mean(), rel=1e-12)
    assert TRAINING.pixels.deviation == pytest.approx(PIXELS.std(), rel=1e-12)
    recipe = recipe_of(scaling="standard")
    network = plain(recipe, stack_of([recipe]).state(0))
    x = network.get_submodule("scaling")(TRAINING.images / 255)
    assert x.mean().item() == pytest.approx(0, abs=1e-6)
    assert x.std(correction=0).item() == pytest.approx(1, abs=1e-6)


def test_equal_pixels_are_standardised_to_zeros() -> None:
    same = Examples(torch.full((4, 9), 51, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64))
    assert same.pixels == PixelScale(51 / 255, 1.0)


def test_symmetric_inputs_lie_between_minus_1_and_1() -> None:
    recipe = recipe_of(scaling="symmetric")
    network = plain(recipe, stack_of([recipe]).state(0))
    x = network.get_submodule("scaling")(torch.tensor([0.0, 0.5, 1.0]))
    assert x.tolist() == [-1.0, 0.0, 1.0]


def test_standard_inputs_without_the_data_s_pixels_are_no_numbers() -> None:
    """A stack that somebody forgot to tell them, or to load weights into, cannot be taken."""
    stack = Stack([recipe_of(scaling="standard")], inputs=9, classes=3)
    assert bool(stack(torch.zeros(1, 2, 9)).isnan().all())


@pytest.mark.parametrize("scaling", ["unit", "symmetric", "standard"])
def test_a_state_dict_brings_the_scaling_into_another_stack(scaling: str) -> None:
    recipe = recipe_of(scaling=scaling)
    stack = stack_of([recipe_of(seed=8), recipe])
    other = Stack([recipe], inputs=9, classes=3)
    other.load(0, stack.state(1))
    x = VALIDATION.images[None] / 255
    torch.testing.assert_close(other(x)[0], stack(x)[1])
    torch.testing.assert_close(plain(recipe, stack.state(1)).eval()(x[0]), stack(x)[1])
    part = stack.part([1])
    torch.testing.assert_close(part(x)[0], stack(x)[1])


def test_weights_of_a_network_that_scales_its_inputs_are_none_of_one_that_does_not(
    tmp_path: Path,
) -> None:
    recipe = recipe_of(scaling="standard")
    path = tmp_path / "state_dict.safetensors"
    save_file(dict(stack_of([recipe]).state(0)), path)
    found = read_weights(path, recipe)
    assert float(found["scaling.mean"]) == pytest.approx(PIXELS.mean(), rel=1e-6)
    with pytest.raises(ValueError, match=r"scaling.deviation' is \('float32',\)"):
        read_weights(path, recipe_of())
    save_file(dict(stack_of([recipe_of()]).state(0)), path)
    with pytest.raises(ValueError, match=r"scaling.deviation' is None"):
        read_weights(path, recipe)


# Max-norm


def test_an_update_leaves_no_unit_s_incoming_weights_longer_than_the_norm() -> None:
    """By hand: (3, 4) is twice as long as 2.5, and (0.3, 0.4) is short enough."""
    recipe = recipe_of(
        widths=(2,), optimizer="sgd", learning_rate=1e-30, max_norm=2.5, drop_rate=0.0
    )
    stack = Stack([recipe, replace(recipe, max_norm=0.0)], inputs=2, classes=2)
    weights = {
        "linear1.weight": np.array([[3, 4], [0.3, 0.4]], np.float32),
        "linear1.bias": np.array([9, 9], np.float32),
        "linear2.weight": np.array([[6, 8], [0, 0]], np.float32),
        "linear2.bias": np.array([0, 0], np.float32),
    }
    for member in range(2):
        stack.load(member, weights)
    optimizer = Optimizer(stack)
    for parameter in stack.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    held, free = stack.state(0), stack.state(1)
    np.testing.assert_allclose(held["linear1.weight"], [[1.5, 2], [0.3, 0.4]], rtol=1e-6)
    np.testing.assert_allclose(held["linear2.weight"], [[1.5, 2], [0, 0]], rtol=1e-6)
    np.testing.assert_array_equal(held["linear1.bias"], [9, 9])
    for name, values in weights.items():
        np.testing.assert_array_equal(free[name], values)


def test_the_update_ratio_is_that_of_the_weights_that_the_norm_left() -> None:
    recipe = recipe_of(optimizer="sgd", learning_rate=1e-30, max_norm=0.1, epochs=1)
    born = stack_of([recipe]).state(0)["linear1.weight"]
    [[_, trained]] = train([recipe])
    assert trained.weights is not None
    change = trained.weights["linear1.weight"] - born
    ratio = np.linalg.norm(change) / np.linalg.norm(born)
    assert ratio > 0.5  # the gradients alone would leave everything where it was
    assert trained.layers[0].update_ratio == pytest.approx(float(ratio), rel=1e-5)


# Decay


def test_the_learning_rate_of_an_epoch_is_the_first_times_a_power_of_the_decay() -> None:
    optimizer = Optimizer(stack_of([recipe_of(learning_rate=0.08, learning_rate_decay=0.5)]))
    rates = []
    for epoch in (1, 2, 4):
        optimizer.begin(epoch)
        rates.append(optimizer.learning_rate)
    assert rates == pytest.approx([0.08, 0.04, 0.01], rel=1e-12)


@pytest.mark.parametrize(("decay", "expected"), [(1.0, 1), (0.5, 3)])
def test_a_captured_update_is_captured_anew_only_where_the_learning_rate_changes(
    monkeypatch: pytest.MonkeyPatch, decay: float, expected: int
) -> None:
    captured = []
    monkeypatch.setattr(devices, "has_graphs", lambda _: True)
    monkeypatch.setattr(devices, "_capture", lambda work, _: captured.append(work) or work)
    recipes = [recipe_of(**each, probe_every=0, learning_rate_decay=decay) for each in MEMBERS]
    found = train(recipes)
    assert len(captured) == expected
    for one, other in zip(found, train(recipes, cuda_graphs=False), strict=True):
        assert [record.train for record in one] == [record.train for record in other]


def test_an_update_with_every_option_never_waits_for_the_device() -> None:
    """On `meta` there are no numbers: whatever would wait for one is an error."""
    nowhere = torch.device("meta")
    recipes = [recipe_of(**each, optimizer="sgd") for each in MEMBERS]
    stack = stack_of(recipes).to(nowhere)
    data = Examples(TRAINING.images.to(nowhere), TRAINING.labels.to(nowhere))

    class Masks:
        def draw(self, batch: int) -> list[Tensor]:
            return [torch.ones(5, batch, n, dtype=torch.bool, device=nowhere) for n in stack.units]

        def draw_inputs(self, batch: int, inputs: int) -> Tensor:
            return torch.ones(5, batch, inputs, dtype=torch.bool, device=nowhere)

    taken = updates(
        stack,
        Optimizer(stack),
        batches=batches(recipes, data, epoch=1),
        masks=Masks(),
        is_watched=lambda _: False,
    )
    assert sum(1 for _ in taken) == 7


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_a_cuda_graph_gives_with_every_option_what_the_same_steps_give_one_by_one() -> None:
    device = devices.resolve("cuda")
    recipes = [recipe_of(**each, probe_every=2, learning_rate_decay=0.5) for each in MEMBERS]
    one_by_one = train(recipes, device=device, cuda_graphs=False)
    for before, after in zip(one_by_one, train(recipes, device=device), strict=True):
        assert before[-1].weights is not None
        assert after[-1].weights is not None
        for name, values in before[-1].weights.items():
            np.testing.assert_allclose(after[-1].weights[name], values, rtol=1e-5, atol=1e-7)


# Zeros and their causes


@pytest.mark.parametrize("activation", ["sigmoid", "leaky_relu", "none"])
def test_without_a_relu_dropout_alone_is_blamed_and_no_unit_is_dead(activation: str) -> None:
    [history] = train([recipe_of(activation=activation, init="normal:3", epochs=1)])
    for layer in history[-1].layers:
        assert layer.states is None
        assert layer.mask_dead is None
        assert not layer.causes.inactive.any()
        assert not layer.causes.both.any()
        assert int(layer.causes.dropped.sum()) > 0


def test_a_logistic_unit_that_underflows_is_neither_closed_nor_dead() -> None:
    """exp(-200) is 0 in float32: a zero that nobody is blamed for, as where a linear z is 0."""
    stack = Stack([recipe_of(activation="sigmoid", epochs=0)], inputs=9, classes=3)
    nn.init.constant_(stack.weights[0], 0)
    nn.init.constant_(stack.biases[0], -200)
    [born] = next(epochs(stack, Optimizer(stack), training=TRAINING, validation=VALIDATION))
    first = born.layers[0]
    assert first.states is None
    assert int(first.causes.inactive.sum() + first.causes.both.sum()) == 0


@pytest.mark.parametrize("activation", ["relu", "none", "sigmoid", "leaky_relu"])
def test_the_probe_says_of_the_plain_network_what_the_stack_says_of_itself(activation: str) -> None:
    """Without dropout both are certain: the same pass, the same zeros, the same causes."""
    recipe = recipe_of(activation=activation, drop_rate=0.0, epochs=0, scaling="standard")
    stack = stack_of([recipe])
    [born] = next(epochs(stack, Optimizer(stack), training=TRAINING, validation=VALIDATION))
    network = plain(recipe, stack.state(0)).train()
    with ZeroProbe(network) as probe:
        for batch in batches([recipe], TRAINING, epoch=0):
            network(batch.x[0])
    found = list(probe.causes().values())
    if activation == "none":
        assert found == []  # no activation is called
    for ours, theirs in zip(born.layers, found, strict=False):
        for cause in ("active", "dropped", "inactive", "both"):
            np.testing.assert_array_equal(getattr(theirs, cause), getattr(ours.causes, cause))
        assert int(np.sum(theirs.unexplained)) == 0
    assert len(found) == (0 if activation == "none" else 2)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("activation", ["sigmoid", "leaky_relu"])
def test_nothing_is_found_where_nothing_is_wrong(activation: str, precision: str) -> None:
    members = [
        recipe_of(activation=kind, precision=precision, init="normal:2", seed=seed)
        for seed, kind in enumerate((activation, "relu", "none", activation))
    ]
    assert {history[-1].ending for history in train(members)} == {"finished"}


@pytest.mark.parametrize(
    ("activation", "wrong"),
    [("sigmoid", torch.tanh), ("sigmoid", torch.relu), ("leaky_relu", torch.relu)],
)
def test_another_activation_than_the_recipe_s_is_caught(
    monkeypatch: pytest.MonkeyPatch, activation: str, wrong: object
) -> None:
    monkeypatch.setitem(stack_module._ACTIVATIONS, activation, wrong)
    with pytest.raises(BrokenIdentity) as caught:
        train([recipe_of(activation=activation), recipe_of()])
    assert (caught.value.identity, caught.value.layer) == (14, "h1")
