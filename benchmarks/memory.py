"""The peak memory and the seconds of the main job, fresh store and all."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.conditions import Conditions
from benchmarks.observed import observe
from benchmarks.results import Bound, Row


def measure(conditions: Conditions) -> Iterator[Row]:
    """Both, of all its processes together."""
    epochs = str(conditions.pick(smoke=1, usual=10))
    with tempfile.TemporaryDirectory() as folder:
        seen = observe("main", "--epochs", epochs, folder=Path(folder))
    yield Row(name="main job", value=seen.seconds, unit="s")
    name = "main job, most memory of all processes"
    yield Row(name=name, value=seen.gib, unit="GiB", bound=Bound(limit=1.5))
