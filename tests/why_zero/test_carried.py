"""Causes of zeros that dropout makes and other calls carry on, against the same pass without it."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from why_zero import WatchedLayer, ZeroProbe

IMAGES = torch.rand(16, 1, 12, 12, generator=torch.Generator().manual_seed(1))


def found(layer: WatchedLayer) -> list[int]:
    causes = layer.causes
    counts = (causes.active, causes.dropped, causes.inactive, causes.both, causes.unexplained)
    return [int(count.sum()) for count in counts]


# Between Dropout2d and ReLU: zero just where all is zero that a value is made of.
BETWEEN: dict[str, Callable[[Tensor], Tensor]] = {
    "max": lambda h: F.max_pool2d(h, 2),
    "max with its places": lambda h: F.max_pool2d(h, 2, return_indices=True)[0],
    "average": lambda h: F.avg_pool2d(h, 2),
    "adaptive": lambda h: F.adaptive_avg_pool2d(h, 3),
    "adaptive along three": lambda h: F.adaptive_avg_pool3d(h, (20, 3, 3)),
    "up": lambda h: F.interpolate(h, scale_factor=2),
    "factor": lambda h: h * 3.0 / 2,
    "flip": lambda h: h.flip(2),
    "part": lambda h: h[:, 3:, 1:],
    "stack": lambda h: torch.stack([h, h]),
    "mean of one": lambda h: h[..., :1].mean(-1),
    "mean of one that stays": lambda h: h[..., :1].mean(-1, True),
    "nothing": lambda h: h,
}


@pytest.mark.parametrize("name", sorted(BETWEEN))
def test_zeros_of_channel_dropout_that_reach_a_relu_are_dropout_s(name: str) -> None:
    torch.manual_seed(0)
    conv, between = nn.Conv2d(1, 20, 5), BETWEEN[name]
    module = nn.Module()
    module.forward = lambda x: F.relu(between(F.dropout2d(conv(x), 0.5)))
    torch.manual_seed(5)
    with ZeroProbe(module, strict=True) as probe:
        module(IMAGES)
    torch.manual_seed(5)
    keep = between((F.dropout2d(torch.ones(16, 20, 8, 8), 0.5) != 0).float()) != 0
    is_open = between(conv(IMAGES)) > 0
    expected = [is_open & keep, is_open & ~keep, ~is_open & keep, ~is_open & ~keep]
    assert found(probe.layers["relu"]) == [*(int(flags.sum()) for flags in expected), 0]


def test_the_best_known_network_for_mnist() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 20, 5), nn.Dropout2d(0.5), nn.MaxPool2d(2), nn.ReLU())
    with ZeroProbe(net, strict=True) as probe:
        torch.manual_seed(5)
        y = net(IMAGES)
    torch.manual_seed(5)
    keep = (F.dropout2d(torch.ones(16, 20, 8, 8), 0.5) != 0)[:, :, :4, :4]
    z = F.max_pool2d(net[0](IMAGES), 2)
    causes = probe.causes()["3"]
    assert causes.dropped.tolist() == ((z > 0) & ~keep).sum((0, 2, 3)).tolist()
    assert causes.inactive.tolist() == ((z <= 0) & keep).sum((0, 2, 3)).tolist()
    assert causes.both.tolist() == ((z <= 0) & ~keep).sum((0, 2, 3)).tolist()
    assert causes.zeros == int((y == 0).sum())


# Between a ReLU and dropout: what dropout alone zeroes is what was not zero before.
AFTER: dict[str, Callable[[Tensor], Tensor]] = {
    "square": lambda h: h**2,
    "division": lambda h: h / 7,
    "gate": lambda h: h * torch.sigmoid(h - 1),
    "pixel shuffle": lambda h: F.pixel_shuffle(h, 2),
    "flip": lambda h: h.flip(-1),
    "stack": lambda h: torch.stack([h, h], 1),
    "index": lambda h: h[torch.tensor([3, 1])],
    "residual": lambda h: h + F.relu(h - 0.2),
    "dropout": lambda h: F.dropout(h, 0.3),
    "pool": lambda h: F.avg_pool2d(h, 2),
    "pool of a residual": lambda h: F.max_pool2d(h + F.relu(h - 0.2), 2),
    "frame of its own": lambda h: torch.ops.aten.pad(h, (1, 1, 1, 1), "reflect"),
    "joined with none": lambda h: torch.cat([h]),
}


@pytest.mark.parametrize("name", sorted(AFTER))
def test_what_dropout_alone_zeroes_is_what_was_not_zero_before(name: str) -> None:
    torch.manual_seed(0)
    conv, after = nn.Conv2d(1, 20, 5), AFTER[name]
    module = nn.Module()
    module.forward = lambda x: F.dropout(after(F.relu(conv(x))), 0.5)
    torch.manual_seed(5)
    with ZeroProbe(module, strict=True) as probe:
        y = module(IMAGES)
    torch.manual_seed(5)
    h = after(F.relu(conv(IMAGES)))
    keep = F.dropout(torch.ones_like(h), 0.5) != 0
    if name == "dropout":  # either of two masks may drop
        torch.manual_seed(5)
        keep &= F.dropout(torch.ones_like(h), 0.3) != 0
        h = F.relu(conv(IMAGES))
    is_open = h != 0
    expected = [is_open & keep, is_open & ~keep, ~is_open & keep, ~is_open & ~keep]
    last = list(probe.layers.values())[-1]
    assert found(last) == [*(int(flags.sum()) for flags in expected), 0]
    assert last.causes.zeros == int((y == 0).sum())


def test_of_a_product_of_two_dropouts_a_value_is_dropped_with_either_factor() -> None:
    torch.manual_seed(0)
    one, other, x = nn.Linear(6, 20), nn.Linear(6, 20), torch.randn(50, 6)
    module = nn.Module()
    module.forward = lambda x: F.relu(F.dropout(one(x), 0.5) * F.dropout(other(x), 0.3))
    torch.manual_seed(5)
    with ZeroProbe(module, strict=True) as probe:
        module(x)
    torch.manual_seed(5)
    keep, of_other = (F.dropout(torch.ones(50, 20), p) != 0 for p in (0.5, 0.3))
    keep &= of_other
    is_open = one(x) * other(x) > 0
    expected = [is_open & keep, is_open & ~keep, ~is_open & keep, ~is_open & ~keep]
    assert found(probe.layers["relu"]) == [*(int(flags.sum()) for flags in expected), 0]


def test_what_is_assigned_behind_a_dropout_has_not_been_dropped() -> None:
    torch.manual_seed(0)
    linear, x = nn.Linear(6, 20), torch.randn(50, 6)

    def forward(x: Tensor) -> Tensor:
        h = F.dropout(linear(x), 0.5)
        h[:, :3], h[:, 3:5] = -1.0, 2.0
        return F.relu(h)

    module = nn.Module()
    module.forward = forward
    torch.manual_seed(5)
    with ZeroProbe(module, strict=True) as probe:
        module(x)
    torch.manual_seed(5)
    keep = F.dropout(torch.ones(50, 20), 0.5) != 0
    is_open = linear(x) > 0
    keep[:, :5], is_open[:, :3], is_open[:, 3:5] = True, False, True
    expected = [is_open & keep, is_open & ~keep, ~is_open & keep, ~is_open & ~keep]
    assert found(probe.layers["relu"]) == [*(int(flags.sum()) for flags in expected), 0]


def test_a_relu_in_place_leaves_what_is_known_of_a_copy_s_original() -> None:
    torch.manual_seed(0)
    linear, x = nn.Linear(6, 20), torch.randn(50, 6)

    def forward(x: Tensor) -> Tensor:
        h = F.dropout(linear(x), 0.5)
        F.relu(h.clone(), inplace=True)
        return F.relu(-h)

    module = nn.Module()
    module.forward = forward
    torch.manual_seed(5)
    with ZeroProbe(module, strict=True) as probe:
        module(x)
    torch.manual_seed(5)
    keep = F.dropout(torch.ones(50, 20), 0.5) != 0
    is_open = linear(x) < 0
    expected = [is_open & keep, is_open & ~keep, ~is_open & keep, ~is_open & ~keep]
    assert found(probe.layers["relu#2"]) == [*(int(flags.sum()) for flags in expected), 0]


def test_padding_makes_zeros_that_are_neither_s() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 20, 5)
    module = nn.Module()
    module.forward = lambda x: F.dropout(F.pad(F.relu(conv(x)), (1, 1, 1, 1)), 0.5)
    with ZeroProbe(module, strict=True) as probe:
        torch.manual_seed(5)
        module(IMAGES)
    torch.manual_seed(5)
    keep = F.dropout(torch.ones(16, 20, 10, 10), 0.5) != 0
    frame = F.pad(torch.zeros(16, 20, 8, 8, dtype=torch.bool), (1, 1, 1, 1), value=True)
    assert probe.causes()["dropout"].unexplained.sum() == int((frame & keep).sum())


def test_complex_values_can_be_dropped() -> None:
    with ZeroProbe(drop := nn.Dropout(0.5), strict=True) as probe:
        y = drop(torch.randn(30, 4, dtype=torch.cfloat))
    assert probe.causes()["dropout"].dropped.sum() == int((y == 0).sum())
