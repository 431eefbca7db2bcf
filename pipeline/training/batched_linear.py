"""Products of many networks' inputs with their weights, by the kernels that are faster here."""

from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from pipeline.training import device as devices

Bias = Float[Tensor, "networks 1 units"]
Inputs = Float[Tensor, "networks_or_1 batch inputs"]
Weight = Float[Tensor, "networks inputs units"]
Outputs = Float[Tensor, "networks batch units"]

# Below this many multiplications per network, starting a product costs more than it gains.
WORTH_STARTING = 5_000_000
# The only way to oneDNN's float32 products of ordinary tensors; torch's compiler uses it too.
_OPERATOR = "_linear_pointwise"


def batched_linear(bias: Bias, x: Inputs, weight: Weight) -> Outputs:
    """X @ weight + bias for each network.

    `torch.baddbmm`; but on an AMD processor torch's MKL leaves its AVX-512 kernels unused, and
    float32 products of some size go to oneDNN, which uses them: twice as fast, just as exact.

    Args:
        bias: of each network.
        x: a batch for each network, or one for all.
        weight: of each network.
    """
    work = x.shape[1] * weight.shape[1] * weight.shape[2]
    if work >= WORTH_STARTING and _is_for_onednn(x, weight) and _has_onednn():
        product: Tensor = _ByOneDnn.apply(bias, x, weight)
        return product
    return torch.baddbmm(bias, x.expand(len(weight), -1, -1), weight)


def _is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )


@cache
def _has_onednn() -> bool:
    """Whether oneDNN's kernels are available, and faster than MKL's."""
    return (
        devices.is_amd()
        and torch.backends.mkl.is_available()
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, _OPERATOR)
    )


class _ByOneDnn(torch.autograd.Function):
    """`batched_linear`, one network after another: oneDNN's operator takes no batch of products."""

    @staticmethod
    def forward(ctx: Any, bias: Tensor, x: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(x, weight)
        return _products(x.expand(len(weight), -1, -1), weight.mT, bias[:, 0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:  # noqa: ANN401
        x, weight = ctx.saved_tensors
        x_gradient = None
        if ctx.needs_input_grad[1]:
            x_gradient = _products(gradient, weight).sum_to_size(x.shape)
        # Transposed for all networks at once: one by one, the operator takes three times as long.
        columns = x.mT.contiguous().expand(len(weight), -1, -1)
        return gradient.sum(1, keepdim=True), x_gradient, _products(columns, gradient.mT)


def _products(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """X @ weight.T + bias of each network."""
    operator = getattr(torch.ops.mkldnn, _OPERATOR)
    biases = [None] * len(weight) if bias is None else bias
    products: list[Tensor] = [
        operator(x_k, weight_k, bias_k, "none", [], "")
        for x_k, weight_k, bias_k in zip(x, weight, biases, strict=True)
    ]
    return products[0][None] if len(products) == 1 else torch.stack(products)
