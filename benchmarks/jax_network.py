"""The post's network in JAX, as one would write it there for speed: the rival of `against_jax`.

Pure functions, compiled as a scan over updates; a stack is their `vmap`. It must import neither
torch nor this project: the time to import is measured too.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

SIZES = (784, 256, 256, 128, 128, 10)
DROP_RATE, LEARNING_RATE = 0.5, 0.001
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
EVALUATION_BATCH = 1000

Parameters = list[tuple[Array, Array]]


class Data(NamedTuple):
    """Images, 0 … 255, one row an image, and their classes."""

    images: Array
    labels: Array


class State(NamedTuple):
    """A network in training: parameters, Adam's two means, updates so far, random key."""

    parameters: Parameters
    mean: Parameters
    square: Parameters
    updates: Array
    key: Array


def start(seed: Array, sizes: Sequence[int] = SIZES) -> State:
    """A fresh network, uniform in ±1/sqrt(inputs)."""
    # The fastest generator that JAX has on a CPU, and that a stack can share.
    key, initial = jax.random.split(jax.random.key(seed, impl="unsafe_rbg"))
    parameters = []
    for inputs, units in pairwise(sizes):
        initial, *keys = jax.random.split(initial, 3)
        bound = inputs**-0.5
        weight, bias = (
            jax.random.uniform(each, shape, minval=-bound, maxval=bound)
            for each, shape in zip(keys, ((inputs, units), (units,)), strict=True)
        )
        parameters.append((weight, bias))
    # Two trees: a buffer that is given away when training starts can be given away only once.
    mean, square = (jax.tree.map(jnp.zeros_like, parameters) for _ in range(2))
    return State(parameters, mean, square, jnp.zeros(()), key)


def forward(parameters: Parameters, x: Array, key: Array | None = None) -> Array:
    """Logits; with a key in training mode, dropout behind every layer, the logits included."""
    for layer, (weight, bias) in enumerate(parameters):
        x = x @ weight + bias
        x = jax.nn.relu(x) if layer < len(parameters) - 1 else x
        if key is not None and DROP_RATE:
            bits = jax.random.bits(jax.random.fold_in(key, layer), x.shape)
            keep = bits >= jnp.uint32(round(DROP_RATE * 2**32))
            x = jnp.where(keep, x / (1 - DROP_RATE), 0)
    return x


def losses(logits: Array, target: Array) -> Array:
    """Cross-entropy of each sample."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), target[:, None], axis=1)[:, 0]


def update(state: State, data: Data, rows: Array) -> State:
    """The network after a step of Adam on these rows."""
    key, drawn = jax.random.split(state.key)
    x, target = data.images[rows].astype(jnp.float32) / 255, data.labels[rows]
    gradient = jax.grad(lambda p: losses(forward(p, x, drawn), target).mean())(state.parameters)
    updates = state.updates + 1
    mean = _running(state.mean, gradient, BETA_1)
    square = _running(state.square, jax.tree.map(jnp.square, gradient), BETA_2)
    rate = LEARNING_RATE / (1 - BETA_1**updates)
    parameters = jax.tree.map(
        lambda p, m, s: p - rate * m / (jnp.sqrt(s / (1 - BETA_2**updates)) + EPSILON),
        state.parameters,
        mean,
        square,
    )
    return State(parameters, mean, square, updates, key)


def _running(means: Parameters, values: Parameters, beta: float) -> Parameters:
    return jax.tree.map(lambda m, v: beta * m + (1 - beta) * v, means, values)


def train(state: State, data: Data, rows: Array) -> State:
    """The network after an update for each of `rows`, shape (updates, batch)."""
    return jax.lax.scan(lambda state, taken: (update(state, data, taken), None), state, rows)[0]


def train_stack(states: State, data: Data, rows: Array) -> State:
    """The networks, each after its own updates; rows have the shape (updates, networks, batch)."""
    step = jax.vmap(update, in_axes=(0, None, 0))
    return jax.lax.scan(lambda states, taken: (step(states, data, taken), None), states, rows)[0]


def evaluate(parameters: Parameters, data: Data) -> tuple[Array, Array]:
    """Mean loss and accuracy in evaluation mode; samples come in whole batches of a thousand."""

    def add(_: None, batch: Data) -> tuple[None, tuple[Array, Array]]:
        logits = forward(parameters, batch.images.astype(jnp.float32) / 255)
        right = (logits.argmax(1) == batch.labels).mean()
        return None, (losses(logits, batch.labels).mean(), right)

    parts = Data(*(part.reshape(-1, EVALUATION_BATCH, *part.shape[1:]) for part in data))
    loss, accuracy = jax.lax.scan(add, None, parts)[1]
    return loss.mean(), accuracy.mean()
