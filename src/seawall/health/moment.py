"""What an error's row says of the machine at its moment: ``disk 99 % full on /data``."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seawall.health.reading import HealthStatus, Reading
from seawall.health.rules import status_of

_DISK = ("disk_percent", "disk_inodes_percent")

# What each errno is about.
_ABOUT = {
    errno.ENOSPC: _DISK,
    errno.EDQUOT: _DISK,
    errno.ENOMEM: ("memory_percent",),
    errno.EMFILE: ("open_files_percent",),
    errno.ENFILE: ("open_files_percent",),
}

_MOST_CAUSES = 16


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it came from, and the members of groups; a bounded number."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < _MOST_CAUSES:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(each.exceptions)
        waiting += [other for other in (each.__cause__, each.__context__) if other is not None]


def folder_of(error: BaseException) -> str | None:
    """The folder of the file that the error names, where an ``OSError`` names one."""
    for each in causes(error):
        if isinstance(each, OSError):
            for name in (each.filename2, each.filename):
                if isinstance(name, str | bytes | os.PathLike) and name:
                    path = Path(os.fsdecode(name)).absolute()
                    # A folder stands for itself only where the name ends so: the disk is the same.
                    return str(path.parent)
    return None


def about(error: BaseException) -> tuple[str, ...]:
    """The names of the readings that the error is about."""
    for each in causes(error):
        if isinstance(each, MemoryError):
            return ("memory_percent",)
        if isinstance(each, OSError) and each.errno in _ABOUT:
            return _ABOUT[each.errno]
    return ()


def describe(names: Sequence[str], found: Sequence[Reading], folder: str | None) -> dict[str, Any]:
    """The readings as a row has them: in words (``summary``), and by name.

    Those of ``names`` come first (of disks that of ``folder``), then what isn't ok.
    """

    def concerned(reading: Reading) -> bool:
        right_disk = folder is None or reading.name not in _DISK or reading.subject == folder
        return reading.name in names and right_disk

    ordered = sorted(found, key=lambda each: (not concerned(each), -each.status.severity))
    told = [each for each in ordered if concerned(each) or each.status is not HealthStatus.OK]
    fine = "every reading is ok" if found else "nothing could be read in time"
    return {
        "summary": "; ".join(each.says for each in told) or fine,
        "status": status_of(found).value,
        "readings": by_name(found),
    }


def by_name(found: Sequence[Reading]) -> dict[str, float]:
    """Values by name, a disk's with its folder."""
    return {
        each.name if each.subject is None else f"{each.name} {each.subject}": round(each.value, 3)
        for each in found
    }
