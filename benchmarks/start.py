"""From the command to the first update, beside torch's own import; and what `--help` takes."""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import processes
from benchmarks.conditions import Conditions
from benchmarks.interleaved import medians
from benchmarks.observed import observe
from benchmarks.results import Bound, Row


def measure(conditions: Conditions) -> Iterator[Row]:
    """Medians of some starts, in turns."""
    rounds = conditions.pick(smoke=1, usual=5)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        mnist = ("mnist", "--epochs", "1", "--force", "true", "--device", str(conditions.device))
        starts: list[float] = []
        seconds = medians(
            {
                "python -c 'import torch'": lambda: processes.run(
                    "-c", "import torch", folder=work
                ),
                "the first update of mnist": lambda: starts.append(
                    observe(*mnist, folder=work).to_first_update
                ),
                "--help": lambda: processes.run("-m", "pipeline", "--help", folder=work),
            },
            rounds=rounds,
            warm_up=1,
        )
    imports, first = seconds["python -c 'import torch'"], statistics.median(starts[1:])
    yield Row(name="python -c 'import torch'", value=imports, unit="s")
    yield Row(name="the first update of mnist", value=first, unit="s")
    yield Row(
        name="… after torch's import", value=first - imports, unit="s", bound=Bound(limit=1.5)
    )
    yield Row(name="--help", value=seconds["--help"], unit="s", bound=Bound(limit=0.3))
