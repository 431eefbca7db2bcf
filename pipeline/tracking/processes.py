"""Which process a run belongs to, and whether it is still alive.

It must not know stores or runs.
"""

import os
import platform
from functools import cache

import psutil

TAG = "process"


@cache
def this_process() -> str:
    """This process as the value of a tag: host/pid/start, which no other process ever has."""
    return f"{host()}/{os.getpid()}/{_start(os.getpid())}"


def host() -> str:
    """The name of this machine."""
    return platform.node() or "localhost"


def is_dead(process: str) -> bool:
    """Tell whether a process of this machine is gone; of others nothing is known.

    Args:
        process: as `this_process` named it.
    """
    name, pid, start = process.rsplit("/", 2)
    return name == host() and _start(int(pid)) != start


def _start(pid: int) -> str | None:
    """When the process with this number was started; None where there is none."""
    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return "unknown"
