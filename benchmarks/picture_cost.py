"""CPU seconds that the pictures of one network take, by figure, in a process that has drawn before.

As a render worker draws them: one process, one thread, and its thresholds of garbage collection.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import ParamSpec, TypeVar

from benchmarks.blocks import stack_of, trained
from benchmarks.conditions import Conditions
from benchmarks.results import Bound, Row
from pipeline import plots
from pipeline.data import load
from pipeline.plots.render_pool import GARBAGE
from pipeline.runs import publish
from pipeline.training.batches import Examples

P = ParamSpec("P")
T = TypeVar("T")

BOUND = Bound(limit=0.6)


class _Here(plots.RenderPool):
    """Starts no process: a picture is drawn here, each time that it is asked for."""

    def submit(self, draw: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Callable[[], T]:
        return partial(draw, *args, **kwargs)


def measure(conditions: Conditions) -> Iterator[Row]:
    """Each picture's milliseconds, then the seconds of them all."""
    pictures = _pictures(conditions)
    taken: dict[str, list[float]] = {name: [] for name in pictures}
    with _few_collections():
        for turn in range(1 + conditions.pick(smoke=1, usual=9, full=25)):
            for name, draw in pictures.items():
                started = time.process_time()
                draw()
                if turn:
                    taken[name].append(time.process_time() - started)
    for name, seconds in taken.items():
        yield Row(name=name, value=1e3 * statistics.median(seconds), unit="ms")
    totals = [sum(turn) for turn in zip(*taken.values(), strict=True)]
    whole = statistics.median(totals)
    yield Row(name="all pictures of a network", value=whole, unit="s", bound=BOUND)


def _pictures(conditions: Conditions) -> Mapping[str, Callable[[], object]]:
    """What draws each picture of the post's network, trained on MNIST."""
    data, device = load("mnist"), conditions.device
    recipes = stack_of(1, epochs=conditions.pick(smoke=1, usual=10), holdout=0)
    training, test = (
        Examples(images.flatten(1).to(device), labels.to(device))
        for images, labels in (
            (data.train_images, data.train_labels),
            (data.test_images, data.test_labels),
        )
    )
    history = [record for [record] in trained(recipes, training=training, validation=test)]
    weights = next(record.weights for record in reversed(history) if record.weights)
    chosen = replace(history[-1], weights=weights)
    drawn = publish.draw(
        recipes[0],
        judged=publish.judge(recipes[0], chosen, data),
        history=history,
        chosen=chosen,
        data=data,
        render_pool=_Here(0),
    )
    assert drawn.film is not None  # noqa: S101 - asked for
    return {**drawn.pictures, "film": drawn.film}


@contextmanager
def _few_collections() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*GARBAGE)
    yield
    gc.set_threshold(*before)
