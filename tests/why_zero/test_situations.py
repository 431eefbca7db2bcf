"""Every way in which people write ReLUs and dropouts, against counting by hand."""

import gc
import itertools
import subprocess
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from why_zero import WatchedLayer, ZeroProbe
from why_zero.errors import WhyZeroError

X = torch.randn(12, 5, generator=torch.Generator().manual_seed(1))
IMAGES = torch.randn(6, 2, 8, 8, generator=torch.Generator().manual_seed(2))


def linear(inputs: int, units: int, seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(inputs, units)


def convolution(seed: int = 0) -> nn.Conv2d:
    torch.manual_seed(seed)
    return nn.Conv2d(2, 3, 3)


def masks(*draws: tuple[Sequence[int], float], seed: int = 9) -> list[Tensor]:
    """What dropouts of these sizes and rates keep, drawn one after the other from the seed."""
    torch.manual_seed(seed)
    return [F.dropout(torch.ones(*size), rate) != 0 for size, rate in draws]


def by_hand(z: Tensor, keep: Tensor | None = None, *, axis: int = 1) -> list[list[int]]:
    """Active, dropped, inactive and both of every unit, one pair after the other."""
    z = z.detach()
    counts = [[0] * z.shape[axis] for _ in range(4)]
    for place in itertools.product(*map(range, z.shape)):
        is_kept = keep is None or bool(keep[place])
        cause = {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}
        counts[cause[float(z[place]) > 0, is_kept]][place[axis]] += 1
    return counts


def found(layer: WatchedLayer) -> list[list[int]]:
    causes = layer.causes
    return [
        counts.tolist() for counts in (causes.active, causes.dropped, causes.inactive, causes.both)
    ]


def watch(
    run: nn.Module, *inputs: Tensor, seed: int = 9, passes: int = 1
) -> dict[str, WatchedLayer]:
    torch.manual_seed(seed)
    with ZeroProbe(run, strict=True) as probe:
        for _ in range(passes):
            run(*inputs)
    return probe.layers


class Calls(nn.Module):
    """A module whose forward is the function given."""

    def __init__(self, run: Callable[..., Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.run(self, *inputs)


def test_the_layers_of_a_sequential_are_counted_by_unit() -> None:
    first, second = linear(5, 7), linear(7, 4, seed=1)
    layers = watch(
        nn.Sequential(first, nn.ReLU(), nn.Dropout(0.5), second, nn.ReLU(), nn.Dropout(0.25)), X
    )
    one, other = masks(((12, 7), 0.5), ((12, 4), 0.25))
    z1 = first(X)
    z2 = second(z1.relu() * one / 0.5)
    assert found(layers["1"]) == by_hand(z1, one)
    assert found(layers["4"]) == by_hand(z2, other)
    assert [layers["1"].drop_rate, layers["4"].drop_rate] == [0.5, 0.25]
    assert [layers["1"].source, layers["4"].source] == ["0", "3"]


def test_one_relu_module_used_several_times_is_a_layer_each_time() -> None:
    def forward(self: Calls, x: Tensor) -> Tensor:
        x = self.dropout(self.relu(self.first(x)))
        return self.dropout(self.relu(self.second(x)))

    first, second = linear(5, 7), linear(7, 4, seed=1)
    module = Calls(forward, first=first, second=second, relu=nn.ReLU(), dropout=nn.Dropout(0.5))
    layers = watch(module, X)
    one, other = masks(((12, 7), 0.5), ((12, 4), 0.5))
    assert list(layers) == ["relu", "relu#2"]
    assert [layer.source for layer in layers.values()] == ["first", "second"]
    assert found(layers["relu"]) == by_hand(first(X), one)
    assert found(layers["relu#2"]) == by_hand(second(first(X).relu() * one / 0.5), other)


def test_a_shared_relu_keeps_its_layers_apart_where_a_pass_leaves_one_out() -> None:
    def forward(self: Calls, x: Tensor) -> Tensor:
        x = self.relu(self.first(x))
        x = self.relu(self.second(x)) if self.is_deep else x
        return self.relu(self.third(x))

    parts = {"first": linear(5, 5), "second": linear(5, 5, 1), "third": linear(5, 5, 2)}
    module = Calls(forward, relu=nn.ReLU(), **parts)
    with ZeroProbe(module) as probe:
        for module.is_deep in (True, False, True):
            module(X)
    assert {name: layer.passes for name, layer in probe.layers.items()} == {
        "relu": 3,
        "relu#2": 2,
        "relu#3": 3,
    }
    assert probe.layers["relu#3"].source == "third"


RELUS: dict[str, Callable[[Tensor], Tensor]] = {
    "F.relu": F.relu,
    "F.relu in place": lambda z: F.relu(z, inplace=True),
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "relu()": lambda z: z.relu(),
    "relu_()": lambda z: z.relu_(),
    "relu by name": lambda z: F.relu(input=z),
    "F.relu6": F.relu6,
    "clamp(min=0)": lambda z: z.clamp(min=0),
    "clamp_(0, 6)": lambda z: z.clamp_(0, 6),
    "torch.clamp_min": lambda z: torch.clamp_min(z, 0.0),
    "F.threshold": lambda z: F.threshold(z, 0, 0),
    "F.hardtanh to its own 1": lambda z: F.hardtanh(z, 0.0),
    "F.hardtanh from 0": lambda z: F.hardtanh(z, 0.0, 6.0),
}


@pytest.mark.parametrize("name", sorted(RELUS))
def test_every_spelling_of_relu_is_one_and_dropout_belongs_to_it(name: str) -> None:
    part = linear(5, 7)
    module = Calls(lambda self, x: F.dropout(RELUS[name](self.part(x)), 0.3), part=part)
    [(layer, seen)] = watch(module, X).items()
    [keep] = masks(((12, 7), 0.3))
    assert layer in {"relu", "relu6", "hardtanh", "threshold"}
    assert seen.has_hard_zeros
    assert found(seen) == by_hand(part(X), keep)


@pytest.mark.parametrize(
    "clamp", [lambda z: z.clamp(min=-1), lambda z: z.clamp(max=0), lambda z: z.clamp(0, 0)]
)
def test_other_clamps_are_no_relu(clamp: Callable[[Tensor], Tensor]) -> None:
    layers = watch(Calls(lambda self, x: F.dropout(clamp(self.part(x)), 0.3), part=linear(5, 7)), X)
    assert list(layers) == ["dropout"]
    assert not layers["dropout"].has_hard_zeros


DROPOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "F.dropout": lambda h: F.dropout(h, 0.4),
    "F.dropout by name": lambda h: F.dropout(input=h, p=0.4, training=True),
    "torch.dropout": lambda h: torch.dropout(h, 0.4, True),
    "torch.dropout by name": lambda h: torch.dropout(h, p=0.4, train=True),
    "F.dropout in place": lambda h: F.dropout(h, 0.4, inplace=True),
    "torch.dropout_": lambda h: torch.dropout_(h, 0.4, True),
}


@pytest.mark.parametrize("name", sorted(DROPOUTS))
def test_every_spelling_of_dropout_is_one(name: str) -> None:
    part = linear(5, 7)
    with torch.no_grad():  # torch lets nobody overwrite a ReLU's output that a gradient needs
        layers = watch(Calls(lambda self, x: DROPOUTS[name](self.part(x).relu()), part=part), X)
    [keep] = masks(((12, 7), 0.4))
    assert found(layers["relu"]) == by_hand(part(X), keep)


def test_dropout_before_relu_is_the_layer_that_it_is_after_relu() -> None:
    part = linear(5, 7)
    after = watch(nn.Sequential(part, nn.ReLU(), nn.Dropout(0.3)), X)
    before = watch(nn.Sequential(part, nn.Dropout(0.3), nn.ReLU()), X)
    in_place = watch(nn.Sequential(part, nn.Dropout(0.3, True), nn.ReLU(True)), X)
    [keep] = masks(((12, 7), 0.3))
    assert found(after["1"]) == by_hand(part(X), keep)
    assert found(before["2"]) == found(after["1"])
    assert found(in_place["2"]) == found(after["1"])
    assert list(before) == ["2"]


def test_a_relu_on_both_sides_of_a_dropout_is_one_layer() -> None:
    part = linear(5, 7)
    layers = watch(nn.Sequential(part, nn.ReLU(), nn.Dropout(0.3), nn.ReLU()), X)
    assert list(layers) == ["1"]
    assert found(layers["1"]) == by_hand(part(X), masks(((12, 7), 0.3))[0])


def test_a_relu_that_sees_a_part_of_a_dropout_is_a_layer_with_that_part_s_causes() -> None:
    part = linear(5, 7)
    module = Calls(lambda self, x: F.relu(F.dropout(self.part(x))[:, :3]), part=part)
    layers = watch(module, X)
    [keep] = masks(((12, 7), 0.5))
    assert found(layers["relu"]) == by_hand(part(X)[:, :3], keep[:, :3])
    assert layers["dropout"].causes.dropped.tolist() == (~keep).sum(0).tolist()


def test_dropout_without_relu_leaves_units_active_or_dropped_alone() -> None:
    part = linear(5, 7)
    layers = watch(nn.Sequential(part, nn.Dropout(0.3)), X)
    [keep] = masks(((12, 7), 0.3))
    kept = keep.sum(0).tolist()
    assert found(layers["1"]) == [kept, [12 - k for k in kept], [0] * 7, [0] * 7]
    assert not layers["1"].has_hard_zeros
    assert layers["1"].activation is None


def test_zeros_that_came_into_a_dropout_are_nobody_s_and_are_counted_apart() -> None:
    x = X.clone()
    x[:, 0] = 0.0
    layers = watch(nn.Sequential(nn.Dropout(0.3), linear(5, 4)), x)
    [keep] = masks(((12, 5), 0.3))
    causes = layers["0"].causes
    assert causes.unexplained.tolist() == [int(keep[:, 0].sum()), 0, 0, 0, 0]
    # Either would be enough for a zero that is dropped.
    assert causes.both.tolist() == [int((~keep[:, 0]).sum()), 0, 0, 0, 0]
    assert causes.dropped.tolist() == [0, *(~keep[:, 1:]).sum(0).tolist()]
    assert causes.zeros == 12 + int((~keep[:, 1:]).sum())


def test_a_drop_rate_of_zero_drops_nothing_and_draws_nothing() -> None:
    part = linear(5, 7)
    torch.manual_seed(9)
    state = torch.get_rng_state()
    layers = watch(nn.Sequential(part, nn.ReLU(), nn.Dropout(0.0), nn.Dropout(0.0)), X)
    assert torch.equal(torch.get_rng_state(), state)
    assert found(layers["1"]) == by_hand(part(X))
    assert list(layers) == ["1"]
    assert list(watch(nn.Sequential(part, nn.Dropout(0.0), nn.ReLU()), X)) == ["2"]


def test_a_drop_rate_of_one_drops_everything() -> None:
    part = linear(5, 7)
    layers = watch(nn.Sequential(part, nn.ReLU(), nn.Dropout(1.0)), X)
    assert found(layers["1"]) == by_hand(part(X), torch.zeros(12, 7))


SMOOTH = [
    *(nn.LeakyReLU(), nn.LeakyReLU(inplace=True), nn.GELU(), nn.SiLU(), nn.ELU(), nn.SELU()),
    *(nn.CELU(), nn.Mish(), nn.Softplus(), nn.Tanh(), nn.Sigmoid(), nn.PReLU(), nn.RReLU()),
    *(nn.Hardswish(), nn.Hardtanh()),
]


@pytest.mark.parametrize("activation", SMOOTH, ids=lambda part: str(part).split("(")[0])
def test_units_of_other_activations_are_never_inactive_only_dropped(activation: nn.Module) -> None:
    part = linear(5, 7)
    torch.manual_seed(9)
    draws_first = isinstance(activation, nn.RReLU)
    layers = watch(nn.Sequential(part, activation, nn.Dropout(0.3)), X)
    assert list(layers) == ["1"]
    active, dropped, inactive, both = found(layers["1"])
    if not draws_first:
        [keep] = masks(((12, 7), 0.3))
        assert dropped == (~keep).sum(0).tolist()
    assert inactive == both == [0] * 7
    assert [a + d for a, d in zip(active, dropped, strict=True)] == [12] * 7
    assert not layers["1"].has_hard_zeros
    assert layers["1"].activation not in {None, "relu"}


def test_zeros_that_a_smooth_activation_rounds_to_stand_apart() -> None:
    layers = watch(nn.Sequential(nn.GELU()), torch.tensor([[-200.0, 1.0], [-300.0, -1.0]]))
    assert found(layers["0"]) == [[0, 2], [0, 0], [0, 0], [0, 0]]
    assert layers["0"].causes.unexplained.tolist() == [2, 0]
    assert layers["0"].causes.zero_share == 0.5


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_unit_of_a_convolution_is_a_channel_and_every_position_a_pair(
    memory_format: torch.memory_format,
) -> None:
    part = convolution()
    x = IMAGES.to(memory_format=memory_format)
    layers = watch(nn.Sequential(part, nn.ReLU()), x)
    assert found(layers["1"]) == by_hand(part(IMAGES))
    assert layers["1"].causes.pairs == 6 * 3 * 6 * 6


def test_dropout_after_flatten_still_belongs_to_the_channels_that_it_drops() -> None:
    part = convolution()
    layers = watch(nn.Sequential(part, nn.ReLU(), nn.Flatten(), nn.Dropout(0.3)), IMAGES)
    [keep] = masks(((6, 108), 0.3))
    assert found(layers["1"]) == by_hand(part(IMAGES), keep.reshape(6, 3, 6, 6))


def test_a_flatten_that_copies_hides_nothing() -> None:
    part = convolution().to(memory_format=torch.channels_last)
    x = IMAGES.to(memory_format=torch.channels_last)
    assert not part(x).is_contiguous()
    layers = watch(nn.Sequential(part, nn.ReLU(), nn.Flatten(), nn.Dropout(0.3)), x)
    [keep] = masks(((6, 108), 0.3))
    assert list(layers) == ["1"]
    assert found(layers["1"]) == by_hand(part(x), keep.reshape(6, 3, 6, 6))


def test_dropout_of_a_permuted_view_is_laid_over_the_right_units() -> None:
    part = convolution()
    module = Calls(
        lambda self, x: F.dropout(self.part(x).relu().permute(3, 0, 2, 1).contiguous(), 0.3),
        part=part,
    )
    view = Calls(lambda self, x: F.dropout(self.part(x).relu().mT[1:, :2], 0.3), part=part)
    torch.manual_seed(9)
    z = part(IMAGES).detach()
    [keep] = masks(((6, 6, 6, 3), 0.3))
    # contiguous() copies in another order than the layer's, and is mapped back by its view.
    assert found(watch(module, IMAGES)["relu"]) == by_hand(z, keep.permute(1, 3, 2, 0))
    torch.manual_seed(9)
    drawn = F.dropout(torch.ones_like(z).mT[1:, :2], 0.3) != 0
    layers = watch(view, IMAGES)
    assert found(layers["relu"]) == by_hand(z)
    # A part that is dropped is a layer of its own, whose units are those of the whole.
    assert found(layers["dropout"]) == by_hand(z.mT[1:, :2], drawn)


def test_two_dropouts_of_one_relu_are_two_layers() -> None:
    def forward(self: Calls, x: Tensor) -> Tensor:
        h = self.part(x).relu()
        return F.dropout(h, 0.3) + F.dropout(h, 0.6)

    part = linear(5, 7)
    layers = watch(Calls(forward, part=part), X)
    one, other = masks(((12, 7), 0.3), ((12, 7), 0.6))
    assert found(layers["relu"]) == by_hand(part(X), one)
    assert found(layers["dropout"]) == by_hand(part(X), other)


@pytest.mark.parametrize("inplace", [False, True])
def test_channel_dropout_drops_whole_channels(*, inplace: bool) -> None:
    part = convolution()
    with torch.no_grad():
        layers = watch(nn.Sequential(part, nn.ReLU(), nn.Dropout2d(0.5, inplace)), IMAGES)
    torch.manual_seed(9)
    keep = F.dropout2d(torch.ones(6, 3, 6, 6), 0.5) != 0
    assert found(layers["1"]) == by_hand(part(IMAGES), keep)
    assert set(layers["1"].causes.dropped + layers["1"].causes.both) <= {36 * k for k in range(7)}


@pytest.mark.parametrize(
    ("part", "dropout", "size"),
    [
        (nn.Conv1d(2, 3, 3), nn.Dropout1d(0.5), (6, 2, 9)),
        (nn.Conv1d(2, 3, 3), nn.Dropout1d(0.5), (2, 9)),
        (nn.Conv3d(2, 3, 3), nn.Dropout3d(0.5), (4, 2, 5, 5, 5)),
        (nn.Conv3d(2, 3, 3), nn.Dropout3d(0.5), (2, 5, 5, 5)),
        (nn.ConvTranspose2d(2, 3, 3), nn.Dropout2d(0.5), (4, 2, 5, 5)),
    ],
    ids=["1d", "1d without batch", "3d", "3d without batch", "transposed"],
)
def test_channels_of_one_and_three_dimensions_and_without_a_batch_axis(
    part: nn.Module, dropout: nn.Module, size: tuple[int, ...]
) -> None:
    x = torch.randn(*size, generator=torch.Generator().manual_seed(3))
    layers = watch(nn.Sequential(part, nn.ReLU(), dropout), x)
    z = part(x).detach()
    torch.manual_seed(9)
    keep = dropout(torch.ones_like(z)) != 0
    axis = z.dim() - len(part.kernel_size) - 1
    assert z.shape[axis] == 3
    assert found(layers["1"]) == by_hand(z, keep, axis=axis)


def test_batch_norm_before_relu_keeps_the_channels() -> None:
    part, norm = convolution(), nn.BatchNorm2d(3)
    layers = watch(nn.Sequential(part, norm, nn.ReLU()), IMAGES)
    assert found(layers["2"]) == by_hand(nn.BatchNorm2d(3)(part(IMAGES)))
    assert layers["2"].source == "0"


def test_batch_norm_between_relu_and_dropout_makes_them_two_layers() -> None:
    part = linear(5, 7)
    layers = watch(nn.Sequential(part, nn.ReLU(), nn.BatchNorm1d(7), nn.Dropout(0.3)), X)
    [keep] = masks(((12, 7), 0.3))
    assert found(layers["1"]) == by_hand(part(X))
    assert layers["3"].causes.dropped.tolist() == (~keep).sum(0).tolist()
    assert not layers["3"].has_hard_zeros


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1)])
def test_a_pooled_relu_is_closed_where_its_whole_window_is(pool: nn.Module) -> None:
    part = convolution()
    part.bias.data -= 1  # so that whole windows are closed
    layers = watch(nn.Sequential(part, nn.ReLU(), pool, nn.Dropout(0.5)), IMAGES)
    z = part(IMAGES).detach()
    window = F.max_pool2d(z, 6 if isinstance(pool, nn.AdaptiveAvgPool2d) else 2)
    [keep] = masks((window.shape, 0.5))
    assert found(layers["1"]) == by_hand(z)
    assert found(layers["3"]) == by_hand(window, keep)
    assert layers["3"].causes.inactive.sum() > 0 or isinstance(pool, nn.AdaptiveAvgPool2d)


def test_concatenated_relus_are_closed_where_each_is() -> None:
    def forward(self: Calls, x: Tensor) -> Tensor:
        return F.dropout(torch.cat([self.one(x).relu(), self.other(x).relu()], 1), 0.3)

    one, other = linear(5, 3), linear(5, 4, seed=1)
    layers = watch(Calls(forward, one=one, other=other), X)
    [keep] = masks(((12, 7), 0.3))
    assert found(layers["dropout"]) == by_hand(torch.cat([one(X), other(X)], 1), keep)


def test_zeros_that_arithmetic_in_place_leaves_are_still_the_relu_s() -> None:
    def forward(self: Calls, x: Tensor) -> Tensor:
        h = self.part(x).relu()
        return F.dropout(h.mul_(-1), 0.3)

    part = linear(5, 7)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            layers = watch(Calls(forward, part=part), X)
        [keep] = masks(((12, 7), 0.3))
        assert found(layers["dropout"]) == by_hand(part(X), keep)
        assert found(layers["relu"]) == by_hand(part(X))


def test_memory_that_was_overwritten_is_no_longer_the_relu_s() -> None:
    def forward(self: Calls, x: Tensor) -> Tensor:
        h = self.part(x).relu()
        h[:, 2] = 0.0
        h[:, 3] = 1.0
        return F.dropout(h, 0.3)

    with torch.no_grad():
        causes = watch(Calls(forward, part=linear(5, 7)), X)["dropout"].causes
    [keep] = masks(((12, 7), 0.3))
    kept = keep.sum(0).tolist()
    assert causes.unexplained.tolist() == [0, 0, kept[2], 0, 0, 0, 0]
    assert (causes.active[3], causes.inactive[3]) == (kept[3], 0)


def test_freed_memory_is_not_taken_for_the_relu_s_output() -> None:
    def forward(self: Calls, x: Tensor) -> Tensor:
        for _ in range(200):
            self.part(x).relu()
            h = F.dropout(torch.rand(12, 7), 0.3)
        return h

    with torch.no_grad():
        layers = watch(Calls(forward, part=linear(5, 7)), X)
    dropouts = [layer for layer in layers.values() if layer.activation is None]
    assert len(dropouts) == 200
    assert not any(layer.has_hard_zeros for layer in dropouts)


def test_features_of_a_sequence_are_units_and_every_step_a_pair() -> None:
    part = linear(5, 7)
    x = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(4))
    layers = watch(nn.Sequential(part, nn.ReLU(), nn.Dropout(0.3)), x)
    [keep] = masks(((3, 4, 7), 0.3))
    assert found(layers["1"]) == by_hand(part(x), keep, axis=2)


def test_a_single_sample_without_a_batch_axis_is_one_pair_a_unit() -> None:
    part = linear(5, 7)
    layers = watch(nn.Sequential(part, nn.ReLU()), X[0])
    assert found(layers["1"]) == by_hand(part(X[0]), axis=0)


def test_a_residual_sum_is_the_next_relu_s_pre_activation() -> None:
    def forward(self: Calls, x: Tensor) -> Tensor:
        h = F.dropout(self.part(x).relu(), 0.3)
        h += x
        return F.relu(h)

    part = linear(5, 5)
    layers = watch(Calls(forward, part=part), X)
    [keep] = masks(((12, 5), 0.3))
    z = part(X).relu() * (keep / (1 - 0.3)) + X
    assert found(layers["relu"]) == by_hand(part(X), keep)
    assert found(layers["relu#2"]) == by_hand(z)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_is_watched_as_it_computes(dtype: torch.dtype) -> None:
    part = linear(5, 7)
    with torch.autocast("cpu", dtype):
        layers = watch(nn.Sequential(part, nn.ReLU(), nn.Dropout(0.3)), X)
        z = part(X)
        torch.manual_seed(9)
        keep = F.dropout(torch.ones_like(z), 0.3) != 0
    assert z.dtype == dtype
    assert found(layers["1"]) == by_hand(z, keep)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_pass_without_gradients_is_watched_too_and_mixes_with_others(
    context: Callable[[], torch.no_grad],
) -> None:
    module = nn.Sequential(linear(5, 7), nn.ReLU(), nn.Dropout(0.3))
    with ZeroProbe(module) as probe:
        with context():
            module(X)
        module(X).sum().backward()
        with context():
            module(X)
    assert probe.layers["1"].passes == 3
    assert probe.layers["1"].causes.pairs == 3 * 12 * 7


def test_evaluation_passes_are_counted_apart_and_drop_nothing() -> None:
    part = linear(5, 7)
    module = nn.Sequential(part, nn.ReLU(), nn.Dropout(0.3))
    with ZeroProbe(module) as probe:
        module(X)
        module.eval()
        module(X)
        module(-X)
    assert probe.layers["1"].passes == 1
    assert probe.evaluation_layers["1"].passes == 2
    assert found(probe.evaluation_layers["1"]) == by_hand(part(torch.cat([X, -X])))
    assert probe.causes()["1"].pairs == 84


def test_a_probe_that_has_seen_evaluation_alone_reports_evaluation() -> None:
    with ZeroProbe(module := nn.Sequential(linear(5, 7), nn.ReLU()).eval()) as probe:
        module(X)
    assert str(probe).splitlines()[1].split()[:2] == ["1", "relu"]


def test_one_of_every_n_passes_is_watched_and_passes_that_take_turns_are_all_seen() -> None:
    module = nn.Sequential(linear(5, 7), nn.ReLU())
    other = nn.Sequential(linear(5, 7), nn.ReLU())
    with ZeroProbe(module, every=4) as probe:
        for _ in range(100):
            module(X)
            module(X[:1])
    assert probe.layers["1"].passes == 50
    # A pass of 12 samples and one of a single sample: both kinds are among them.
    assert 50 < probe.causes()["1"].pairs / 7 < 12 * 50
    with ZeroProbe(other, every=1000) as probe:
        other(X)
    assert probe.layers["1"].passes == 1  # the first is always seen


def test_several_passes_of_one_step_are_all_counted() -> None:
    part = linear(5, 7)
    layers = watch(nn.Sequential(part, nn.ReLU(), nn.Dropout(0.5)), X, passes=3)
    keeps = masks(*[((12, 7), 0.5)] * 3)
    assert found(layers["1"]) == by_hand(torch.cat([part(X)] * 3), torch.cat(keeps))


def test_a_module_that_a_pass_does_not_use_is_not_counted_in_it() -> None:
    def forward(self: Calls, x: Tensor) -> Tensor:
        return self.relu(self.part(x)) if self.is_used else x

    module = Calls(forward, part=linear(5, 7), relu=nn.ReLU(), idle=nn.ReLU())
    with ZeroProbe(module) as probe:
        for module.is_used in (True, False, True):
            module(X)
    assert {name: layer.passes for name, layer in probe.layers.items()} == {"relu": 2}


def test_a_shared_block_is_a_layer_at_each_of_its_calls() -> None:
    block = nn.Sequential(linear(5, 5), nn.ReLU(), nn.Dropout(0.5))
    layers = watch(nn.Sequential(block, block), X)
    one, other = masks(((12, 5), 0.5), ((12, 5), 0.5))
    z1 = block[0](X)
    assert list(layers) == ["0.1", "0.1#2"]
    assert found(layers["0.1#2"]) == by_hand(block[0](z1.relu() * one / 0.5), other)


def test_nested_probes_see_the_same() -> None:
    part = linear(5, 7)
    inner = nn.Sequential(part, nn.ReLU(), nn.Dropout(0.5))
    module = nn.Sequential(inner, nn.Linear(7, 3))
    torch.manual_seed(9)
    with ZeroProbe(module) as outer, ZeroProbe(module) as same, ZeroProbe(inner) as partial:
        module(X).sum().backward()
    [keep] = masks(((12, 7), 0.5))
    for layer in (outer.layers["0.1"], same.layers["0.1"], partial.layers["1"]):
        assert found(layer) == by_hand(part(X), keep)


def test_a_module_that_calls_itself_makes_one_pass() -> None:
    def forward(self: Calls, x: Tensor) -> Tensor:
        if self.depth:
            self.depth -= 1
            return self(self.relu(self.part(x)))
        return x

    module = Calls(forward, part=linear(5, 5), relu=nn.ReLU())
    module.depth = 2
    assert list(watch(module, X)) == ["relu", "relu#2"]


def test_a_layer_whose_units_change_is_counted_as_one_unit() -> None:
    module = Calls(lambda self, x: self.relu(x), relu=nn.ReLU())
    with ZeroProbe(module, strict=True) as probe:
        module(X)
        module(X[:, :3])
    closed = int((X <= 0).sum() + (X[:, :3] <= 0).sum())
    assert found(probe.layers["relu"]) == [[96 - closed], [0], [closed], [0]]
    assert "number of units changes" in probe.notes["relu"]


def test_a_drop_rate_that_changes_in_training_is_tested_at_each_of_its_values() -> None:
    module = nn.Sequential(linear(5, 50), nn.ReLU(), nn.Dropout(0.9))
    with ZeroProbe(module) as probe:
        for rate in (0.9, 0.5, 0.1, 0.0):
            module[2].p = rate
            for _ in range(20):
                module(X)
    assert probe.layers["1"].drop_rate == 0.0
    assert probe.layers["1"].passes == 80


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_pass_that_is_not_finite_is_set_aside(value: float) -> None:
    module = nn.Sequential(linear(5, 7), nn.ReLU(), nn.Dropout(0.5), linear(7, 4), nn.ReLU())
    broken = X.clone()
    broken[0] = value
    with ZeroProbe(module) as probe:
        module(X)
        module(broken)
    assert probe.layers["1"].passes == 1
    assert probe.set_aside == 1


def test_what_cannot_be_explained_is_noted() -> None:
    attention = nn.MultiheadAttention(4, 2, dropout=0.5)

    def forward(self: Calls, x: Tensor) -> Tensor:
        x, _ = self.attention(x, x, x)
        return self.alpha(self.recurrent(x)[0])

    module = Calls(forward, attention=attention, alpha=nn.AlphaDropout(0.2), recurrent=nn.GRU(4, 4))
    with ZeroProbe(module) as probe:
        module(torch.randn(3, 2, 4))
        module.eval()
    expected = {"attention.multi_head_attention_forward", "recurrent", "alpha"}
    assert set(probe.notes) == expected
    assert "other than zero" in probe.notes["alpha"]
    assert probe.layers == {}


@pytest.mark.parametrize("values", [X.to_sparse(), X.to("meta"), X.to_mkldnn()])
def test_a_tensor_whose_values_cannot_be_read_is_noted_and_no_layer(values: Tensor) -> None:
    with ZeroProbe(module := nn.ReLU(), strict=True) as probe:
        module(values)
    assert probe.layers == {}
    assert "no values that can be read" in next(iter(probe.notes.values()))


def test_transforms_of_torch_func_are_noted_and_functional_calls_watched() -> None:
    module = nn.Sequential(linear(5, 7), nn.ReLU(), nn.Dropout(0.5))
    with ZeroProbe(module) as probe:
        torch.func.functional_call(module, dict(module.named_parameters()), (X,))
        torch.func.vmap(module, randomness="different")(X.view(3, 4, 5))
    assert probe.layers["1"].passes == 1
    assert set(probe.notes) == {"1", "2"}


def test_memory_does_not_grow_with_the_samples() -> None:
    module = nn.Sequential(linear(5, 7), nn.ReLU(), nn.Dropout(0.5), linear(7, 4), nn.Dropout())
    seen: list[int] = []
    with ZeroProbe(module) as probe:
        for passes in (1, 10, 20):
            for _ in range(passes):
                module(X.repeat(passes, 1)).sum().backward()
            module(X)  # a pass without a backward pass: its graph and its masks go with it
            seen.append(_bytes_of(probe))
    assert 0 < seen[0] == seen[1] == seen[2]


def _bytes_of(root: object) -> int:
    """Bytes of all arrays and tensors that the probe's own objects hold."""
    total, waiting, known = 0, [root], {id(root)}
    while waiting:
        item = waiting.pop()
        if isinstance(item, np.ndarray | Tensor):
            total += item.nbytes
        is_own = type(item).__module__.startswith("why_zero.")
        if is_own or isinstance(item, dict | list | tuple | set):
            for other in gc.get_referents(item):
                if id(other) not in known:
                    known.add(id(other))
                    waiting.append(other)
    return total


COMPILED = """
import torch, torch.nn.functional as F
from torch import nn
from why_zero import ZeroProbe

torch.manual_seed(0)
X = torch.randn(12, 5)
options = {"backend": "eager", "fullgraph": True}
module = nn.Sequential(nn.Linear(5, 7), nn.ReLU())
compiled = torch.compile(module, **options)
for probed in (compiled, module):
    with ZeroProbe(probed, strict=True) as probe:
        compiled(X)
        torch.compile(module, **options)(X)
        torch.compile(lambda x: module(x).sum(), **options)(X)
    print("the module" in probe.notes, "none: call the module itself" in probe.report())

class Parts(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = torch.compile(lambda z: F.dropout(F.relu(z)), **options)
        self.first = nn.Linear(5, 7)
        self.inner = torch.compile(nn.Sequential(nn.Linear(7, 7), nn.ReLU()), **options)

    def forward(self, x):
        return self.inner(self.act(self.first(x)))

parts = Parts()
torch.manual_seed(1)
alone = parts(X)
with ZeroProbe(parts, strict=True) as probe:
    torch.manual_seed(1)
    print(torch.equal(parts(X), alone))
print("compiled" in probe.notes["inner"])
[left] = probe.unexplained
print(left.seen_at, left.zeros == int((alone == 0).sum()))
"""


@pytest.mark.slow
def test_compiled_code_runs_compiled_and_what_it_hides_is_said() -> None:
    # In a process without the tests' own type checks, which torch.compile would have to read.
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COMPILED], capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines() == [
        "True True",
        "False True",
        "True",
        "True",
        "the output True",
    ]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is (deprecated|not supported)")
def test_a_scripted_module_is_noted() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    with ZeroProbe(scripted, strict=True) as probe:
        scripted(torch.ones(1, 2))
    assert "scripted" in probe.notes["the module"]


def test_wrong_arguments_are_refused_in_words() -> None:
    for every in (0, -1, True):
        with pytest.raises(WhyZeroError, match="every must be a positive integer"):
            ZeroProbe(nn.ReLU(), every=every)
    probe = ZeroProbe(nn.ReLU())
    with probe, pytest.raises(WhyZeroError, match="left before it is entered again"):
        probe.__enter__()


def test_the_table_shows_a_line_a_layer_one_for_all_and_the_notes() -> None:
    module = nn.Sequential(linear(3, 4), nn.ReLU(), nn.Dropout(1.0), nn.Hardswish(), nn.Flatten())
    nn.init.zeros_(module[0].weight)
    with torch.no_grad():
        module[0].bias.copy_(torch.tensor([1.0, -1.0, 2.0, -3.0]))
    with ZeroProbe(module) as probe:
        module(X[:2, :3])
    probe.notes["part"] = "said"
    head, relu, swish, total, shared, note = str(probe).splitlines()
    assert head.split() == [
        *("layer", "activation", "p", "units", "active", "dropped", "inactive", "both"),
        *("zero", "silent"),
    ]
    shares = ["0.0%", "50.0%", "0.0%", "50.0%", "100.0%"]
    assert relu.split() == ["1", "relu", "1", "4", *shares, "2"]
    assert swish.split() == ["3", "hardswish", "0", "4", *shares, "-"]
    assert total.split() == ["all", "8", *shares, "2"]
    assert shared == "in every layer: passes 1, axis 1, unexplained 0.0%"
    assert max(map(len, (head, relu, swish, total))) <= 80
    assert note == "note: part: said"
    assert "(1 more layers)" in probe.report(worst=1)


def test_what_differs_between_layers_stays_in_the_table() -> None:
    """Here the number of passes: the second layer is left out of one."""
    module = Often()
    with ZeroProbe(module) as probe:
        module(X[:2, :3], times=1)
        module(X[:2, :3], times=2)
    head, once, twice, *_ = str(probe).splitlines()
    assert head.split()[-1] == "passes"
    assert (once.split()[-1], twice.split()[-1]) == ("2", "1")
    assert "in every layer: axis 1, unexplained 0.0%, activation relu" in str(probe)


class Often(nn.Module):
    """Two layers, of which the second is called on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        self.second = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

    def forward(self, x: Tensor, *, times: int) -> Tensor:
        h = self.first(x)
        return self.second(h) if times > 1 else h
