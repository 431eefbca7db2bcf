"""This project's training loop as a library, as a process, without MLflow and pictures.

`python -m benchmarks.library_loop DEVICE EPOCHS NETWORKS` prints what `jax_loop` prints. Updates
are not watched and no masks are drawn for dead units; the units' states are counted all the same.
"""

import statistics
import sys

import torch

from benchmarks.blocks import stack_of, trained
from pipeline.data import load
from pipeline.training.batches import Examples


def main(device: torch.device, count: int, networks: int) -> None:
    """Train that many networks at once, each with its own order."""
    data = load("mnist")
    training, test = (
        Examples(images.flatten(1).to(device), labels.to(device))
        for images, labels in (
            (data.train_images, data.train_labels),
            (data.test_images, data.test_labels),
        )
    )
    recipes = stack_of(networks, epochs=count, holdout=0, probe_every=0, mask_passes=0)
    for records in trained(recipes, training=training, validation=test):
        scores = [
            (record.train_eval.loss, record.train_eval.accuracy, held.loss, held.accuracy)
            for record in records
            if (held := record.validation)
        ]
        means = (f"{statistics.mean(column):.5f}" for column in zip(*scores, strict=True))
        print(f"epoch {records[0].epoch}/{count}", *means, flush=True)


if __name__ == "__main__":
    main(torch.device(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
