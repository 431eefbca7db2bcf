"""What a run costs beside its training: imports, start, model, plots; fresh store and existing.

The training is taken off by a run of no epochs, which still evaluates, exports and draws.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Print the seconds of `mnist --epochs 0` with a fresh and with an existing store."""
    with tempfile.TemporaryDirectory() as folder:
        for store in ("fresh", "existing", "existing"):
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "pipeline", "mnist", "--epochs", "0", "--force", "true"],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                check=True,
                stdout=subprocess.DEVNULL,
            )
            print(f"{store} store: {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
