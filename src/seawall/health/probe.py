"""Reads the machine and the process with psutil. Blocks for moments: to be called in a thread."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.health.cgroup import CgroupUse, read_cgroup
from seawall.health.reading import Disk, Machine

_SPAN = 0.05  # seconds of a processor; a shorter one's use is noise, the last one's is told
_MOST_FILES = 1 << 40  # a limit above this is none


class MachineProbe:
    """Reads what psutil and the kernel tell. May be used from one thread at a time."""

    def __init__(
        self, clock: Clock = SYSTEM_CLOCK, cgroup: Callable[[], CgroupUse] = read_cgroup
    ) -> None:
        self._clock, self._cgroup = clock, cgroup
        # psutil keeps such figures itself, but one for each thread, and for whoever else asks.
        self._before = self._processors(cgroup())
        self._cpu: float | None = None

    def machine(self, *, keep: bool = True) -> Machine:
        """Processors (since the last reading that was kept), memory, open files."""
        group = self._cgroup()
        now = self._processors(group)
        if now[1] - self._before[1] >= _SPAN:
            self._cpu = _busy(self._before, now)
            if keep:
                self._before = now
        percent, free, whose = _memory(group)
        files, limit = _files()
        return Machine(
            cpu_percent=self._cpu,
            memory_percent=percent,
            memory_free_bytes=free,
            open_files=files,
            open_files_limit=limit,
            limited_by=whose,
        )

    def disks(self, paths: Iterable[str]) -> tuple[Disk, ...]:
        """The disk of each path, or of the nearest folder above it that is there; each disk once.

        Waits for as long as the file system does not answer.
        """
        seen: dict[int, Disk] = {}
        for path in paths:
            try:
                folder = _existing(path)
                device = folder.stat().st_dev
                if device not in seen:
                    seen[device] = _disk(folder, path)
            except OSError:
                continue  # away, or not to be read by this user
        return tuple(seen.values())

    def _processors(self, group: CgroupUse) -> tuple[float, float]:
        """Seconds of processors used, and had, since some moment."""
        if group.processors is not None and group.processor_seconds is not None:
            return group.processor_seconds, self._clock.monotonic() * group.processors
        try:
            times = psutil.cpu_times()._asdict()
        except (psutil.Error, OSError):
            return 0.0, 0.0
        # Linux counts the guests' time as the user's too.
        total = sum(times.values()) - times.get("guest", 0) - times.get("guest_nice", 0)
        return total - times["idle"] - times.get("iowait", 0), total


def _busy(before: tuple[float, float], now: tuple[float, float]) -> float:
    return max(0.0, min(100.0, 100 * (now[0] - before[0]) / (now[1] - before[1])))


def _memory(group: CgroupUse) -> tuple[float | None, int | None, str]:
    percent = free = None
    try:
        host = psutil.virtual_memory()
        percent, free = float(host.percent), int(host.available)
    except (psutil.Error, OSError):
        pass
    if group.memory_limit and group.memory_used is not None:
        share = 100 * group.memory_used / group.memory_limit
        if percent is None or share > percent:
            return min(100.0, share), max(0, group.memory_limit - group.memory_used), "cgroup"
    return percent, free, "host"


def _files() -> tuple[int | None, int | None]:
    try:
        if sys.platform == "win32":
            return psutil.Process().num_handles(), None
        import resource

        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        limit = soft if 0 < soft < _MOST_FILES else None
        return psutil.Process().num_fds(), limit
    except (psutil.Error, OSError):
        return None, None


def _existing(path: str) -> Path:
    folder = Path(path).absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _disk(folder: Path, path: str) -> Disk:
    use = psutil.disk_usage(str(folder))
    inodes = None
    if hasattr(os, "statvfs"):
        there = os.statvfs(folder)
        had = there.f_files - there.f_ffree + there.f_favail
        # Some file systems make them as they are needed, and say 0.
        if there.f_files and had > 0:
            inodes = 100 * (there.f_files - there.f_ffree) / had
    return Disk(
        path=path, percent=float(use.percent), free_bytes=int(use.free), inodes_percent=inodes
    )
