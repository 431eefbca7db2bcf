"""Units are those of the weights that made the values, wherever these have been moved."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from why_zero import WatchedLayer, ZeroProbe, census

X = torch.randn(16, 6, generator=torch.Generator().manual_seed(1))
SEQUENCES = torch.randn(8, 5, 6, generator=torch.Generator().manual_seed(2))
IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(3))


class Calls(nn.Module):
    """A module whose forward is the function given."""

    def __init__(self, run: Callable[..., Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.run(self, *inputs)


def planted(part: nn.Linear | nn.Conv2d, *dead: int) -> nn.Module:
    """With these units closed, for every input."""
    with torch.no_grad():
        part.bias[list(dead)] = -1000.0
    return part


def fc(*dead: int) -> nn.Module:
    torch.manual_seed(0)
    return planted(nn.Linear(6, 12), *dead)


def conv(*dead: int) -> nn.Module:
    torch.manual_seed(0)
    return planted(nn.Conv2d(3, 8, 3), *dead)


# What happens between weights and ReLU, what goes in, and the axes that number the units then.
MOVED: dict[str, tuple[Callable[[Calls, Tensor], Tensor], Tensor, tuple[int, ...]]] = {
    "heads": (lambda s, x: s.fc(x).view(8, 5, 4, 3), SEQUENCES, (2, 3)),
    "heads first": (lambda s, x: s.fc(x).view(8, 5, 4, 3).transpose(1, 2), SEQUENCES, (1, 3)),
    "heads and back": (
        lambda s, x: s.fc(x).view(8, 5, 4, 3).transpose(1, 2).transpose(1, 2).reshape(8, 5, 12),
        SEQUENCES,
        (2,),
    ),
    "transposed": (lambda s, x: s.norm(s.fc(x).transpose(1, 2)), SEQUENCES, (1,)),
    "flat": (lambda s, x: s.fc(x).flatten(0, 1), SEQUENCES, (1,)),
    "all flat": (lambda s, x: s.fc(x).flatten(), X, (0,)),
    "unsqueezed": (lambda s, x: s.fc(x)[:, None], X, (2,)),
    "permuted": (lambda s, x: s.layer_norm(s.conv(x).permute(0, 2, 3, 1)), IMAGES, (3,)),
    "flat channels": (lambda s, x: s.conv(x).flatten(1), IMAGES, (1,)),
    "masked": (lambda s, x: s.fc(x)[x[..., 0] > 0], SEQUENCES, (1,)),
    "broadcast": (lambda s, x: s.fc(x)[:, None] + torch.zeros(16, 3, 12), X, (2,)),
    "matrix": (lambda s, x: s.weight @ x.T - 1e9 * s.closed, X, (0,)),
    "addmm": (lambda s, x: torch.addmm(s.fc.bias, x, s.weight.T), X, (1,)),
    "mean over positions": (lambda s, x: s.conv(x).mean((2, 3)), IMAGES, (1,)),
    "stacked samples": (lambda s, x: torch.cat([s.fc(x), s.fc(x)]), X, (1,)),
}


@pytest.mark.parametrize("name", sorted(MOVED))
def test_dead_units_are_found_under_their_own_numbers(name: str) -> None:
    run, x, axes = MOVED[name]
    module = Calls(
        lambda self, x: torch.relu(run(self, x)),
        fc=fc(2, 7),
        conv=conv(2, 7),
        norm=nn.BatchNorm1d(12),
        layer_norm=nn.LayerNorm(8),
    )
    module.weight = nn.Parameter(torch.randn(12, 6))
    module.closed = torch.zeros(12, 1).index_fill_(0, torch.tensor([2, 7]), 1.0)
    with ZeroProbe(module, strict=True) as probe:
        module(x)
    [layer] = probe.layers.values()
    silent = layer.unit_ids[layer.silent].tolist()
    # A norm opens what it has closed; the weights of addmm are others; a mean can close more.
    assert silent == [2, 7] or name in {"transposed", "permuted", "addmm", "mean over positions"}
    assert layer.unit_axes == axes
    assert not layer.axis_is_guess
    units = 8 if "conv" in run.__code__.co_names else 12
    assert layer.unit_ids.tolist() == list(range(units))


def test_a_census_finds_channels_that_a_permutation_has_moved_before_the_norm() -> None:
    module = Calls(
        lambda s, x: torch.relu(s.norm(s.conv(x).permute(0, 2, 3, 1))),
        conv=conv(),
        norm=nn.LayerNorm(8),
    )
    with torch.no_grad():
        module.norm.bias[[0, 3, 5]] = -1000.0
    states = census(module, [IMAGES])["relu"]
    assert states.dead.nonzero()[0].tolist() == [0, 3, 5]
    assert states.samples == 4 * 6 * 6


def squeezed(x: Tensor) -> dict[str, WatchedLayer]:
    module = Calls(lambda s, x: torch.relu(s.one(x).squeeze(-1)), one=nn.Linear(6, 1))
    with ZeroProbe(module, strict=True) as probe:
        module(x)
        module(x[:7])  # a last batch that is smaller
    return probe.layers


def test_a_sample_is_never_a_unit() -> None:
    layer = squeezed(X)["relu"]
    assert (layer.unit_axes, layer.causes.active.shape, layer.causes.pairs) == ((), (1,), 23)
    flat = nn.Sequential(nn.Linear(6, 1), nn.Flatten(0), nn.ReLU())
    with ZeroProbe(flat, strict=True) as probe:
        flat(X)
    assert probe.layers["2"].causes.active.shape == (1,)


def test_an_axis_that_no_weights_tell_is_a_guess_that_can_be_overridden() -> None:
    module = nn.Sequential(nn.ReLU())
    with ZeroProbe(module) as probe:
        module(SEQUENCES)
    assert (probe.layers["0"].unit_axes, probe.layers["0"].axis_is_guess) == ((2,), True)
    assert "axis 2?" in str(probe)
    for axis in (1, {"0": 1}):
        with ZeroProbe(module, unit_axis=axis) as probe:
            module(SEQUENCES)
        layer = probe.layers["0"]
        assert (layer.unit_axes, layer.axis_is_guess) == ((1,), False)
        expected = (SEQUENCES <= 0).sum((0, 2))
        assert layer.causes.inactive.tolist() == expected.tolist()


def test_a_part_of_the_units_keeps_their_numbers() -> None:
    module = Calls(lambda s, x: F.dropout(torch.relu(s.fc(x).chunk(3, -1)[1]), 0.5), fc=fc(5))
    with ZeroProbe(module, strict=True) as probe:
        module(X)
    layer = probe.layers["relu"]
    assert layer.unit_ids.tolist() == [4, 5, 6, 7]
    assert layer.silent.tolist() == [False, True, False, False]


def test_lengths_may_vary_from_pass_to_pass() -> None:
    module = Calls(
        lambda s, x: F.dropout((s.fc(x) @ s.fc(x).mT).softmax(-1), 0.1) @ torch.relu(s.fc(x)),
        fc=fc(),
    )
    with ZeroProbe(module, strict=True) as probe:
        for length in (5, 3):
            module(SEQUENCES[:, :length]).sum().backward()
    assert probe.layers["relu"].causes.active.shape == (12,)
    assert probe.layers["dropout"].causes.pairs == 8 * (25 + 9)
    assert "number of units changes" in probe.notes["dropout"]


def test_names_do_not_depend_on_which_pass_came_first() -> None:
    def forward(self: Calls, x: Tensor, which: str) -> Tensor:
        return sum(torch.relu(getattr(self, part)(x)) for part in which)

    module = Calls(forward, a=fc(), b=fc())
    for order in (("ab", "b"), ("b", "ab"), ("ba", "b")):
        with ZeroProbe(module, strict=True) as probe:
            for which in order:
                module(X, which)
        assert {name: layer.source for name, layer in probe.layers.items()} == {
            "relu": "a",
            "relu#2": "b",
        }


def test_a_sum_has_the_units_of_the_summand_that_has_any() -> None:
    module = Calls(lambda s, x: torch.relu(torch.tensor(0.5) + s.a(x)), a=fc())
    with ZeroProbe(module, strict=True) as probe:
        module(X)
    assert probe.layers["relu"].source == "a"


def test_states_have_every_name_that_causes_have() -> None:
    module = nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.5), nn.Flatten()),
        *(nn.Linear(72, 6), nn.Dropout(0.2), nn.ReLU(), nn.Linear(6, 5), nn.GELU()),
        *(nn.Dropout(0.1), nn.Linear(5, 4), nn.Dropout(0.3)),
    )
    with ZeroProbe(module, strict=True) as probe:
        module(IMAGES)
    states = probe.census([IMAGES])
    assert list(states) == list(probe.causes()) == ["1", "3", "7", "9", "12"]


@pytest.mark.parametrize("power", [1, 2])
def test_a_loss_inside_the_module_is_no_layer(power: int) -> None:
    def forward(self: Calls, x: Tensor) -> Tensor:
        return (torch.clamp(1 - self.one(torch.relu(self.fc(x))), min=0) ** power).mean()

    module = Calls(forward, fc=fc(), one=nn.Linear(12, 1))
    with ZeroProbe(module, strict=True) as probe:
        module(X)
    assert list(probe.layers) == ["relu"]
    assert "as in a loss" in str(probe.notes)


class TanhGELU(nn.Module):
    """The approximation by tanh, written out."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.tanh(0.79788456 * (x + 0.044715 * x**3)))


def test_the_arithmetic_of_an_activation_is_not_taken_for_another_one() -> None:
    module = nn.Sequential(nn.Linear(6, 12), TanhGELU(), nn.Dropout(0.5))
    with ZeroProbe(module, strict=True) as probe:
        module(X)
    [(name, layer)] = probe.layers.items()
    assert (name, layer.activation, layer.drop_rate) == ("1", "TanhGELU", 0.5)


def test_dropped_weights_are_no_activations() -> None:
    module = Calls(lambda s, x: F.linear(x, F.dropout(s.fc.weight), s.fc.bias), fc=fc())
    with ZeroProbe(module, strict=True) as probe:
        module(X)
    assert (probe.layers, probe.unexplained) == ({}, [])
    assert "DropConnect" in probe.notes["dropout"]
