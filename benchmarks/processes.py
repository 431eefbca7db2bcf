"""Runs modules of this checkout as whole processes. It must not know what they do."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(*arguments: str, folder: Path) -> str:
    """What `python ARGUMENTS` prints, run in that folder with this checkout's packages.

    Raises:
        CalledProcessError: it failed; its messages were shown.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=with_this_checkout(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def with_this_checkout() -> dict[str, str]:
    """The environment of a process that imports this checkout's packages, before any others."""
    others = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(ROOT), *([others] if others else [])])
    return {**os.environ, "PYTHONPATH": path}
