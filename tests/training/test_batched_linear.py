"""The products of a stack, by whichever library computes them."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.training import batched_linear as room
from pipeline.training import device as devices
from pipeline.training.batched_linear import WORTH_STARTING, batched_linear

NETWORKS, BATCH, INPUTS, UNITS = 3, 100, 300, 200

needs_onednn = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="torch without oneDNN"
)


@pytest.fixture
def operands() -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(0)
    assert BATCH * INPUTS * UNITS >= WORTH_STARTING
    return (
        torch.randn(NETWORKS, 1, UNITS, generator=source),
        torch.randn(NETWORKS, BATCH, INPUTS, generator=source),
        torch.randn(NETWORKS, INPUTS, UNITS, generator=source),
    )


@pytest.fixture(params=["oneDNN", "torch"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which one computes large products."""
    if request.param == "oneDNN" and not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("torch without oneDNN")
    monkeypatch.setattr(room, "_has_onednn", lambda: request.param == "oneDNN")
    return str(request.param)


def _with_gradients(*operands: Tensor) -> list[Tensor]:
    """The product and the gradients of all operands, for a loss that weighs every element."""
    leaves = [operand.clone().requires_grad_() for operand in operands]
    found = batched_linear(*leaves)
    (
        found * torch.linspace(-1, 1, found.numel(), dtype=found.dtype).view_as(found)
    ).sum().backward()
    return [found.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


@pytest.mark.parametrize("is_shared", [False, True])
def test_products_and_gradients_are_right_to_the_rounding_of_float32(
    operands: tuple[Tensor, Tensor, Tensor], library: str, *, is_shared: bool
) -> None:
    bias, x, weight = operands
    x = x[:1] if is_shared else x
    exact = _with_gradients(bias.double(), x.double(), weight.double())
    found = _with_gradients(bias, x, weight)
    assert len(found) == len(exact) == 4
    for one, other in zip(found, exact, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-3, msg=library)


@needs_onednn
def test_a_network_s_products_are_the_same_bits_alone_and_among_others(
    operands: tuple[Tensor, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_has_onednn", lambda: True)
    alone = batched_linear(*(operand[1:2] for operand in operands))
    assert torch.equal(batched_linear(*operands)[1:2], alone)
    once, again = _with_gradients(*operands), _with_gradients(*operands)
    assert all(torch.equal(one, other) for one, other in zip(once, again, strict=True))


def test_what_onednn_is_not_for_stays_with_torch(
    operands: tuple[Tensor, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("oneDNN was asked")

    monkeypatch.setattr(room, "_has_onednn", lambda: True)
    monkeypatch.setattr(room._ByOneDnn, "apply", refuse)
    bias, x, weight = operands
    batched_linear(bias.double(), x.double(), weight.double())
    batched_linear(bias, x[:, :10], weight)  # too small to be worth a start
    with torch.autocast("cpu", torch.bfloat16):
        assert batched_linear(bias, x, weight).dtype == torch.bfloat16


@pytest.mark.parametrize(("vendor", "is_amd"), [("AuthenticAMD", True), ("GenuineIntel", False)])
def test_the_maker_of_the_processor_is_read_from_the_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vendor: str, *, is_amd: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nvendor_id\t: {vendor}\n")
    monkeypatch.setattr(devices, "Path", lambda _: tmp_path / "cpuinfo")
    assert devices.is_amd() == is_amd


def test_products_stay_with_torch_on_another_maker_s_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "is_amd", lambda: False)
    assert not room._has_onednn.__wrapped__()


def test_a_gradient_of_a_gradient_is_refused_not_wrong() -> None:
    x, weight = torch.ones(1, 2, 3), torch.ones(1, 3, 2, requires_grad=True)
    bias = torch.ones(1, 1, 2, requires_grad=True)
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("torch without oneDNN")
    loss = room._ByOneDnn.apply(bias, x, weight).square().sum()
    [gradient] = torch.autograd.grad(loss, weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
