"""What a terminal shows of a probe, column by column."""

import torch
from torch import nn

from why_zero import ZeroProbe


def test_names_stand_to_the_left_and_numbers_to_the_right() -> None:
    module = nn.Module()
    module.add_module("a", nn.Sequential(nn.Linear(1, 12), nn.ReLU()))
    module.add_module("longer", nn.ReLU())
    module.forward = lambda x: module.longer(module.a(x))
    with ZeroProbe(module) as probe:
        module(torch.ones(3, 1))
    head, first, second, *_ = str(probe).splitlines()
    assert (first[:8], second[:8]) == ("a.1     ", "longer  ")
    end = head.index("units") + len("units")
    for row in (first, second):
        assert row[end - 3 : end + 2] == " 12  "


def test_the_worst_layer_is_that_with_the_largest_share_of_zeros() -> None:
    """Biases of 1 and -1 and no weights: nothing in the first is zero, all in the second is."""
    module = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU())
    with torch.no_grad():
        for layer, bias in ((module[0], 1.0), (module[2], -1.0)):
            layer.weight.zero_()
            layer.bias.fill_(bias)
    with ZeroProbe(module) as probe:
        module(torch.ones(3, 1))
    assert probe.report(worst=1).splitlines()[1].split()[0] == "3"
