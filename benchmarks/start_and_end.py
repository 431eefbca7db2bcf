"""What a run costs beside its training: imports, start, model, plots; fresh store and existing.

The training is taken off by a run of no epochs, which still evaluates, exports and draws.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import processes
from benchmarks.conditions import Conditions
from benchmarks.interleaved import seconds_of
from benchmarks.results import Row


def measure(conditions: Conditions) -> Iterator[Row]:
    """The seconds of `mnist --epochs 0` with a fresh and with an existing store."""
    arguments = ["mnist", "--epochs", "0", "--force", "true", "--device", str(conditions.device)]
    with tempfile.TemporaryDirectory() as folder:
        for store in ("fresh", "existing", "existing"):
            seconds = seconds_of(
                lambda: processes.run("-m", "pipeline", *arguments, folder=Path(folder))
            )
            yield Row(name=f"a run without training, {store} store", value=seconds, unit="s")
