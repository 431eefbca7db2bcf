"""A sweep of 32 networks on all cores of a machine, over the same on two of them."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.conditions import Conditions, UnavailableError
from benchmarks.observed import observe
from benchmarks.results import Bound, Row

FASTER = Bound(limit=5, is_floor=True)
ENOUGH = 8


def measure(conditions: Conditions) -> Iterator[Row]:
    """Both times and their ratio."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < ENOUGH and conditions.effort != "smoke":
        raise UnavailableError(f"at least {ENOUGH} cores must be there, got {len(cores)}")
    networks = conditions.pick(smoke=2, usual=32)
    epochs = str(conditions.pick(smoke=1, usual=3, full=10))
    axes = ("--drop-rates", "0.2,0.5", "--seeds", f"0-{networks // 2 - 1}", "--epochs", epochs)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        sweep = ("sweep", *axes, "--devices", "cpu", "--force", "true")
        every = observe(*sweep, folder=work).seconds
        two = observe(*sweep, folder=work, cores=cores[:2]).seconds
    name = f"sweep of {networks}, {epochs} epochs"
    yield Row(name=f"{name}, {len(cores)} cores", value=every, unit="s")
    yield Row(name=f"{name}, 2 of these", value=two, unit="s")
    yield Row(name="times as fast", value=two / every, unit="x", bound=FASTER)
