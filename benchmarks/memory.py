"""The peak memory and the seconds of the main job, fresh store and all.

Read from a fresh interpreter: a child's peak counts what its parent held when it was started, and
the maximum over children would include those of other benchmarks.
"""

import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import processes
from benchmarks.conditions import Conditions
from benchmarks.interleaved import seconds_of
from benchmarks.results import Row


def measure(conditions: Conditions) -> Iterator[Row]:
    """Both, from a fresh interpreter."""
    epochs = str(conditions.pick(smoke=1, usual=10))
    with tempfile.TemporaryDirectory() as folder:
        printed = processes.run("-m", "benchmarks.memory", epochs, folder=Path(folder))
    seconds, peak = map(float, printed.split())
    yield Row(name="main job", value=seconds, unit="s")
    yield Row(name="main job, most memory of a process", value=peak, unit="GiB")


if __name__ == "__main__":
    main_job = ("-m", "pipeline", "main", "--epochs", sys.argv[1])
    taken = seconds_of(lambda: processes.run(*main_job, folder=Path.cwd()))
    print(taken, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20)
