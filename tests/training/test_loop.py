"""The training loop, against the notebook, plain PyTorch and itself."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.config.recipe import Recipe
from pipeline.records import EpochRecord
from pipeline.toy import notebook
from pipeline.training import device as devices
from pipeline.training import masks as masks_module
from pipeline.training.batches import Batch, Examples, batches, order
from pipeline.training.loop import epochs, updates
from pipeline.training.masks import RandomMasks
from pipeline.training.measure import ScoreSum
from pipeline.training.optimizer import Optimizer
from pipeline.training.stack import Stack, plain
from why_zero import BrokenIdentity
from why_zero.causes import count_causes

CPU = torch.device("cpu")
SMALL = Recipe(widths=(16, 12), batch_size=20, epochs=3, holdout=1, probe_every=2)


def examples(count: int, seed: int = 0) -> Examples:
    """Images of noise whose label can be learnt: the brightest of their first three pixels."""
    source = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 9), dtype=torch.uint8, generator=source)
    return Examples(images, images[:, :3].long().argmax(1))


def train(
    recipes: Sequence[Recipe], device: torch.device = CPU, *, cuda_graphs: bool = True
) -> list[list[EpochRecord]]:
    stack = Stack(recipes, inputs=9, classes=3).to(device)
    histories: list[list[EpochRecord]] = [[] for _ in recipes]
    training, validation = (
        Examples(data.images.to(device), data.labels.to(device))
        for data in (examples(130), examples(50, seed=1))
    )
    for records in epochs(
        stack,
        Optimizer(stack),
        training=training,
        validation=validation,
        cuda_graphs=cuda_graphs,
    ):
        for record in records:
            histories[record.member].append(record)
    return histories


class GivenMasks:
    """The masks of the notebook's first update, arm by arm; what it does not print is kept."""

    def draw(self, batch: int) -> list[Tensor | None]:
        h1 = torch.tensor([[1, 1, 1], [1, 1, 0], [0, 0, 1]]).bool()
        h2 = torch.tensor([[1, 1, 1], [1, 1, 1], [0, 0, 1]]).bool()
        return [h1[:, None].expand(-1, batch, -1), h2[:, None].expand(-1, batch, -1), None]

    def draw_inputs(self, batch: int, inputs: int) -> None:
        """None is dropped."""


def test_the_first_update_is_the_notebook_s_number_by_number() -> None:
    shared = Recipe(
        widths=(3, 3), optimizer="sgd", learning_rate=0.01, batch_size=1, output_dropout=False
    )
    arms = [
        replace(shared, activation=activation, drop_rate=rate)
        for activation, rate in (("relu", 0.0), ("relu", 0.5), ("none", 0.5))
    ]
    stack = Stack(arms, inputs=4, classes=2)
    for member in range(3):
        stack.load(member, notebook.WEIGHTS)
    x, target = notebook.SAMPLES[0]
    assert (x, target) == ((6, 2, 3, 6), 1)
    batch = Batch(torch.tensor([[x]], dtype=torch.float32), torch.tensor([[target]]))
    [update] = updates(
        stack,
        Optimizer(stack),
        batches=[batch],
        masks=GivenMasks(),
        is_watched=lambda _: True,
    )
    y1, y2, logits = (layer.y.detach()[:, 0].numpy() for layer in update.layers)
    # Printed to four digits from parameters that are printed to four digits.
    close = {"rtol": 0, "atol": 1e-3}
    np.testing.assert_allclose(
        y1, [[1.6387, 0, 2.1394], [3.2773, 0, 0], [0, -0.0, 4.2789]], **close
    )
    np.testing.assert_allclose(y2, [[0, 0, 0], [2.1430, 0, 0], [-0.0, -0.0, -1.0032]], **close)
    np.testing.assert_allclose(
        logits, [[-0.1454, 0.3115], [0.7700, 0.0710], [0.0109, 0.2449]], **close
    )
    assert float(update.losses[0, 0]) == pytest.approx(0.4905, abs=1e-3)
    # ReLU arm: nothing of h2 is active, so the first two layers stay as they were to the bit.
    after = stack.state(0)
    for name in ("linear1.weight", "linear1.bias", "linear2.weight", "linear2.bias"):
        np.testing.assert_array_equal(after[name], notebook.WEIGHTS[name])
    # Its output bias moves by -0.01 (softmax - onehot): softmax(-0.1454, 0.3115)[0] = 0.3877.
    np.testing.assert_allclose(
        after["linear3.bias"] - notebook.WEIGHTS["linear3.bias"], [-0.003877, 0.003877], atol=1e-5
    )


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_training_is_what_plain_pytorch_does_with_the_same_batches_and_masks(
    optimizer: str,
) -> None:
    recipe = replace(SMALL, optimizer=optimizer, weight_decay=0.01, drop_rate=0.4)
    recipe = replace(recipe, momentum=0.9 if optimizer == "sgd" else 0.0)
    stack, data = Stack([recipe], inputs=9, classes=3), examples(130)
    network = plain(replace(recipe, drop_rate=0.0), stack.state(0))
    linears = [network.get_submodule(f"linear{number}") for number in (1, 2, 3)]
    plain_optimizer = (
        torch.optim.Adam(network.parameters(), lr=0.001, weight_decay=0.01)
        if optimizer == "adam"
        else torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9, weight_decay=0.01)
    )
    masks = RandomMasks([recipe], stack.units, stream="epoch 1", device=CPU)
    same = RandomMasks([recipe], stack.units, stream="epoch 1", device=CPU)
    rows = order(recipe.seed, epoch=1, samples=130).split(20)
    for part, update in zip(
        rows,
        updates(
            stack,
            Optimizer(stack),
            batches=batches([recipe], data, epoch=1),
            masks=masks,
            is_watched=lambda _: False,
        ),
        strict=True,
    ):
        y = data.images[part].float() / 255
        for number, (linear, keep) in enumerate(
            zip(linears, same.draw(len(part)), strict=True), start=1
        ):
            z = linear(y)
            h = z if number == 3 else z.clamp(min=0)
            assert keep is not None
            y = torch.where(keep[0], h / 0.6, 0)
        loss = F.cross_entropy(y, data.labels[part])
        plain_optimizer.zero_grad()
        loss.backward()
        plain_optimizer.step()
        torch.testing.assert_close(update.losses.mean(), loss.detach())
    for name, values in network.state_dict().items():
        torch.testing.assert_close(torch.from_numpy(stack.state(0)[name]), values)


def test_a_network_trains_alone_as_in_a_stack_of_twelve() -> None:
    """Same masks, same batches, losses of the first hundred updates equal to float rounding."""
    recipes = [
        replace(SMALL, seed=seed, drop_rate=rate, activation=activation)
        for seed in (0, 1, 2)
        for rate in (0.0, 0.5)
        for activation in ("relu", "none")
    ]
    data = examples(2000)

    def losses(members: Sequence[Recipe]) -> Tensor:
        stack = Stack(members, inputs=9, classes=3)
        return torch.stack(
            [
                update.losses
                for update in updates(
                    stack,
                    Optimizer(stack),
                    batches=batches(members, data, epoch=1),
                    masks=RandomMasks(members, stack.units, stream="epoch 1", device=CPU),
                    is_watched=lambda _: False,
                )
            ]
        )

    together = losses(recipes)
    assert len(together) == 100
    for member, recipe in enumerate(recipes):
        torch.testing.assert_close(
            together[:, member], losses([recipe])[:, 0], rtol=1e-4, atol=1e-5
        )


def test_what_is_recorded_of_a_network_in_a_stack_is_recorded_of_it_alone() -> None:
    """Its scores, units, causes and norms, and the weights to keep: none is a neighbour's.

    Of networks that are born alike one is judged at birth for all.
    """
    networks = ((0, 0.2), (1, 0.5), (0, 0.0), (2, 0.3), (1, 0.0))
    recipes = [replace(SMALL, seed=seed, drop_rate=rate) for seed, rate in networks]
    for together, recipe in zip(train(recipes), recipes, strict=True):
        [alone] = train([recipe])
        for found, expected in zip(together, alone, strict=True):
            assert found.epoch == expected.epoch
            for kind in ("train", "train_eval", "validation"):
                one, other = getattr(found, kind), getattr(expected, kind)
                assert (one is None) == (other is None)
                if one and other:
                    assert one.loss == pytest.approx(other.loss, rel=1e-4)
            for layer, same in zip(found.layers, expected.layers, strict=True):
                np.testing.assert_allclose(
                    layer.causes.share("dropped"), same.causes.share("dropped"), atol=0.01
                )
                if same.update_norms is not None:
                    np.testing.assert_allclose(layer.update_norms, same.update_norms, rtol=0.01)
                    np.testing.assert_allclose(
                        layer.gradient_norms, same.gradient_norms, rtol=0.01, atol=1e-6
                    )
                    assert layer.update_ratio == pytest.approx(same.update_ratio, rel=1e-3)
                if same.states is not None:
                    np.testing.assert_allclose(
                        layer.states.magnitude, same.states.magnitude, rtol=0.01, atol=1e-4
                    )
        weights, expected_weights = together[-1].weights, alone[-1].weights
        assert weights is not None
        assert expected_weights is not None
        for name, values in expected_weights.items():
            np.testing.assert_allclose(weights[name], values, rtol=0, atol=1e-3)


def test_training_with_and_without_the_probe_gives_the_same_bits() -> None:
    watched, unwatched = (
        train([replace(SMALL, probe_every=every), replace(SMALL, probe_every=every, seed=1)])
        for every in (1, 0)
    )
    for one, other in zip(watched, unwatched, strict=True):
        assert one[-1].weights is not None
        assert other[-1].weights is not None
        for name, values in one[-1].weights.items():
            np.testing.assert_array_equal(other[-1].weights[name], values)
    assert unwatched[0][-1].layers[0].causes.pairs == 0
    assert watched[0][-1].layers[0].causes.pairs == 130 * 16


def test_the_watched_samples_are_those_of_every_second_batch() -> None:
    [history] = train([SMALL])
    # Batches of 20, …, 20, 10; the first, third, fifth and seventh are watched.
    for record in history:
        assert [layer.causes.pairs for layer in record.layers] == [70 * 16, 70 * 12, 70 * 3]


def test_epoch_0_is_the_network_as_born_and_has_no_training_numbers() -> None:
    [history] = train([replace(SMALL, epochs=0)])
    [born] = history
    assert (born.epoch, born.ending, born.train) == (0, "finished", None)
    assert born.weights is not None
    start = Stack([SMALL], inputs=9, classes=3).state(0)
    for name, values in born.weights.items():
        np.testing.assert_array_equal(values, start[name])
    assert {layer.gradient_norm for layer in born.layers} == {None}
    assert {layer.update_ratio for layer in born.layers} == {None}


def test_training_learns() -> None:
    [history] = train([replace(SMALL, epochs=40, drop_rate=0.1, learning_rate=0.01)])
    assert history[0].train_eval.accuracy < 0.6
    assert history[-1].train_eval.accuracy > 0.95


def test_patience_stops_one_network_and_leaves_the_others_as_they_are() -> None:
    patient = replace(SMALL, epochs=60, learning_rate=0.02, patience=3, select="best")
    alone = train([patient])[0]
    together = train([patient, replace(patient, seed=1), replace(patient, drop_rate=0.0)])
    assert {history[-1].ending for history in together} <= {"patience", "finished"}
    lengths = [len(history) for history in together]
    assert len(set(lengths)) > 1
    assert lengths[0] == len(alone)
    for history in together:
        losses = [record.validation.loss for record in history if record.validation]
        best = int(np.argmin(losses))
        assert [record.epoch for record in history if record.weights is not None][-1] == best
        if history[-1].ending == "patience":
            assert history[-1].epoch - best == 3


def test_select_last_keeps_the_weights_of_the_last_epoch_alone() -> None:
    [history] = train([SMALL])
    assert [record.weights is not None for record in history] == [False, False, False, True]


def test_a_network_whose_loss_is_no_longer_finite_ends_and_harms_nobody() -> None:
    wild = replace(SMALL, optimizer="sgd", learning_rate=1e30, epochs=5)
    histories = train([wild, replace(wild, activation="none", drop_rate=0.0)])
    for history in histories:
        assert history[-1].ending == "diverged"
        assert history[-1].weights is None
        assert history[-1].epoch < 5
    tame = train([replace(wild, learning_rate=0.01)])
    assert tame[0][-1].ending == "finished"


def test_every_sample_is_seen_once_an_epoch_in_the_seed_s_own_order() -> None:
    data, recipes = examples(130), [replace(SMALL, seed=0), replace(SMALL, seed=1)]
    parts = [batch.x for batch in batches(recipes, data, epoch=2)]
    seen = torch.cat(parts, dim=1)
    for member in range(2):
        rows = order(member, epoch=2, samples=130)
        assert sorted(rows.tolist()) == list(range(130))
        torch.testing.assert_close(seen[member], data.images[rows].float() / 255)
    assert not torch.equal(order(0, epoch=1, samples=130), order(0, epoch=2, samples=130))


def test_bfloat16_trains_close_to_float32_and_keeps_survivors_unbiased() -> None:
    recipe = replace(SMALL, drop_rate=0.1, precision="bfloat16")
    [low], [full] = train([recipe]), train([replace(recipe, precision="float32")])
    assert low[-1].train is not None
    assert full[-1].train is not None
    assert low[-1].train.loss == pytest.approx(full[-1].train.loss, rel=0.02)
    assert low[-1].train.loss != full[-1].train.loss
    stack, data = Stack([recipe], inputs=9, classes=3), examples(20)
    [update] = updates(
        stack,
        Optimizer(stack),
        batches=batches([recipe], data, epoch=1),
        masks=RandomMasks([recipe], stack.units, stream="epoch 1", device=CPU),
        is_watched=lambda _: True,
    )
    first = update.layers[0]
    assert first.z.dtype == torch.bfloat16
    assert first.keep is not None
    survivors = first.keep & (first.h > 0)
    # 1 / 0.9 rounded to bfloat16 would be 1.109375, off by 1.6e-3.
    ratio = first.y[survivors].double() / first.h[survivors].double()
    torch.testing.assert_close(ratio, torch.full_like(ratio, 1 / 0.9), rtol=1e-6, atol=0)


def test_the_mean_loss_is_that_of_guessing_where_a_network_knows_nothing() -> None:
    stack = Stack([SMALL], inputs=9, classes=3)
    zeros = {name: np.zeros_like(values) for name, values in stack.state(0).items()}
    stack.load(0, zeros)
    [born] = next(
        epochs(stack, Optimizer(stack), training=examples(130), validation=examples(50, seed=1))
    )
    assert born.train_eval.loss == pytest.approx(math.log(3), rel=1e-6)
    # z = 0 is not z > 0: every unit is dead.
    assert [float(layer.states.dead.mean()) for layer in born.layers[:-1] if layer.states] == [1, 1]


@pytest.mark.parametrize(
    ("fault", "identity"),
    [
        ("mask inverted", 5),
        ("never drops", 3),
        ("both folded away", 1),
    ],
)
def test_a_measurement_that_contradicts_itself_stops_the_training(
    fault: str, identity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted faults: what the instrument is told of a pass is not what the pass did."""
    onward = Stack.onward

    def lying(self: Stack, z: Tensor, masks: object = None, *, trace: object = None) -> Tensor:
        logits = onward(self, z, masks, trace=trace)  # type: ignore[arg-type]
        if masks is not None and trace is not None:
            for index, layer in enumerate(trace):  # type: ignore[var-annotated, arg-type]
                if fault == "mask inverted":
                    trace[index] = replace(layer, keep=~layer.keep)  # type: ignore[index]
        return logits

    def folding(z: Tensor, keep: Tensor, *, has_no_relu: Tensor) -> Tensor:
        counts = count_causes(z, keep, has_no_relu=has_no_relu)
        counts[3] = 0
        return counts

    if fault == "both folded away":
        monkeypatch.setattr("pipeline.training.measure.count_causes", folding)
    elif fault == "never drops":
        monkeypatch.setattr(
            masks_module,
            "_thresholds",
            lambda rates, _: torch.full((len(rates), 1, 1), -(2**31), dtype=torch.int32),
        )
    else:
        monkeypatch.setattr(Stack, "onward", lying)
    with pytest.raises(BrokenIdentity) as caught:
        train([SMALL])
    assert caught.value.identity == identity
    assert caught.value.layer == "h1"


# Captured steps


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What has been captured, on a CPU that is taken for a GPU and does the work itself."""
    taken: list[object] = []

    def capture(work: Callable[[], list[Tensor]], *_: object) -> Callable[[], list[Tensor]]:
        taken.append(work)
        return work

    monkeypatch.setattr(devices, "has_graphs", lambda _: True)
    monkeypatch.setattr(devices, "_capture", capture)
    return taken


def test_captured_steps_give_the_same_records_to_the_last_bit(captures: list[object]) -> None:
    """Held batches, masks begun anew each epoch, watched and odd batches beside: all as before."""
    recipes = [
        replace(SMALL, seed=0, drop_rate=0.2),
        replace(SMALL, seed=1, drop_rate=0.5, input_drop_rate=0.2),
        replace(SMALL, seed=1, drop_rate=0.5, recycle_every=1, recycle_below=0.5),
    ]
    expected = train(recipes, cuda_graphs=False)
    assert any(layer.recycled.any() for layer in expected[2][-1].layers[:2])
    assert not captures
    found = train(recipes)
    assert len(captures) == 1  # once for all epochs
    for before, after in zip(expected, found, strict=True):
        assert [record.train for record in after] == [record.train for record in before]
        assert [layer.gradient_norm for layer in after[-1].layers] == [
            layer.gradient_norm for layer in before[-1].layers
        ]
        assert before[-1].weights is not None
        assert after[-1].weights is not None
        for name, values in before[-1].weights.items():
            np.testing.assert_array_equal(after[-1].weights[name], values)


def test_a_captured_step_leaves_no_gradients_of_an_earlier_one(captures: list[object]) -> None:
    """A replay writes its gradients where only it looks: what `.grad` held before is stale."""
    stack = Stack([SMALL], inputs=9, classes=3)
    masks = RandomMasks([SMALL], stack.units, stream="epoch 1", device=CPU)
    have_gradients = [
        all(parameter.grad is not None for parameter in stack.parameters())
        for _ in updates(
            stack,
            Optimizer(stack),
            batches=batches([SMALL], examples(120), epoch=1),
            masks=masks,
            is_watched=lambda index: index % 3 == 0,
            graph=devices.Graph(masks.generators),
        )
    ]
    assert captures
    assert have_gradients == [True, False, False, True, False, False]


def test_gradients_from_before_an_epoch_s_birth_are_not_taken_for_its_own() -> None:
    """Every unit of this network is silent, so a gradient would be a broken identity."""
    stack = Stack([SMALL], inputs=9, classes=3)
    zeros = {name: np.zeros_like(values) for name, values in stack.state(0).items()}
    stack.load(0, zeros)
    for parameter in stack.parameters():
        parameter.grad = torch.ones_like(parameter)
    [born] = next(
        epochs(stack, Optimizer(stack), training=examples(130), validation=examples(50, seed=1))
    )
    assert born.layers[0].causes.pairs == 70 * 16


def test_an_update_that_is_not_watched_never_waits_for_the_device() -> None:
    """On `meta` there are no numbers: whatever would wait for one is an error."""
    nowhere = torch.device("meta")
    plain = replace(SMALL, optimizer="sgd")  # fused Adam is not made for `meta`
    stack = Stack([plain, replace(plain, seed=1)], inputs=9, classes=3).to(nowhere)
    data = Examples(examples(130).images.to(nowhere), examples(130).labels.to(nowhere))
    total = ScoreSum(2, nowhere)

    class Masks:
        def draw(self, batch: int) -> list[Tensor]:
            return [torch.ones(2, batch, n, dtype=torch.bool, device=nowhere) for n in stack.units]

        def draw_inputs(self, batch: int, inputs: int) -> Tensor:
            return torch.ones(2, batch, inputs, dtype=torch.bool, device=nowhere)

    taken = 0
    for update in updates(
        stack,
        Optimizer(stack),
        batches=batches(stack.recipes, data, epoch=1),
        masks=Masks(),
        is_watched=lambda _: False,
    ):
        total.add(update.logits, update.losses, update.batch.target)
        taken += 1
    assert taken == math.ceil(130 / SMALL.batch_size)
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        total.scores()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_a_cuda_graph_gives_what_the_same_steps_give_one_by_one() -> None:
    device = devices.resolve("cuda")
    recipes = [replace(SMALL, seed=seed, drop_rate=rate) for seed, rate in ((0, 0.2), (1, 0.5))]
    one_by_one = train(recipes, device, cuda_graphs=False)
    for before, after in zip(one_by_one, train(recipes, device), strict=True):
        assert before[-1].weights is not None
        assert after[-1].weights is not None
        for name, values in before[-1].weights.items():
            np.testing.assert_allclose(after[-1].weights[name], values, rtol=1e-5, atol=1e-7)


def test_a_network_takes_its_share_of_the_seconds_that_the_stack_s_samples_take() -> None:
    """With 2 networks in s seconds, each takes s / 2, at 2 x 130 / s samples a second."""
    for history in train([SMALL, replace(SMALL, seed=1)]):
        assert history[0].epoch_seconds is history[0].samples_per_second is None
        for record in history[1:]:
            assert record.epoch_seconds * record.samples_per_second == pytest.approx(130)


@pytest.mark.parametrize("keeps", [False, True])
def test_a_watched_update_holds_its_graph_only_where_gradients_are_kept(*, keeps: bool) -> None:
    stack, data = Stack([SMALL], inputs=9, classes=3), examples(20)
    [update] = updates(
        stack,
        Optimizer(stack),
        batches=[Batch(data.images[None] / 255, data.labels[None])],
        masks=RandomMasks([SMALL], stack.units, stream="epoch 1", device=CPU),
        is_watched=lambda _: True,
        keep_gradients=keeps,
    )
    assert [layer.z.requires_grad for layer in update.layers] == [keeps] * 3
