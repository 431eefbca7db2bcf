"""Runs modules of this checkout as whole processes. It must not know what they do."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(*arguments: str, folder: Path, checkout: Path = ROOT) -> str:
    """What `python ARGUMENTS` prints, run in that folder with a checkout's packages, or this one's.

    Raises:
        CalledProcessError: it failed; its messages were shown.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=with_checkout(checkout),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def with_checkout(checkout: Path = ROOT) -> dict[str, str]:
    """The environment of a process that imports a checkout's packages, before any others."""
    others = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(checkout), *([others] if others else [])])
    return {**os.environ, "PYTHONPATH": path}
