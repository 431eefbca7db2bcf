"""The same network without its dead units."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune

from why_zero import Compacted, UnitStates, WhyZeroError, compact, dead_units


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


def kill(layer: nn.Module, units: Sequence[int]) -> None:
    """Let a layer, or the batch norm behind it, give these units -1000 and less."""
    with torch.no_grad():
        layer.bias[list(units)] = -1000.0


def uneven(norm: nn.Module) -> None:
    """Give a batch norm statistics that a trained one could have."""
    with torch.no_grad():
        norm.running_mean.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)


def mlp() -> nn.Sequential:
    """4-6-5-3; units 1 and 4 of the first layer and 0 of the second are dead."""
    network = nn.Sequential(
        *(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)),
    )
    kill(network[0], [1, 4])
    kill(network[3], [0])
    return network


DEAD = {"0": [1, 4], "3": [0]}


def images(count: int = 20) -> Tensor:
    return torch.randn(count, 2, 8, 8)


def same(found: Compacted, original: nn.Module, x: Tensor) -> bool:
    """Whether both give the same outputs, but for rounding, in evaluation mode."""
    with torch.no_grad():
        outputs = [copy.deepcopy(each).eval()(x) for each in (found.module, original)]
    return torch.allclose(*outputs, rtol=1e-4, atol=1e-4)


def reasons(found: Compacted) -> dict[str, str]:
    return {kept.layer: kept.reason for kept in found.kept}


def test_an_mlp_loses_rows_and_columns_and_nothing_else() -> None:
    original, x = mlp(), torch.randn(50, 4)
    found = compact(original, DEAD, x)
    assert found.removed == {"0": (1, 4), "3": (0,)}
    assert found.kept == ()
    assert same(found, original, x)
    assert torch.equal(found.module[0].weight, original[0].weight[[0, 2, 3, 5]])
    assert torch.equal(found.module[3].weight, original[3].weight[[1, 2, 3, 4]][:, [0, 2, 3, 5]])
    assert torch.equal(found.module[5].weight, original[5].weight[:, [1, 2, 3, 4]])
    assert torch.equal(found.module[5].bias, original[5].bias)


def test_sizes_are_those_counted_by_hand() -> None:
    found = compact(mlp(), DEAD, torch.randn(50, 4))
    # 4·6 + 6·5 + 5·3 products and 6 + 5 + 3 biases; then 4-4-4-3.
    assert found.multiplications_before == 24 + 30 + 15
    assert found.parameters_before == 24 + 30 + 15 + 6 + 5 + 3
    assert found.multiplications_after == 16 + 16 + 12
    assert found.parameters_after == 16 + 16 + 12 + 4 + 4 + 3
    assert 0 <= found.largest_difference <= found.tolerance < 1e-3


def test_a_convolutions_multiplications_count_its_positions() -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 3)
    )
    kill(network[0], [2])
    found = compact(network, {"0": [2]}, images())
    assert found.multiplications_before == 64 * 4 * (2 * 9) + 256 * 3
    assert found.multiplications_after == 64 * 3 * (2 * 9) + 192 * 3


def test_the_result_loads_into_a_network_of_the_smaller_widths() -> None:
    smaller = nn.Sequential(
        *(nn.Linear(4, 4), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)),
    ).eval()
    original, x = mlp(), torch.randn(50, 4)
    smaller.load_state_dict(compact(original, DEAD, x).module.state_dict())
    assert torch.allclose(smaller(x), original.eval()(x), atol=1e-5)


def test_the_original_and_all_flags_stay() -> None:
    original = mlp().double().train()
    original[2].eval()
    original[5].weight.requires_grad_(False)
    before, x = copy.deepcopy(original.state_dict()), torch.randn(50, 4).double()
    generator = torch.random.get_rng_state()
    found = compact(original, DEAD, x).module
    assert torch.equal(generator, torch.random.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in original.state_dict().items())
    flags = [part.training for part in original.modules()]
    assert flags == [True, True, True, False, True, True, True]
    assert [part.training for part in found.modules()] == flags
    assert [p.requires_grad for p in found.parameters()] == [True] * 4 + [False, True]
    assert {p.dtype for p in found.parameters()} == {torch.float64}
    assert not any(part._forward_hooks for part in found.modules())


def cnn() -> nn.Sequential:
    """Batch norms before the ReLUs, pooling of three kinds, and flattened positions."""
    network = nn.Sequential(
        *(nn.Conv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Conv2d(5, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU6()),
        *(nn.AvgPool2d(2, padding=1), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout()),
        *(nn.Linear(16, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)),
    )
    for norm, units in ((network[1], [0, 3]), (network[4][1], [2]), (network[10], [5])):
        uneven(norm)
        kill(norm, units)
    return network


def test_a_cnn_loses_channels_batch_norms_and_blocks_of_columns() -> None:
    original, x = cnn(), images()
    found = compact(original, {"0": [0, 3], "4.0": [2], "9": [5]}, [x[:7], (x[7:], None)])
    assert found.removed == {"0": (0, 3), "4.0": (2,), "9": (5,)}
    assert found.kept == ()
    assert same(found, original, x)
    module = found.module
    assert module[1].num_features == len(module[1].running_mean) == 3
    assert module[4][0].weight.shape == (3, 3, 3, 3)
    # Four positions a channel: the third channel's columns are 8 … 11.
    rest = [*range(8), *range(12, 16)]
    assert torch.equal(module[9].weight, original[9].weight[:5, rest])
    assert module[4][1].num_batches_tracked == original[4][1].num_batches_tracked


def behind_relu(reader: Callable[[], nn.Module], *between: nn.Module) -> nn.Sequential:
    """A convolution with a dead channel 1, whose 0 a batch norm makes another constant."""
    network = nn.Sequential(
        *(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), *between, reader()),
        *(nn.ReLU(), nn.Flatten()),
    )
    uneven(network[2])
    kill(network[0], [1])
    return network


@pytest.mark.parametrize(
    "reader",
    [
        lambda: nn.Conv2d(4, 3, 3),
        lambda: nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect"),
        lambda: nn.Conv2d(4, 3, 3, padding=1, padding_mode="circular"),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(4 * 36, 3)),
        lambda: nn.Sequential(nn.MaxPool2d(3, padding=1), nn.Flatten(), nn.Linear(16, 3)),
        lambda: nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4 * 36), nn.Linear(4 * 36, 3)),
    ],
)
def test_a_constant_behind_a_batch_norm_goes_into_the_next_bias(
    reader: Callable[[], nn.Module],
) -> None:
    original, x = behind_relu(reader), images()
    found = compact(original, {"0": [1]}, x)
    assert found.removed == {"0": (1,)}
    assert same(found, original, x)


def test_a_constant_beside_zero_padding_is_kept_and_named() -> None:
    original, x = behind_relu(lambda: nn.Conv2d(4, 3, 3, padding=1)), images()
    found = compact(original, {"0": [1]}, x)
    assert found.removed == {}
    assert reasons(found) == {"0": "3 pads with 0 beside the constant that is left of them"}
    assert same(found, original, x)


def test_a_constant_that_average_pooling_pads_is_kept() -> None:
    original = behind_relu(lambda: nn.Conv2d(4, 3, 2), nn.AvgPool2d(3, padding=1))
    found = compact(original, {"0": [1]}, images())
    assert reasons(found) == {"0": "4 reads them as values that differ with the place"}


def test_a_constant_stays_where_there_is_no_bias_to_take_it() -> None:
    found = compact(behind_relu(lambda: nn.Conv2d(4, 3, 3, bias=False)), {"0": [1]}, images())
    assert reasons(found) == {"0": "3 has no bias to take the constant left of them"}


def test_a_zero_goes_also_beside_zero_padding() -> None:
    original = behind_relu(lambda: nn.Conv2d(4, 3, 3, padding=1, bias=False))
    with torch.no_grad():  # so that 0 becomes exactly 0
        original[2].bias[1] = original[2].running_mean[1] = 0
    found = compact(original, {"0": [1]}, images())
    assert found.removed == {"0": (1,)}


class Net(nn.Module):
    """Layers a, b and c in whatever way a test calls them."""

    def __init__(self, forward: Callable[["Net", Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.norm, self.attention = nn.LayerNorm(4), nn.MultiheadAttention(4, 1)
        self._call = forward
        kill(self.a, [2])

    def forward(self, x: Tensor) -> Tensor:
        return self._call(self, x)


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda n, x: n.c(F.relu(n.a(x)) + x), "they meet other values in add"),
        (lambda n, x: n.c(torch.cat([F.relu(n.a(x)), x[:, :0]], 1)), "they meet other values in"),
        (lambda n, x: n.c(F.relu(n.a(F.relu(n.a(x))))), "a is used in more than one place"),
        (lambda n, x: n.c(F.relu(n.b(n.b(F.relu(n.a(x)))))), "b is used in more than one place"),
        (lambda n, x: n.c(F.relu(n.a(x))) + n.c.weight[0, 0], "c is used in more than one place"),
        (lambda n, x: n.c(n.norm(F.relu(n.a(x)))), "they are not followed through norm"),
        (lambda n, x: n.c(n.a(x)), "they reach c without a ReLU in between"),
        (lambda n, x: n.c(F.gelu(n.a(x))), "they are not followed through gelu"),
        (lambda n, x: F.relu(n.a(x)), "they are outputs of the network"),
        (lambda n, x: n.c(F.relu(n.a(x)).view(-1, 4)), "they are not followed through view"),
        (lambda n, x: n.c(F.relu(n.a(x)) * n.b.bias), "they meet other values in mul"),
        (lambda n, x: n.c(F.relu(F.linear(x, n.a.weight, n.a.bias))), "the layer is not called"),
        (lambda n, x: n.c(F.dropout(F.relu(n.a(x)), 0.0)), "they are not followed through dropout"),
        (lambda n, x: n.c(F.max_pool1d(F.relu(n.a(x)), 1)), "they are not followed through max_"),
    ],
)
def test_what_cannot_go_safely_is_named_and_left(
    forward: Callable[[Net, Tensor], Tensor], reason: str
) -> None:
    original, x = Net(forward), torch.randn(30, 4)
    found = compact(original, {"a": [2]}, x)
    assert found.removed == {}
    [kept] = found.kept
    assert (kept.layer, kept.units) == ("a", (2,))
    assert kept.reason.startswith(reason)
    assert found.parameters_after == found.parameters_before
    assert found.largest_difference == 0
    assert same(found, original, x)


def reshaped(network: Net, x: Tensor) -> Tensor:
    h = F.relu(network.a(x))
    return network.c(h.reshape(h.shape[0], -1))


def read_twice(network: Net, x: Tensor) -> Tensor:
    h = F.relu(network.a(x))
    return network.c(h) + F.relu(network.b(h))[:, :3]


@pytest.mark.parametrize(
    "forward",
    [
        lambda n, x: n.c(F.relu(n.a(x))),
        lambda n, x: n.c(n.a(x).relu_()),
        lambda n, x: n.c(torch.relu(n.a(x)).flatten(1)),
        lambda n, x: n.c(F.relu6(n.a(x)).view(x.size(0), -1)),
        reshaped,
        lambda n, x: n.c(F.dropout(F.relu(n.a(x)), 0.5, n.training)),
        read_twice,
        lambda n, x: n.c(F.relu(n.a(x[:, None]))).squeeze(1),
    ],
)
def test_functions_and_two_readers_are_followed(forward: Callable[[Net, Tensor], Tensor]) -> None:
    original, x = Net(forward), torch.randn(30, 4)
    found = compact(original, {"a": torch.tensor([False, False, True, False])}, x)
    assert found.removed == {"a": (2,)}
    assert found.module.c.in_features == 3
    assert same(found, original, x)


def test_pooling_functions_are_followed() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 4, 3), nn.Linear(4, 3)
            kill(self.a, [2])

        def forward(self, x: Tensor) -> Tensor:
            h = F.avg_pool2d(F.max_pool2d(F.relu(self.a(x)), 2), 1)
            return self.b(torch.flatten(F.adaptive_avg_pool2d(h, 1), start_dim=1))

    original, x = Pooled(), images()
    found = compact(original, {"a": [2]}, x)
    assert found.removed == {"a": (2,)}
    assert same(found, original, x)


def test_pooling_along_one_axis_is_followed() -> None:
    original = nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(4, 3, 1))
    kill(original[0], [2])
    x = torch.randn(20, 2, 8)
    found = compact(original, {"0": [2]}, x)
    assert found.removed == {"0": (2,)}
    assert same(found, original, x)


def test_a_residual_network_loses_what_lies_inside_its_blocks_alone() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 3, 3, padding=1)
            self.norm = nn.BatchNorm2d(5)
            kill(self.norm, [4])
            kill(self.second, [0])

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x + F.relu(self.second(F.relu(self.norm(self.first(x))))))

    original = nn.Sequential(nn.Conv2d(2, 3, 1), Block(), nn.Flatten(), nn.Linear(192, 3))
    found = compact(original, {"1.first": [4], "1.second": [0]}, images())
    assert found.removed == {"1.first": (4,)}
    assert reasons(found) == {"1.second": "they meet other values in add"}
    assert same(found, original, images())


def test_grouped_convolutions_are_left() -> None:
    original = nn.Sequential(
        *(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(64, 3)),
    )
    kill(original[0], [1])
    kill(original[2], [2])
    found = compact(original, {"0": [1], "2": [2]}, images())
    assert found.removed == {}
    assert reasons(found) == {
        "0": "2 reads them as a convolution in 4 groups",
        "2": "the layer is a convolution in 4 groups",
    }


def test_shared_weights_and_hooks_are_left() -> None:
    tied = mlp()
    tied[5] = nn.Linear(5, 5)
    tied.append(nn.Linear(5, 5))
    tied[6].weight = tied[5].weight
    found = compact(tied, {"3": [0]}, torch.randn(9, 4))
    assert reasons(found) == {"3": "5 is used in more than one place, or shares its weights"}
    hooked = mlp()
    hooked[3].register_forward_hook(lambda *_: None)
    found = compact(hooked, {"0": [1]}, torch.randn(9, 4))
    assert reasons(found) == {"0": "3 has hooks, which may depend on its shape"}


def test_a_layer_keeps_one_unit() -> None:
    original, x = mlp(), torch.randn(9, 4)
    kill(original[0], range(6))
    found = compact(original, {"0": list(range(6))}, x)
    assert found.removed == {"0": (1, 2, 3, 4, 5)}
    assert reasons(found) == {"0": "a layer keeps at least one unit"}
    assert found.module[0].out_features == 1
    assert same(found, original, x)


@pytest.mark.parametrize("dead", [{}, {"0": []}, {"0": np.zeros(6, bool)}])
def test_without_dead_units_the_copy_is_the_network(dead: dict[str, Sequence[int]]) -> None:
    original = mlp()
    found = compact(original, dead, torch.randn(9, 4))
    assert (found.removed, found.kept, found.largest_difference) == ({}, (), 0)
    assert found.module is not original
    assert str(found.module) == str(original)


def test_a_network_without_weights_may_not_differ_at_all_and_does_not() -> None:
    assert compact(nn.Sequential(nn.ReLU()), {}, torch.randn(9, 4)).largest_difference == 0


def test_units_of_a_layer_without_weights_are_kept_and_named() -> None:
    found = compact(mlp(), {"1": [1]}, torch.randn(9, 4))
    assert found.removed == {}
    assert reasons(found) == {"1": "1 is a ReLU, whose weights are left alone"}


def test_a_unit_that_fires_on_the_reference_set_is_refused_by_name() -> None:
    with pytest.raises(WhyZeroError, match=r"got others for units 0, 3 of 0: "):
        compact(mlp(), {"0": [0, 1, 3]}, torch.randn(50, 4))


def test_a_unit_that_fires_elsewhere_is_reported_and_not_refused() -> None:
    network = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        network[0].weight[:], network[0].bias[:] = 1.0, torch.tensor([10.0, -1.0])
        network[2].weight[:], network[2].bias[:] = torch.tensor([[0.0, 4.0], [0.0, 0.0]]), 0.0
        network[2].bias[1] = 1.0
    # Unit 1 is 0 up to x = 1 and adds 4 (x - 1) to the first output; the second is 1.
    elsewhere = torch.tensor([[0.0], [1.125], [1.5], [3.0]])
    found = compact(network, {"0": [1]}, torch.tensor([[0.0], [1.0]]), held_out=elsewhere)
    assert found.largest_difference == 0
    assert found.held_out_difference == 8.0
    # 0.5 < 1 is no change, 2 and 8 are.
    assert found.held_out_changed == 0.5


def test_without_a_held_out_set_nothing_is_said_of_it() -> None:
    found = compact(mlp(), DEAD, torch.randn(9, 4))
    assert found.held_out_difference is None
    assert found.held_out_changed is None


def test_outputs_that_are_not_those_of_the_inputs_are_refused() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) + torch.randn(3)

    with pytest.raises(WhyZeroError, match=r"within .* got a difference of"):
        compact(Noisy(), {"inner.0": [1]}, torch.randn(9, 4))


def test_not_a_number_is_refused() -> None:
    x = torch.randn(9, 4)
    x[3] = torch.nan
    with pytest.raises(WhyZeroError, match=r"exactly 0|difference of nan"):
        compact(mlp(), DEAD, x)


def test_a_generator_of_batches_is_enough() -> None:
    x = torch.randn(9, 4)
    found = compact(mlp(), DEAD, (batch for batch in x.split(2)))
    assert found.removed == {"0": (1, 4), "3": (0,)}


def test_untraceable_parts_are_left_whole_and_an_untraceable_network_is_refused() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2 if x.sum() > 0 else x

    original = nn.Sequential(*mlp()[:2], Branching(), *mlp()[3:])
    found = compact(original, DEAD, torch.randn(9, 4))
    assert found.removed == {"3": (0,)}
    assert reasons(found) == {"0": "they are not followed through 2"}
    with pytest.raises(WhyZeroError, match=r"that torch\.fx can trace"):
        compact(Branching(), {}, torch.randn(9, 4))


def test_what_an_untraceable_part_may_use_is_left() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) if x.sum() > 0 else x

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.part, self.last = mlp()[0], Branching(), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            h = self.part.inner(F.relu(self.first(x)))
            return self.last(h + self.part(torch.ones(1, 6)))

    found = compact(Twice(), {"first": [1]}, torch.randn(9, 4))
    assert reasons(found)["first"].startswith("part.inner is used in more than one place")


def test_weights_that_are_computed_are_left() -> None:
    original = mlp()
    nn.utils.parametrizations.weight_norm(original[3])
    found = compact(original, {"0": [1]}, torch.randn(9, 4))
    assert reasons(found) == {"0": "3 is a ParametrizedLinear, whose weights are left alone"}
    with pytest.raises(WhyZeroError, match=r"copy\.deepcopy must copy a module"):
        compact(prune.l1_unstructured(original[5], "weight", 0.5), {}, torch.randn(9, 5))


def test_a_network_that_writes_to_its_input_leaves_the_reference_set() -> None:
    original = nn.Sequential(nn.ELU(inplace=True), *mlp())
    x = torch.randn(9, 4)
    before = x.clone()
    found = compact(original, {"1": [1]}, x, held_out=x)
    assert found.removed == {"1": (1,)}
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("dead", "message"),
    [
        ({"9": [0]}, "must name modules of the model, got '9'"),
        ({"0": [6]}, "must be indices of its 6 units"),
        ({"0": [-1]}, "must be indices of its 6 units"),
        ({"0": [True, False]}, "must be indices of its 6 units"),
        ({"0": np.array([0.5])}, "must be indices of its 6 units"),
    ],
)
def test_units_that_are_not_there_are_refused(dead: dict[str, list[int]], message: str) -> None:
    with pytest.raises(WhyZeroError, match=message):
        compact(mlp(), dead, torch.randn(9, 4))


@pytest.mark.parametrize("reference", [torch.randn(0, 4), [], [3]])
def test_a_reference_set_without_samples_is_refused(reference: object) -> None:
    with pytest.raises(WhyZeroError, match="reference must"):
        compact(mlp(), DEAD, reference)


def test_the_units_of_a_census_are_named_after_the_module_that_makes_them() -> None:
    def states(fired: list[int], source: str) -> UnitStates:
        zeros = np.zeros(len(fired))
        counts = np.array(fired)
        return UnitStates(samples=5, fired=counts, reached=counts, magnitude=zeros, source=source)

    census = {
        "relu": states([0, 1, 0], "first"),
        "relu#2": states([0, 0, 2], "first"),
        "relu#3": states([0, 0], "second"),
        "relu#4": states([0], ""),
    }
    assert dead_units(census) == {"first": [0], "second": [0, 1]}


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Sequential, dict[str, list[int]]]:
    """A network of random layers, and units that were killed in it."""
    torch.manual_seed(draw(st.integers(0, 2**31)))
    parts: list[nn.Module] = []
    dead: dict[str, list[int]] = {}
    channels, size = 2, 8

    def add(layer: nn.Module, units: int, norm: type[nn.Module]) -> None:
        path, last = str(len(parts)), layer
        parts.append(layer)
        if draw(st.booleans()):
            parts.append(last := norm(units))
            uneven(last)
        killed = draw(st.lists(st.integers(0, units - 1), unique=True, max_size=units - 1))
        kill(last, killed)
        dead[path] = sorted(killed)
        parts.append(draw(st.sampled_from([nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6()])))
        if draw(st.booleans()):
            parts.append(nn.Dropout())
        if draw(st.booleans()):
            parts.append(behind := norm(units))
            uneven(behind)

    for _ in range(draw(st.integers(0, 2))):
        units, kernel = draw(st.integers(1, 5)), draw(st.sampled_from([1, 3]))
        add(nn.Conv2d(channels, units, kernel, padding=kernel // 2), units, nn.BatchNorm2d)
        channels = units
        if draw(st.booleans()):
            parts.append(draw(st.sampled_from([nn.MaxPool2d(2), nn.AvgPool2d(2)])))
            size //= 2
    parts.append(nn.Flatten())
    features = channels * size * size
    for _ in range(draw(st.integers(0, 2))):
        units = draw(st.integers(1, 6))
        add(nn.Linear(features, units), units, nn.BatchNorm1d)
        features = units
    parts.append(nn.Linear(features, 3))
    return nn.Sequential(*parts), dead


@settings(max_examples=60, deadline=None)
@given(networks())
def test_whatever_goes_the_outputs_stay(drawn: tuple[nn.Sequential, dict[str, list[int]]]) -> None:
    network, dead = drawn
    x = images(12)
    found = compact(network, dead, x)
    assert same(found, network, x)
    for path, killed in dead.items():
        kept = [unit for each in found.kept if each.layer == path for unit in each.units]
        assert sorted([*found.removed.get(path, ()), *kept]) == killed
        layer = found.module.get_submodule(path)
        before = len(network.get_submodule(path).weight)
        assert len(layer.weight) == before - len(found.removed.get(path, ()))
    # What is kept is kept because of zero padding, or the constants would go into a bias.
    assert all("pads with 0" in each.reason for each in found.kept)
