"""Traces of real toy runs, and the page of each on disk, made once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.toy import experiment
from pipeline.toy.page import render_page

Trace = experiment.Trace


@pytest.fixture(scope="session")
def trace() -> Trace:
    """The notebook's start, ten updates, p = 0.5."""
    arms = experiment.recipes(drop_rate=0.5, learning_rate=0.01, epochs=1, seed=0)
    return experiment.run(arms, "notebook")


@pytest.fixture(scope="session")
def born() -> Trace:
    """The notebook's networks before any update."""
    arms = experiment.recipes(drop_rate=0.5, learning_rate=0.01, epochs=0, seed=0)
    return experiment.run(arms, "notebook")


@pytest.fixture(scope="session")
def long(trace: Trace) -> Trace:
    """A trace of 250 updates: the ten of `trace`, 25 times over."""
    arrays = {}
    for name, array in trace.arrays.items():
        is_between = len(array) == 11
        again = np.concatenate([array[:10]] * 25)
        arrays[name] = np.concatenate([again, array[10:]]) if is_between else again
        if name.startswith("samples/"):
            arrays[name] = array
    histories = {arm: (*(h[:10] * 25), h[10]) for arm, h in trace.histories.items()}
    return Trace(arrays, histories)


@pytest.fixture(scope="session")
def make_page(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes the page of a trace to a folder of its own and returns its path."""

    def make(trace: Trace, *, drop_rate: float = 0.5) -> Path:
        path = tmp_path_factory.mktemp("page") / "toy.html"
        text = render_page(trace, drop_rate=drop_rate, learning_rate=0.01, init="notebook", seed=0)
        path.write_text(text, encoding="utf-8")
        return path

    return make
