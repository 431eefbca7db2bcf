"""The peak memory and the seconds of the main job, fresh store and all.

Read from a small interpreter of its own: a child's peak counts what its parent held when it was
started, and the maximum over children would include those of other benchmarks.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Print both, from a fresh interpreter."""
    subprocess.run([sys.executable, __file__], check=True)


def measure() -> None:
    """Run the main job as the only child of this process."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "pipeline", "main"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"main job: {seconds:.1f} s, peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    measure()
