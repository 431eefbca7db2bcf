"""Which process a run belongs to, and whether it is still alive."""

import os
import platform
import uuid
from functools import cache
from pathlib import Path

import psutil

TAG = "process"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
# Where start times come from the clock, which may be slewed or set meanwhile.
_TOLERANCE_SECONDS = 2.0
_TOLERANCE_SECONDS_OF_0_2 = 3600.0


@cache
def this_process() -> str:
    """This process as the value of a tag: host/pid/start.

    The start is boot:ticks on Linux, seconds since 1970 with a decimal point elsewhere. Version 0.2
    wrote whole seconds.
    """
    pid = os.getpid()
    start = _ticks(pid) if _BOOT.exists() else f"{psutil.Process(pid).create_time():.2f}"
    return f"{host()}/{pid}/{start}"


@cache
def host() -> str:
    """The name of this machine; a container and a clone have their own.

    One store may serve many machines with one name, whose processes cannot be seen from here.
    """
    namespace = Path("/proc/self/ns/pid")
    numbers = namespace.stat().st_ino if namespace.exists() else 0
    return f"{platform.node() or 'localhost'}-{uuid.getnode():012x}-{numbers}"


def is_dead(process: str) -> bool:
    """Whether a process of this machine is gone; False for processes of other machines.

    Args:
        process: as `this_process` named it.
    """
    name, pid, start = process.rsplit("/", 2)
    if name != host():
        return False
    try:
        if ":" in start:
            return _ticks(int(pid)) != start
        tolerance = _TOLERANCE_SECONDS if "." in start else _TOLERANCE_SECONDS_OF_0_2
        return abs(psutil.Process(int(pid)).create_time() - float(start)) > tolerance
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return True
    except (psutil.AccessDenied, PermissionError):
        return False  # another user's, and alive


def _ticks(pid: int) -> str:
    """The boot, and the clock ticks from it to the process's start; neither follows the clock.

    Raises:
        OSError: there is no such process, or it may not be seen.
    """
    # The command in brackets, which may hold anything, is the second field; the start is the 22nd.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return f"{_BOOT.read_text('ascii').strip()}:{fields.rpartition(')')[2].split()[19]}"
