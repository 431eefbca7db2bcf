"""The plain loop's work in JAX, as a process: `python -m benchmarks.jax_loop RAW EPOCHS NETWORKS`.

Prints the mean loss and accuracy of every epoch on training and test images.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import jax_network as rival
from benchmarks.raw_mnist import read

BATCH = 200


def main(root: Path, epochs: int, networks: int) -> None:
    """Train that many networks at once, each with its own order."""
    training, test = (rival.Data(*map(jnp.asarray, read(root, part))) for part in ("train", "t10k"))
    orders = [np.random.default_rng(seed) for seed in range(networks)]
    state = jax.vmap(rival.start)(jnp.arange(networks))
    train = jax.jit(rival.train_stack, donate_argnums=0)
    evaluate = jax.jit(jax.vmap(rival.evaluate, in_axes=(0, None)))
    if networks == 1:
        state = rival.start(jnp.array(0))
        train = jax.jit(rival.train, donate_argnums=0)
        evaluate = jax.jit(rival.evaluate)
    for epoch in range(epochs):
        rows = [order.permutation(len(training.labels)).reshape(-1, BATCH) for order in orders]
        taken = rows[0] if networks == 1 else np.stack(rows, axis=1)
        state = train(state, training, taken)
        scores = [evaluate(state.parameters, data) for data in (training, test)]
        shown = [f"{float(value.mean()):.5f}" for score in scores for value in score]
        print(f"epoch {epoch + 1}/{epochs}", *shown, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
