"""K networks as one module, against plain PyTorch networks one by one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.training.stack import LayerPass, Stack, plain, read_weights


def recipes(count: int, **changes: object) -> list[Recipe]:
    kinds = ["relu", "none"]
    return [
        Recipe(activation=kinds[seed % 2], seed=seed, widths=(6, 5), **changes)  # type: ignore[arg-type]
        for seed in range(count)
    ]


def test_every_member_computes_what_its_plain_network_computes() -> None:
    stack = Stack(recipes(4, drop_rate=0.3), inputs=7, classes=3)
    x = torch.randn(4, 8, 7, generator=torch.Generator().manual_seed(1))
    logits = stack(x)
    for member, recipe in enumerate(stack.recipes):
        network = plain(recipe, stack.state(member)).eval()
        torch.testing.assert_close(logits[member], network(x[member]))


def test_a_batch_for_all_is_the_same_as_one_batch_each() -> None:
    stack = Stack(recipes(3), inputs=4, classes=2)
    x = torch.rand(1, 5, 4, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(stack(x), stack(x.expand(3, -1, -1).contiguous()))


def test_initial_weights_depend_on_the_seed_alone() -> None:
    alone = Stack([Recipe(seed=5, widths=(6, 5))], inputs=7, classes=3)
    others = [Recipe(seed=1, widths=(6, 5)), Recipe(seed=5, drop_rate=0.1, widths=(6, 5))]
    among = Stack(others, inputs=7, classes=3)
    for name, values in alone.state(0).items():
        np.testing.assert_array_equal(among.state(1)[name], values)
        assert not np.array_equal(among.state(0)[name], values)


def test_twins_are_networks_that_compute_the_same_without_dropout() -> None:
    first = Recipe(seed=5, widths=(6, 5), drop_rate=0.1)
    others = [
        Recipe(seed=1, widths=(6, 5)),
        Recipe(seed=5, widths=(6, 5), drop_rate=0.5),
        Recipe(seed=5, widths=(6, 5), activation="sigmoid"),
        Recipe(seed=5, widths=(6, 5), scaling="symmetric"),
        Recipe(seed=1, widths=(6, 5), input_drop_rate=0.2),
    ]
    stack = Stack([first, *others], inputs=7, classes=3)
    assert stack.twins() == [0, 1, 0, 3, 4, 1]
    with torch.no_grad():
        stack.weights[1][2, 0, 0] += 1
    assert stack.twins() == [0, 1, 2, 3, 4, 1]


def test_initial_weights_are_those_of_a_linear_layer_within_its_bounds() -> None:
    state = Stack([Recipe()], inputs=784, classes=10).state(0)
    for name, fan_in in (("linear1", 784), ("linear2", 256), ("linear4", 128)):
        bound = fan_in**-0.5
        weight = state[f"{name}.weight"]
        assert np.abs(weight).max() <= bound
        # A uniform variable in ±bound has the standard deviation bound / sqrt(3).
        assert weight.std() == pytest.approx(bound / 3**0.5, rel=0.02)
        assert np.abs(state[f"{name}.bias"]).max() <= bound


def test_the_post_s_network_has_317450_parameters() -> None:
    recipe = Recipe(drop_rate=0.5)
    network = plain(recipe, Stack([recipe], inputs=784, classes=10).state(0))
    assert sum(parameter.numel() for parameter in network.parameters()) == 317_450
    assert [type(module) for module in network][-2:] == [nn.Linear, nn.Dropout]


def test_output_dropout_off_leaves_the_logits_alone() -> None:
    recipe = Recipe(drop_rate=0.5, output_dropout=False)
    network = plain(recipe, Stack([recipe], inputs=784, classes=10).state(0))
    assert isinstance(network[-1], nn.Linear)
    assert sum(isinstance(module, nn.Dropout) for module in network) == 4


def test_survivors_are_scaled_and_a_dropped_negative_is_minus_zero() -> None:
    stack = Stack([Recipe(activation="none", drop_rate=0.75, widths=(2,))], inputs=2, classes=2)
    stack.load(
        0,
        {
            "linear1.weight": np.eye(2, dtype=np.float32),
            "linear1.bias": np.zeros(2, dtype=np.float32),
            "linear2.weight": np.eye(2, dtype=np.float32),
            "linear2.bias": np.zeros(2, dtype=np.float32),
        },
    )
    keep = torch.tensor([[[True, False], [False, True]]])
    trace: list[LayerPass] = []
    stack(torch.tensor([[[1.5, -2.0], [3.0, -0.5]]]), [keep, None], trace=trace)
    assert trace[0].y.tolist() == [[[6.0, -0.0], [0.0, -2.0]]]
    assert torch.signbit(trace[0].y[0, 0, 1])


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    networks=st.integers(1, 4),
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=3),
)
def test_a_state_dict_survives_the_way_through_the_stack(
    seed: int, networks: int, widths: list[int]
) -> None:
    made = [Recipe(seed=seed + k, widths=tuple(widths)) for k in range(networks)]
    first, second = Stack(made, inputs=3, classes=2), Stack(made[:1], inputs=3, classes=2)
    second.load(0, first.state(networks - 1))
    for name, values in first.state(networks - 1).items():
        np.testing.assert_array_equal(second.state(0)[name], values)


def test_a_stack_s_state_is_weights_and_biases_alone() -> None:
    """What follows from the recipes is not stored: they may be others when it is loaded."""
    state = Stack(recipes(2), inputs=9, classes=3).state_dict()
    assert {name.split(".")[0] for name in state} == {"weights", "biases"}


def test_members_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="same widths"):
        Stack([Recipe(widths=(3,)), Recipe(widths=(4,))], inputs=2, classes=2)


def test_a_network_that_diverges_does_so_in_any_company() -> None:
    """NaN passes a ReLU, also beside a network that has none."""
    x = torch.full((1, 2, 3), torch.nan)
    for activations in (("relu",), ("relu", "none")):
        recipes = [Recipe(widths=(4,), activation=activation) for activation in activations]
        logits = Stack(recipes, inputs=3, classes=2)(x)
        assert logits[0].isnan().all()


def test_weights_of_another_network_are_refused_by_the_array_that_does_not_fit(
    tmp_path: Path,
) -> None:
    recipe = Recipe(widths=(6, 5))
    weights = dict(Stack([recipe], inputs=7, classes=3).state(0))
    save_file(weights, tmp_path / "right")
    for name, values in read_weights(tmp_path / "right", recipe).items():
        np.testing.assert_array_equal(values, weights[name])
    weights["linear2.bias"] = np.zeros(4, dtype=np.float32)
    save_file(weights, tmp_path / "wrong")
    with pytest.raises(ValueError, match=r"'linear2\.bias' is \('float32', 4\) .* 5\)$"):
        read_weights(tmp_path / "wrong", recipe)
