"""The rival in JAX takes the steps that PyTorch's own network and optimizer take."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

jax = pytest.importorskip("jax", reason="JAX is an extra")

from benchmarks import jax_network as rival  # noqa: E402 - needs JAX

SIZES = (6, 5, 4, 3)


def test_three_updates_without_dropout_are_those_of_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rival, "DROP_RATE", 0.0)
    source = np.random.default_rng(0)
    images = source.integers(0, 256, (12, 6)).astype(np.uint8)
    labels = source.integers(0, 3, 12)
    rows = np.arange(12).reshape(3, 4)
    state = rival.start(jax.numpy.array(1), SIZES)
    network = torch_copy(state.parameters)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    for taken in rows:
        optimizer.zero_grad()
        x = torch.from_numpy(images[taken]).float() / 255
        F.cross_entropy(network(x), torch.from_numpy(labels[taken])).backward()
        optimizer.step()
    data = rival.Data(jax.numpy.asarray(images), jax.numpy.asarray(labels))
    after = rival.train(state, data, jax.numpy.asarray(rows))
    for layer, (weight, bias) in zip(network[::2], after.parameters, strict=True):
        np.testing.assert_allclose(layer.weight.detach().T, weight, atol=2e-6)
        np.testing.assert_allclose(layer.bias.detach(), bias, atol=2e-6)


def test_half_of_the_logits_are_dropped_and_the_others_doubled() -> None:
    state = rival.start(jax.numpy.array(0), (4, 100))
    x = np.ones((50, 4), np.float32)
    still = np.asarray(rival.forward(state.parameters, x))
    drawn = np.asarray(rival.forward(state.parameters, x, jax.random.key(0)))
    np.testing.assert_allclose(drawn[drawn != 0], 2 * still[drawn != 0], rtol=1e-6)
    # One fixed key, 5000 draws: outside of ±5 standard deviations (0.035) once in 1.7 million keys.
    assert np.mean(drawn == 0) == pytest.approx(0.5, abs=0.036)


def torch_copy(parameters: rival.Parameters) -> nn.Sequential:
    layers: list[nn.Module] = []
    for weight, bias in parameters:
        linear = nn.Linear(*weight.shape)
        linear.load_state_dict(
            {
                "weight": torch.from_numpy(np.array(weight.T)),
                "bias": torch.from_numpy(np.array(bias)),
            }
        )
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])
