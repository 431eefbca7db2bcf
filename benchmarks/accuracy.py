"""Test accuracy of five seeds after ten epochs, ours and the plain loop's: Welch's interval.

Both follow the post: drop rate 0.5 after every layer, no hold-out. Ours train as one stack.
"""

import statistics
import tempfile
from pathlib import Path

from scipy import stats

from benchmarks.plain_loop import train
from benchmarks.raw_mnist import lay_out
from pipeline.batches import Examples
from pipeline.data import load
from pipeline.recipe import Recipe
from pipeline.stack import Stack
from pipeline.train import epochs, optimizer_of

SEEDS = range(5)


def main() -> None:
    """Print both groups, the difference of their means and its 95 % interval, in points."""
    ours, theirs = _ours(), _theirs()
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    for name, values in (("pipeline", ours), ("plain loop", theirs)):
        shown = " ".join(f"{value:.2f}" for value in values)
        print(f"{name}: {statistics.mean(values):.3f} ± {statistics.stdev(values):.3f} % ({shown})")
    difference = statistics.mean(ours) - statistics.mean(theirs)
    half = (interval.high - interval.low) / 2
    print(f"difference {difference:+.3f} ± {half:.3f} points (Welch, 95 %)")
    print("contains 0" if interval.low <= 0 <= interval.high else "does NOT contain 0")


def _ours() -> list[float]:
    data = load("mnist")
    training, test = (
        Examples(images.flatten(1), labels)
        for images, labels in (
            (data.train_images, data.train_labels),
            (data.test_images, data.test_labels),
        )
    )
    stack = Stack([Recipe(seed=seed, holdout=0) for seed in SEEDS], inputs=784, classes=10)
    last = list(epochs(stack, optimizer_of(stack), training=training, validation=test))[-1]
    return [100 * record.validation.accuracy for record in last if record.validation]


def _theirs() -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        root = lay_out(Path(folder) / "data")
        return [100 * train(str(root), 10, seed) for seed in SEEDS]


if __name__ == "__main__":
    main()
