"""Watching changes nothing: neither what is computed, nor the module, nor any generator."""

import copy
import random
from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from why_zero import ZeroProbe

Batches = list[tuple[Tensor, Tensor]]


def train(module: nn.Module, batches: Batches, *, autocast: bool = False) -> list[Tensor]:
    """Two passes a step, then every parameter and buffer, and where the generator stands."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    device = next(module.parameters()).device
    torch.manual_seed(3)
    for x, target in batches:
        optimizer.zero_grad()
        for _ in range(2):
            with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
                loss = F.cross_entropy(module(x.to(device)), target.to(device))
            loss.backward()
        optimizer.step()
        with torch.no_grad():
            module(x.to(device))
    return [*module.state_dict().values(), torch.get_rng_state()]


def assert_equal(left: Iterable[Tensor], right: Iterable[Tensor]) -> None:
    for one, other in zip(left, right, strict=True):
        assert torch.equal(one, other)


def everything_of(module: nn.Module) -> list[object]:
    """What a module is besides its numbers: attributes by identity, hooks, flags."""
    return [
        {
            key: (dict(value) if isinstance(value, dict) else value)
            for key, value in vars(part).items()
        }
        for part in module.modules()
    ]


def legacy() -> list[int]:
    """NumPy's global generator, which other people's transforms draw from."""
    return np.random.get_state()[1].tolist()  # noqa: NPY002


def modes() -> int:
    """How many function modes are active, as a mode of our own counts them."""
    return len(torch.overrides._get_current_function_mode_stack())


@pytest.mark.parametrize("autocast", [False, True])
def test_training_is_bit_identical_with_a_probe_and_without(
    network: nn.Module, batches: Batches, *, autocast: bool
) -> None:
    twin = copy.deepcopy(network)
    plain = train(twin, batches, autocast=autocast)
    with ZeroProbe(network) as probe:
        watched = train(network, batches, autocast=autocast)
    assert_equal(watched, plain)
    assert all(layer.passes == 15 for layer in probe.layers.values())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.accelerator.is_available(), reason="no accelerator on this machine")
@pytest.mark.parametrize("autocast", [False, True])
def test_training_on_a_gpu_is_bit_identical_with_a_probe_and_without(
    network: nn.Module, batches: Batches, *, autocast: bool
) -> None:
    device = torch.accelerator.current_accelerator()
    assert device is not None
    network.to(device)
    twin = copy.deepcopy(network)
    plain = train(twin, batches, autocast=autocast)
    state = torch.get_device_module(device).get_rng_state()
    with ZeroProbe(network):
        watched = train(network, batches, autocast=autocast)
    assert_equal(watched, plain)
    assert torch.equal(torch.get_device_module(device).get_rng_state(), state)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.accelerator.is_available(), reason="no accelerator on this machine")
@pytest.mark.parametrize("start", [0, 1, 3])
def test_the_mask_is_read_right_on_a_gpu_for_slices_that_are_not_aligned(start: int) -> None:
    device = torch.accelerator.current_accelerator()
    layer = nn.Dropout(0.5)
    x = torch.randn(64, 40, device=device)[:, start : start + 33]
    with ZeroProbe(layer) as probe:
        y = layer(x)
    causes = probe.causes()["dropout"]
    assert causes.dropped.tolist() == (y == 0).sum(0).tolist()


def test_module_hooks_and_modes_are_as_they_were_after_the_block(
    network: nn.Module, batches: Batches
) -> None:
    network.register_forward_hook(lambda *_: None)
    before, stack = everything_of(network), modes()
    hooks = dict(torch.nn.modules.module._global_forward_hooks)
    with ZeroProbe(network):
        network(batches[0][0])
        network(batches[1][0]).sum()  # its backward pass never comes
        assert modes() == stack
    assert everything_of(network) == before
    assert modes() == stack
    assert dict(torch.nn.modules.module._global_forward_hooks) == hooks
    assert not torch.nn.modules.module._global_forward_pre_hooks


class Breaks(nn.Module):
    """Fails after its dropout."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.linear, self.error, self.is_broken = nn.Linear(6, 4), error, True

    def forward(self, x: Tensor) -> Tensor:
        h = F.dropout(F.relu(self.linear(x)), 0.5)
        if self.is_broken:
            raise self.error("no")
        return h


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_in_the_pass_leaves_all_as_it_was_and_is_not_counted(
    error: type[BaseException], batches: Batches
) -> None:
    module = Breaks(error)
    before = everything_of(module)
    torch.manual_seed(1)
    F.dropout(torch.ones(16, 4), 0.5)
    after_one_draw = torch.get_rng_state()
    torch.manual_seed(1)
    probe = ZeroProbe(module)
    with pytest.raises(error, match="no"), probe:
        module(batches[0][0])
    assert everything_of(module) == before
    assert modes() == 0
    assert not torch.nn.modules.module._global_forward_hooks
    assert torch.equal(torch.get_rng_state(), after_one_draw)
    assert probe.layers == {}


def test_an_error_that_the_training_loop_catches_costs_only_its_own_pass(
    batches: Batches,
) -> None:
    module = Breaks(ValueError)
    with ZeroProbe(module) as probe:
        with pytest.raises(ValueError, match="no"):
            module(batches[0][0])
        module.is_broken = False
        module(batches[0][0])
        try:
            int("no number")
        except ValueError:
            module(batches[0][0])  # an error is being handled, but it is not this pass's
    assert probe.layers["relu"].passes == 2


def test_an_error_of_the_block_is_the_one_that_is_seen(batches: Batches) -> None:
    module = nn.Sequential(nn.Linear(6, 4), nn.ReLU())
    with pytest.raises(ZeroDivisionError), ZeroProbe(module):
        module(batches[0][0] / (1 // 0))
    assert not module._forward_hooks
    assert not module._forward_pre_hooks


def test_what_a_census_touches_is_put_back(network: nn.Module, batches: Batches) -> None:
    frozen = next(iter(network.parameters())).requires_grad_(False)
    next(iter(network.children())).eval()
    flags = [part.training for part in network.modules()]
    state = [value.clone() for value in network.state_dict().values()]
    loader = DataLoader(
        TensorDataset(*(torch.cat(column) for column in zip(*batches, strict=True))),
        batch_size=7,
        shuffle=True,
    )
    probe = ZeroProbe(network)  # here the tests' own type checks draw from Python's generator
    generators = torch.get_rng_state(), random.getstate(), legacy()
    if any(isinstance(part, nn.ReLU) for part in network.modules()):
        probe.census(loader)
    assert [part.training for part in network.modules()] == flags
    assert_equal(network.state_dict().values(), state)
    assert not frozen.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert (random.getstate(), legacy()) == generators[1:]


def test_a_copy_made_in_the_block_is_not_watched(network: nn.Module, batches: Batches) -> None:
    with ZeroProbe(network) as probe:
        network(batches[0][0])
        copy.deepcopy(network)(batches[0][0])
    assert all(layer.passes == 1 for layer in probe.layers.values())


def test_another_mode_sees_each_call_once_and_none_of_the_probe_s_own(batches: Batches) -> None:
    class Names(TorchFunctionMode):
        def __init__(self) -> None:
            self.names: list[str | None] = []

        def __torch_function__(
            self,
            func: Callable[..., object],
            types: object,
            args: tuple = (),
            kwargs: dict | None = None,
        ) -> object:
            self.names.append(resolve_name(func))
            return func(*args, **(kwargs or {}))

    module = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Dropout())
    with Names() as alone:
        module(batches[0][0])
    with ZeroProbe(module), Names() as beside:
        module(batches[0][0])
    assert beside.names == alone.names


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_repeats_a_pass_that_is_counted_once(
    batches: Batches, *, reentrant: bool
) -> None:
    def run(watch: bool) -> tuple[list[Tensor], ZeroProbe]:
        torch.manual_seed(2)
        block = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5))
        x = batches[0][0].clone().requires_grad_()
        probe = ZeroProbe(block)
        if watch:
            probe.__enter__()
        checkpoint(block, x, use_reentrant=reentrant).sum().backward()
        if watch:
            probe.__exit__(None, None, None)
        return [x.grad, *(p.grad for p in block.parameters()), torch.get_rng_state()], probe

    plain, _ = run(watch=False)
    watched, probe = run(watch=True)
    assert_equal(watched, plain)
    assert probe.layers["1"].passes == 1
