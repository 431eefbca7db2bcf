"""Monte Carlo dropout, against hand arithmetic, all masks of a small network, and nn.Dropout."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.recipe import Recipe
from pipeline.predict.mc_dropout import hidden_masks, input_mask, masked_answer, masked_pass
from pipeline.training.stack import Stack, plain

IMAGE = torch.tensor([0.2, 0.9, 0.5])


def network(**settings: object) -> Stack:
    recipe = Recipe(**{"widths": (3, 2), "drop_rate": 0.5, **settings})
    return Stack([recipe], inputs=3, classes=2)


def log(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64).log().float()


# What the passes say together


def test_mean_interval_votes_and_entropies_are_those_of_hand_arithmetic() -> None:
    answer = masked_answer(log((0.8, 0.2), (0.4, 0.6)), {})
    assert answer.passes == 2
    np.testing.assert_allclose(answer.mean, [0.6, 0.4], atol=1e-6)
    # 2.5 % and 97.5 % of the way from the smaller to the larger value.
    np.testing.assert_allclose(answer.low, [0.41, 0.21], atol=1e-6)
    np.testing.assert_allclose(answer.high, [0.79, 0.59], atol=1e-6)
    np.testing.assert_array_equal(answer.votes, [1, 1])
    of_mean = -0.6 * math.log(0.6) - 0.4 * math.log(0.4)
    of_passes = -sum(p * math.log(p) for p in (0.8, 0.2, 0.4, 0.6)) / 2
    assert answer.entropy == pytest.approx(of_mean, abs=1e-6)
    assert answer.mutual_information == pytest.approx(of_mean - of_passes, abs=1e-6)


def test_masks_that_agree_tell_nothing_and_masks_that_are_sure_and_differ_tell_all() -> None:
    agreed = masked_answer(log((0.7, 0.3), (0.7, 0.3)), {})
    assert agreed.mutual_information == pytest.approx(0, abs=1e-12)
    assert agreed.entropy > 0.6
    sure = masked_answer(torch.tensor([[200.0, 0], [0, 200.0]]), {})
    assert sure.entropy == pytest.approx(math.log(2))
    assert sure.mutual_information == pytest.approx(math.log(2))


@given(st.lists(st.lists(st.floats(-30, 30), min_size=4, max_size=4), min_size=1, max_size=9))
def test_probabilities_add_up_and_information_is_between_0_and_the_entropy(
    logits: list[list[float]],
) -> None:
    answer = masked_answer(torch.tensor(logits), {})
    assert answer.mean.sum() == pytest.approx(1)
    assert (answer.low <= answer.high).all()
    assert answer.votes.sum() == len(logits)
    assert 0 <= answer.mutual_information <= answer.entropy + 1e-12 <= math.log(4) + 1e-9


# What a mask does


def test_the_mean_logits_of_a_linear_network_over_all_masks_are_its_evaluation_output() -> None:
    stack = network(activation="none")
    bits = torch.tensor(list(itertools.product([False, True], repeat=5)))
    masks = [bits[None, :, :3], bits[None, :, 3:], None]
    logits, _ = masked_pass(stack, IMAGE, masks)
    with torch.no_grad():
        evaluation = stack(IMAGE[None, None])[0, 0]
    torch.testing.assert_close(logits.mean(0), evaluation, rtol=0, atol=1e-6)
    assert logits.std(0).min() > 0.01


def test_drawn_masks_come_to_the_same_mean_and_to_what_nn_dropout_gives() -> None:
    """4,000 passes each, seed 0; five standard errors: a false alarm once in 10^6."""
    passes = 4000
    for activation in ("none", "relu"):
        stack = network(activation=activation, widths=(8, 6), drop_rate=0.3, output_dropout=False)
        masks = hidden_masks(stack.recipes[0], stack.units, passes, seed=0)
        logits, _ = masked_pass(stack, IMAGE, masks)
        reference = plain(stack.recipes[0], stack.state(0)).train()
        torch.manual_seed(0)
        with torch.no_grad():
            others = reference(IMAGE.expand(passes, -1))
            evaluation = reference.eval()(IMAGE[None])[0]
        error = logits.std(0) / passes**0.5
        assert (error > 0).all()
        assert ((logits.mean(0) - others.mean(0)).abs() < 5 * 2**0.5 * error).all()
        if activation == "none":
            assert ((logits.mean(0) - evaluation).abs() < 5 * error).all()


def test_logits_are_never_masked_even_where_training_did() -> None:
    stack = network(output_dropout=True, drop_rate=0.9)
    masks = hidden_masks(stack.recipes[0], stack.units, 50, seed=0)
    assert masks[-1] is None
    logits, causes = masked_pass(stack, IMAGE, masks)
    assert (logits != 0).all()
    assert list(causes) == ["h1", "h2"]


def test_masks_depend_on_the_seed_alone() -> None:
    recipe = network().recipes[0]
    again = [hidden_masks(recipe, (3, 2, 2), 20, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(again[0][0], again[1][0])
    assert not torch.equal(again[0][0], again[2][0])


@pytest.mark.parametrize("activation", ["sigmoid", "leaky_relu"])
def test_without_a_relu_the_masks_alone_are_blamed(activation: str) -> None:
    stack = network(activation=activation)
    masks = hidden_masks(stack.recipes[0], stack.units, 50, seed=0)
    _, causes = masked_pass(stack, IMAGE, masks)
    for layer, keep in zip(("h1", "h2"), masks, strict=False):
        assert keep is not None
        np.testing.assert_array_equal(causes[layer].dropped, (~keep[0]).sum(0).numpy())
        assert not (causes[layer].inactive + causes[layer].both).any()


def test_the_causes_of_zeros_are_counted_over_the_passes() -> None:
    recipe = Recipe(widths=(2,), drop_rate=0.5)
    stack = Stack([recipe], inputs=1, classes=2)
    weights = {
        "linear1.weight": np.array([[1.0], [-1.0]], np.float32),
        "linear1.bias": np.zeros(2, np.float32),
        "linear2.weight": np.eye(2, dtype=np.float32),
        "linear2.bias": np.zeros(2, np.float32),
    }
    stack.load(0, weights)
    masks = [torch.tensor([[[True, True], [True, False], [False, False]]]), None]
    logits, causes = masked_pass(stack, torch.tensor([3.0]), masks)
    # Unit 1: z = 3, kept, kept, dropped. Unit 2: z = -3, kept, dropped, dropped. Scale 2.
    np.testing.assert_array_equal(causes["h1"].active, [2, 0])
    np.testing.assert_array_equal(causes["h1"].dropped, [1, 0])
    np.testing.assert_array_equal(causes["h1"].inactive, [0, 1])
    np.testing.assert_array_equal(causes["h1"].both, [0, 2])
    assert logits[:, 0].tolist() == [6, 6, 0]


def test_the_mean_over_all_input_masks_is_the_evaluation_output_of_a_linear_network() -> None:
    stack = network(activation="none", drop_rate=0.0, input_drop_rate=0.5)
    bits = torch.tensor(list(itertools.product([False, True], repeat=3)))
    logits, causes = masked_pass(stack, IMAGE, [None, None, None], inputs=bits[None])
    with torch.no_grad():
        evaluation = stack(IMAGE[None, None])[0, 0]
    torch.testing.assert_close(logits.mean(0), evaluation, rtol=0, atol=1e-6)
    assert logits.std(0).min() > 0.01
    assert causes == {}


def test_input_masks_are_drawn_at_the_recipe_s_rate_and_leave_hidden_masks_as_they_are() -> None:
    """2,000 passes over 50 inputs: a rate of 0.3 within five standard errors, 0.007."""
    recipe = Recipe(widths=(3, 2), input_drop_rate=0.3)
    mask = input_mask(recipe, 50, 2000, seed=1)
    assert mask is not None
    assert float((~mask).float().mean()) == pytest.approx(0.3, abs=0.008)
    assert input_mask(replace(recipe, input_drop_rate=0.0), 50, 2000, seed=1) is None
    drops, keeps = (
        hidden_masks(one, (3, 2, 2), 20, seed=1)
        for one in (recipe, replace(recipe, input_drop_rate=0.0))
    )
    for one, other in zip(drops[:-1], keeps[:-1], strict=True):
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)
