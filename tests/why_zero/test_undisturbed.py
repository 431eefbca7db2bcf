"""Watching changes nothing: neither what is computed, nor the module, nor any generator."""

import copy
import functools
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
)
from torch.utils.data import DataLoader, TensorDataset

from why_zero import ZeroProbe
from why_zero._watch import backward

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


class Classifier(nn.Module):
    """A transformer encoder, whose evaluation PyTorch runs in a fused kernel."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(32, 5)

    def forward(self, x: Tensor, pad: Tensor) -> Tensor:
        return self.head(self.encoder(x, src_key_padding_mask=pad).mean(1))


@pytest.mark.filterwarnings("ignore:.*nested tensors is in prototype stage")
@pytest.mark.parametrize("part", ["", "encoder"])
def test_fused_kernels_stay_fused_and_are_noted(part: str) -> None:
    torch.manual_seed(0)
    module, x = Classifier().eval(), torch.randn(20, 12, 32)
    pad = torch.arange(12)[None] >= torch.randint(2, 13, (20, 1))
    pad[0] = False
    with torch.no_grad():
        alone = module(x, pad)
        with ZeroProbe(module.get_submodule(part), strict=True) as probe:
            watched = module(x, pad)
    assert torch.equal(watched, alone)
    assert "fused kernel" in str(probe.notes)
    states = ZeroProbe(module).census([x], run=lambda m, x: m(x, None))
    assert states["encoder.layers.0.relu"].samples == 20 * 12  # a census looks inside


def policy(_: object, operator: object, *__: object, **___: object) -> CheckpointPolicy:
    is_product = operator == torch.ops.aten.mul.Tensor
    return CheckpointPolicy.MUST_SAVE if is_product else CheckpointPolicy.PREFER_RECOMPUTE


def test_selective_checkpointing_saves_the_user_s_products_alone() -> None:
    def gradient(*, is_watched: bool) -> Tensor:
        torch.manual_seed(0)
        block = nn.Sequential(*(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 8)))
        x = torch.randn(16, 6)
        context = functools.partial(create_selective_checkpoint_contexts, policy)
        with ZeroProbe(block) if is_watched else nullcontext():
            y = checkpoint(block, x, use_reentrant=False, context_fn=context)
            y.pow(2).sum().backward()
        return block[0].weight.grad

    assert torch.equal(gradient(is_watched=True), gradient(is_watched=False))


def test_a_backward_pass_after_the_block_runs_nothing_of_the_probe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5))
    with ZeroProbe(module):
        outputs = [module(torch.randn(3, 4)) for _ in range(3)]
    asked: list[object] = []
    monkeypatch.setattr(backward, "is_plain", asked.append)
    sum(y.sum() for y in outputs).backward()
    assert asked == []


def test_a_module_saved_in_the_block_holds_nothing_of_the_probe(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    with ZeroProbe(module):
        module(torch.randn(3, 4)).sum().backward()
        optimizer.step()
        torch.save(module, tmp_path / "module.pt")
    assert b"why_zero" not in (tmp_path / "module.pt").read_bytes()


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_graph_made_in_the_block_is_the_module_s_alone() -> None:
    module, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval(), torch.randn(3, 4)

    def nodes() -> list[int]:
        return [
            len(list(torch.jit.trace(module, x).inlined_graph.nodes())),
            len(list(torch.jit.script(module).inlined_graph.nodes())),
            len(torch.export.export(module, (x,)).graph.nodes),
            len(torch.fx.symbolic_trace(module).graph.nodes),
        ]

    alone = nodes()
    with ZeroProbe(module, strict=True) as probe:
        assert nodes() == alone
        module(x)
    assert probe.evaluation_layers["1"].causes.pairs % 24 == 0


REPLACED = """
from torch import nn
calls, plain = [], nn.Module.__call__

def call(module, *args, **kwargs):
    calls.append(module)
    return plain(module, *args, **kwargs)

nn.Module.__call__ = call
import torch
from why_zero import ZeroProbe

module = nn.ReLU()
with ZeroProbe(module, strict=True) as probe:
    module(torch.ones(3, 4))
print(calls == [module], *(layer.causes.pairs for layer in probe.layers.values()))
"""


def test_a_module_call_that_others_replaced_before_is_still_theirs() -> None:
    said = subprocess.run(
        [sys.executable, "-c", REPLACED], capture_output=True, text=True, check=True
    )
    assert said.stdout == "True 12\n"


def test_nothing_that_goes_wrong_in_the_probe_reaches_the_user(
    batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5))

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("planted\nin the instrument")

    for target in (
        "pass_counts._counted",
        "masks.MaskReader.keep",
        "recorder.activation_of",
        "backward.on_host",
    ):
        with monkeypatch.context() as planted:
            planted.setattr(f"why_zero._watch.{target}", broken)
            with ZeroProbe(module) as probe:
                module(batches[0][0]).sum().backward()
            assert "RuntimeError: planted in the instrument" in str(probe.notes), target
            with pytest.raises(RuntimeError, match="planted"), ZeroProbe(module, strict=True):
                module(batches[0][0]).sum().backward()
    # Batched gradients have no values that can be read.
    with ZeroProbe(module, strict=True):
        torch.autograd.functional.jacobian(module, batches[0][0], vectorize=True)


NESTED = """
import torch
from torch import nn
from why_zero import ZeroProbe

class Around(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
    def forward(self, x):
        return self.inner(x)

module = nn.ReLU()
for _ in range(225):
    module = Around(module)
x = torch.randn(3, 4)
module(x)
with ZeroProbe(module, strict=True) as probe:
    module(x)
print(*(layer.causes.pairs for layer in probe.layers.values()))
"""


def test_modules_may_be_nested_as_deeply_as_without_a_probe() -> None:
    # In a process without the tests' own type checks, which take frames of their own.
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NESTED], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["12"]


def test_a_module_that_holds_its_probe_can_be_copied_in_the_block(batches: Batches) -> None:
    module = nn.Sequential(nn.Linear(6, 4), nn.ReLU())
    module.probe = ZeroProbe(module, every=3)
    with module.probe as probe:
        module(batches[0][0])
        other = copy.deepcopy(module)
        other(batches[0][0])
    assert probe.layers["1"].passes == 1
    assert other.probe.calls == 0
