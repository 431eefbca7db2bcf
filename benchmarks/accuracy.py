"""Test accuracy of five seeds after ten epochs, ours and the plain loop's: Welch's interval.

Both follow the post: drop rate 0.5 after every layer, no hold-out. Ours train as one stack.
"""

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from scipy import stats

from benchmarks import processes
from benchmarks.blocks import stack_of, trained
from benchmarks.conditions import Conditions
from benchmarks.raw_mnist import lay_out
from benchmarks.results import Row
from pipeline.data import load
from pipeline.training.batches import Examples


def measure(conditions: Conditions) -> Iterator[Row]:
    """Both groups' means and the difference, in points, each with its 95 % interval."""
    seeds = range(conditions.pick(smoke=2, usual=5, full=20))
    count = conditions.pick(smoke=1, usual=10)
    ours, theirs = _ours(seeds, count, conditions), _theirs(seeds, count)
    for name, values in (("this project", ours), ("the plain loop", theirs)):
        interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        shown = " ".join(f"{value:.2f}" for value in values)
        yield Row(
            name=f"{name}, test accuracy",
            value=statistics.mean(values),
            unit="%",
            spread=(interval.high - interval.low) / 2,
            note=shown,
        )
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    holds = "contains 0" if interval.low <= 0 <= interval.high else "does NOT contain 0"
    yield Row(
        name="difference (Welch)",
        value=statistics.mean(ours) - statistics.mean(theirs),
        unit="points",
        spread=(interval.high - interval.low) / 2,
        note=holds,
    )


def _ours(seeds: Sequence[int], count: int, conditions: Conditions) -> list[float]:
    data, device = load("mnist"), conditions.device
    training, test = (
        Examples(images.flatten(1).to(device), labels.to(device))
        for images, labels in (
            (data.train_images, data.train_labels),
            (data.test_images, data.test_labels),
        )
    )
    recipes = stack_of(len(seeds), epochs=count, holdout=0)
    last = list(trained(recipes, training=training, validation=test))[-1]
    return [100 * record.validation.accuracy for record in last if record.validation]


def _theirs(seeds: Sequence[int], count: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        loop = ("-m", "benchmarks.plain_loop", str(lay_out(work / "data")), str(count))
        printed = [processes.run(*loop, str(seed), folder=work) for seed in seeds]
    lines = (text.splitlines()[-2].split() for text in printed)  # the last one tells the seconds
    return [100 * float(words[-1]) for words in lines]
