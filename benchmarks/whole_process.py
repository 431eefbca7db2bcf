"""`mnist`, 10 epochs, everything on, as a whole process, against the plain loop as one.

The two take turns: ours, theirs, ours, … ; the ratio is that of the medians.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.raw_mnist import lay_out

ROOT = Path(__file__).parent.parent
ROUNDS = 3


def main() -> None:
    """Print both medians and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        root = lay_out(work / "data")
        ours = [sys.executable, "-m", "pipeline", "mnist", "--force", "true", "--holdout", "0"]
        theirs = [sys.executable, "-m", "benchmarks.plain_loop", str(root), "10", "0"]
        seconds: dict[str, list[float]] = {"pipeline": [], "plain loop": []}
        for turn in range(ROUNDS):
            for name, command in (("pipeline", ours), ("plain loop", theirs)):
                taken = _timed(command, work)
                seconds[name].append(taken)
                print(f"round {turn + 1}: {name} {taken:.1f} s", flush=True)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        print(f"medians: {medians['pipeline']:.1f} s and {medians['plain loop']:.1f} s")
        print(f"the pipeline is {medians['plain loop'] / medians['pipeline']:.2f} times as fast")


def _timed(command: list[str], work: Path) -> float:
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=work, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
