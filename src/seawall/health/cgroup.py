"""What a container may use: psutil tells of the host, the kernel's control groups of the rest."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_UNLIMITED = 1 << 60  # version 1 says so by a number that no machine has


@dataclass(frozen=True, slots=True)
class CgroupUse:
    """Limits and use of the control groups that this process is in; None where there is none.

    Attributes:
        memory_limit: bytes.
        memory_used: bytes, without the cache of files that the kernel gives back by itself.
        processors: how many may be used at a time, such as 0.5.
        processor_seconds: used so far, where ``processors`` is known.
    """

    memory_limit: int | None = None
    memory_used: int | None = None
    processors: float | None = None
    processor_seconds: float | None = None


def read_cgroup(root: Path = _ROOT, own: Path = _OWN) -> CgroupUse:
    """Read version 2, else version 1; the level above it whose limit is nearest counts.

    Reads a few files of the kernel's: under a millisecond. What isn't there is None.
    """
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
        paths = {name: path for _, names, path in lines for name in names.split(",")}
    except (OSError, ValueError):
        return CgroupUse()
    if (root / "cgroup.controllers").exists():
        return _version_2(root, paths.get("", "/"))
    return _version_1(root, paths)


def _levels(top: Path, path: str) -> Iterator[Path]:
    """The group's folder and those above it; a container sees its own group at the top."""
    folder = top / path.lstrip("/")
    if not folder.is_dir():
        folder = top
    while True:
        yield folder
        if folder == top:
            return
        folder = folder.parent


def _version_2(root: Path, path: str) -> CgroupUse:
    limit = used = processors = seconds = None
    for folder in _levels(root, path):
        most, now = _number(folder / "memory.max"), _number(folder / "memory.current")
        if most and now is not None:
            now = max(0, now - _named(folder / "memory.stat", "inactive_file"))
            if limit is None or used is None or now / most > used / limit:
                limit, used = most, now
        quota, period = _pair(folder / "cpu.max")
        if quota and period and (processors is None or quota / period < processors):
            processors = quota / period
            seconds = _named(folder / "cpu.stat", "usage_usec") / 1e6
    return CgroupUse(limit, used, processors, seconds)


def _version_1(root: Path, paths: dict[str, str]) -> CgroupUse:
    limit = used = processors = seconds = None
    for folder in _levels(root / "memory", paths.get("memory", "/")):
        most = _number(folder / "memory.limit_in_bytes")
        now = _number(folder / "memory.usage_in_bytes")
        if most and most < _UNLIMITED and now is not None:
            now = max(0, now - _named(folder / "memory.stat", "total_inactive_file"))
            if limit is None or used is None or now / most > used / limit:
                limit, used = most, now
    accounts = list(_levels(root / "cpuacct", paths.get("cpuacct", "/")))
    for level, folder in enumerate(_levels(root / "cpu", paths.get("cpu", "/"))):
        quota = _number(folder / "cpu.cfs_quota_us")
        period = _number(folder / "cpu.cfs_period_us")
        if quota and period and quota > 0 and (processors is None or quota / period < processors):
            spent = _number(accounts[min(level, len(accounts) - 1)] / "cpuacct.usage")
            if spent is not None:
                processors, seconds = quota / period, spent / 1e9
    return CgroupUse(limit, used, processors, seconds)


def _number(path: Path) -> int | None:
    """The number in the file; None for ``max``, and where there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _pair(path: Path) -> tuple[int | None, int | None]:
    try:
        quota, period = path.read_text().split()
        return (None if quota == "max" else int(quota)), int(period)
    except (OSError, ValueError):
        return None, None


def _named(path: Path, name: str) -> int:
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    except (OSError, ValueError):
        pass
    return 0
