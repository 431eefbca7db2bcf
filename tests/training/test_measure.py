"""What an evaluation amounts to, whatever stands beside a network in its stack."""

import math
from itertools import chain

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.config.recipe import Recipe
from pipeline.records import Score
from pipeline.training import measure
from pipeline.training.batches import Examples
from pipeline.training.measure import ScoreSum, Watch, check_losses, cross_entropy, evaluate
from pipeline.training.stack import LayerPass, Stack
from why_zero import BrokenIdentity, StateCount
from why_zero.records import UnitStates

WIDTHS = (60, 50)
SAMPLES = 1200


def evaluated(stack: Stack) -> tuple[list[Score], list[list[UnitStates]]]:
    source = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (SAMPLES, 20), dtype=torch.uint8, generator=source)
    states = StateCount(len(stack.recipes), WIDTHS, torch.device("cpu"))
    scores = evaluate(stack, Examples(images, images[:, 0].long() % 10).in_order(), states=states)
    layers = range(len(WIDTHS))
    return scores, [[states.states(layer, m) for layer in layers] for m in range(len(scores))]


@pytest.fixture
def stack() -> Stack:
    return Stack([Recipe(widths=WIDTHS, seed=seed) for seed in range(3)], inputs=20, classes=10)


def test_networks_are_counted_one_by_one_as_they_are_together(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = evaluated(stack)
    # Of the two batches only the first, of 1,000 samples, is large enough.
    monkeypatch.setattr(measure, "WORTH_GOING_ALONE", 300 * sum(stack.units) * 3)
    alone = evaluated(stack)
    for lone, stacked in zip(alone[0], together[0], strict=True):
        assert lone.accuracy == stacked.accuracy
        assert lone.loss == pytest.approx(stacked.loss, rel=1e-6)
    for lone, stacked in zip(chain(*alone[1]), chain(*together[1]), strict=True):
        assert lone.samples == stacked.samples == SAMPLES
        np.testing.assert_array_equal(lone.fired, stacked.fired)
        np.testing.assert_array_equal(lone.reached, stacked.reached)
        np.testing.assert_allclose(lone.magnitude, stacked.magnitude, rtol=1e-5)


def test_one_by_one_an_evaluation_does_not_depend_on_the_neighbours_to_the_last_bit(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "WORTH_GOING_ALONE", 0)
    scores, states = evaluated(stack)
    for member, expected in enumerate(scores):
        [score], [layers] = evaluated(stack.part([member]))
        assert score == expected
        for lone, stacked in zip(layers, states[member], strict=True):
            np.testing.assert_array_equal(lone.magnitude, stacked.magnitude)


def test_norms_of_gradients_and_changes_are_those_of_hand_arithmetic() -> None:
    """Two passes with gradients (3, 4) and three times that; a change of (3, 4, bias 12) of 1."""
    recipe = Recipe(widths=(2,), drop_rate=0.0)
    stack = Stack([recipe], inputs=2, classes=2)
    for parameter in stack.parameters():
        torch.nn.init.constant_(parameter, 0.5)
    watch = Watch(stack)
    for factor in (1.0, 3.0):
        trace: list[LayerPass] = []
        stack(torch.ones(1, 4, 2), trace=trace)
        for parameter in stack.parameters():
            parameter.grad = torch.zeros_like(parameter)
        # (networks, inputs, units): both are of the first unit.
        stack.weights[0].grad = factor * torch.tensor([[[3.0, 0.0], [4.0, 0.0]]])
        watch.add(trace)
    watch.check()
    with torch.no_grad():
        stack.weights[0] += torch.tensor([[[3.0, 0.0], [4.0, 0.0]]])
        stack.biases[0] += torch.tensor([[[12.0, 0.0]]])
    states = StateCount(1, (2,), torch.device("cpu"))
    states.add([(torch.ones(1, 3, 2), torch.ones(1, 3, 2))])
    [[hidden, logits]] = watch.layers(states, is_trained=True)
    assert hidden.gradient_norm == pytest.approx(10)
    assert hidden.gradient_norms is not None
    assert hidden.update_norms is not None
    np.testing.assert_allclose(hidden.gradient_norms, [10, 0])
    np.testing.assert_allclose(hidden.update_norms, [13, 0])
    assert hidden.update_ratio == pytest.approx(5)  # four weights of 0.5 have the norm 1
    assert (logits.gradient_norm, logits.update_ratio, logits.states) == (0, 0, None)
    assert hidden.causes.active.tolist() == [8, 8]
    [[born, _]] = Watch(stack).layers(states, is_trained=False)
    assert (born.gradient_norm, born.gradient_norms) == (None, None)
    assert (born.update_ratio, born.update_norms) == (None, None)
    [[unwatched, _]] = Watch(stack).layers(states, is_trained=True)
    assert (unwatched.gradient_norm, unwatched.gradient_norms) == (None, None)
    assert unwatched.update_ratio == 0


def test_a_score_is_the_mean_loss_and_the_share_of_right_answers() -> None:
    """Losses 1, 2 and 6 of the first network, two of its three answers right, in two batches."""
    total = ScoreSum(2, torch.device("cpu"))
    target = torch.tensor([[0, 1]])
    logits = torch.tensor([[[2.0, 1.0], [3.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    total.add(logits, torch.tensor([[1.0, 2.0], [0.0, 0.0]]), target)
    total.add(logits[:1, :1], torch.tensor([[6.0]]), target[:, :1], slice(0, 1))
    assert total.scores() == [Score(3.0, 2 / 3), Score(0.0, 0.0)]


def test_a_loss_is_minus_the_log_of_the_softmax_of_the_right_class() -> None:
    logits = torch.tensor([[[math.log(3), 0.0]], [[0.0, 0.0]]])
    losses = cross_entropy(logits, torch.tensor([[1]]))
    torch.testing.assert_close(losses, torch.tensor([[math.log(4)], [math.log(2)]]))


def test_a_loss_that_is_not_its_label_s_is_named() -> None:
    """-ln softmax(ln 3, 0) is ln 4/3 = 0.287682 and ln 4; only the second network's is wrong."""
    logits = torch.tensor([[[math.log(3), 0.0]] * 3] * 2)
    labels = torch.tensor([[1, 1, 0]])
    losses = torch.tensor([[math.log(4), math.log(4), math.log(4 / 3)]] * 2)
    check_losses(logits, losses, labels)
    check_losses(logits, losses + 1e-5, labels)
    losses[1, 2] = math.log(4)
    with pytest.raises(
        BrokenIdentity, match=r"0\.287682 for the label of sample 2, observed 1\.38"
    ):
        check_losses(logits, losses, labels)
    logits[1, 2] = math.nan  # a network that diverges is left alone
    check_losses(logits, losses, labels)


def test_the_network_that_is_counted_twice_is_the_one_that_was_named(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together, and alone where the activations of all are too many."""
    seen: list[Tensor] = []
    monkeypatch.setattr(
        measure.identities, "check_states", lambda *given, **_: seen.append(given[2])
    )
    data = Examples(torch.arange(60, dtype=torch.uint8).view(3, 20), torch.zeros(3).long())
    for worth_going_alone in (measure.WORTH_GOING_ALONE, 0):
        monkeypatch.setattr(measure, "WORTH_GOING_ALONE", worth_going_alone)
        states = StateCount(3, WIDTHS, torch.device("cpu"))
        evaluate(stack, data.in_order(), states=states, counted_twice=2)
    hidden = stack.first(data.images[None] / 255)[2]
    assert [len(z) for z in seen] == [3] * 4
    torch.testing.assert_close(seen[0], hidden)
    torch.testing.assert_close(seen[2], hidden)


@pytest.mark.parametrize("which", ["weights[0]", "biases[0]", "weights[1]"])
def test_a_unit_that_was_never_active_and_learns_is_a_broken_identity(which: str) -> None:
    """By its incoming row, its bias or its outgoing column; the second unit of h1 is closed."""
    stack = Stack([Recipe(widths=(2,), drop_rate=0.0)], inputs=2, classes=2)
    stack.load(
        0,
        {
            "linear1.weight": np.array([[1, 1], [-1, -1]], dtype=np.float32),
            "linear1.bias": np.zeros(2, dtype=np.float32),
            "linear2.weight": np.ones((2, 2), dtype=np.float32),
            "linear2.bias": np.zeros(2, dtype=np.float32),
        },
    )
    trace: list[LayerPass] = []
    stack(torch.ones(1, 4, 2), trace=trace)
    for parameter in stack.parameters():
        parameter.grad = torch.zeros_like(parameter)
    Watch(stack).add(trace)
    kind, place = which.removesuffix("]").split("[")
    gradient = getattr(stack, kind)[int(place)].grad
    # (networks, inputs, units): the second input of the logits is the second unit.
    (gradient[0, 1] if place == "1" else gradient[..., 1]).fill_(1e-15)
    with pytest.raises(BrokenIdentity, match=r"identity 8 must hold in layer h1 .* for unit 1"):
        Watch(stack).add(trace)
