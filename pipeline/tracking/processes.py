"""Which process a run belongs to, and whether it is still alive."""

import math
import os
import platform
import uuid
from functools import cache
from pathlib import Path

import psutil

TAG = "process"
# A process's start is told by the clock, which may be set while it runs.
_TOLERANCE_SECONDS = 3600.0


@cache
def this_process() -> str:
    """This process as the value of a tag: host/pid/start."""
    return f"{host()}/{os.getpid()}/{_start(os.getpid()):.0f}"


@cache
def host() -> str:
    """The name of this machine; a container's and a clone's are names of their own.

    One store may serve many machines with one name, whose processes cannot be seen from here.
    """
    namespace = Path("/proc/self/ns/pid")
    numbers = namespace.stat().st_ino if namespace.exists() else 0
    return f"{platform.node() or 'localhost'}-{uuid.getnode():012x}-{numbers}"


def is_dead(process: str) -> bool:
    """Tell whether a process of this machine is gone; of others nothing is known.

    Args:
        process: as `this_process` named it.
    """
    name, pid, start = process.rsplit("/", 2)
    if name != host():
        return False
    now = _start(int(pid))
    return now is None or abs(now - float(start)) > _TOLERANCE_SECONDS


def _start(pid: int) -> float | None:
    """When the process with this number was started, in seconds; None where there is none."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return math.nan  # somebody's, and alive: no difference to it is too large
