"""Who this process is, so that another one on its machine can tell whether it still lives."""

import functools
import os
import socket
from pathlib import Path
from uuid import uuid4

import psutil

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys/kernel/random/boot_id"
_START_FIELD = 19  # of /proc/PID/stat, counted behind the command's closing parenthesis
_TOLERANCE = 2.0  # seconds by which two readings of a start by psutil may differ


@functools.cache
def machine() -> str:
    """Where process ids mean the same: this boot of this machine, and its pid namespace."""
    try:
        if _BOOT_ID.exists():
            return f"{_BOOT_ID.read_text().strip()} {(_PROC / 'self/ns/pid').readlink()}"
        return f"{socket.gethostname()} {psutil.boot_time():.0f}"
    except (OSError, psutil.Error):
        # A sandbox that doesn't tell: like no other, so that nobody is taken for dead by mistake.
        return f"unknown {uuid4()}"


def identity() -> str:
    """This process: machine, pid and start."""
    return f"{machine()}|{os.getpid()}|{_started(os.getpid())}"


def is_dead(other: str | None) -> bool:
    """Whether the process that called itself ``other`` has certainly ended.

    False where it can't be known: it runs on another machine, or in another container.
    """
    try:
        where, pid, started = (other or "").rsplit("|", 2)
        if where != machine():
            return False
        if psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE:
            return True
        # Another start: the pid was given to another process since.
        return abs(_started(int(pid)) - float(started)) > (0 if _BOOT_ID.exists() else _TOLERANCE)
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return not _exists(int(pid))  # /proc may hide the processes of other users (hidepid)
    except (ValueError, OSError, psutil.Error):
        return False


def _exists(pid: int) -> bool:
    if os.name != "posix":  # where signal 0 would end it
        return psutil.pid_exists(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> float:
    """When the process started: clock ticks since boot on Linux, which no clock step changes."""
    if _BOOT_ID.exists():
        stat = (_PROC / str(pid) / "stat").read_bytes()
        return float(stat.rpartition(b")")[2].split()[_START_FIELD])
    return psutil.Process(pid).create_time()
