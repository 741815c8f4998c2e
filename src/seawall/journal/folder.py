"""The folder of a journal: files of several processes, each locked by its living owner."""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from seawall.clock import uuid7

_NAME = re.compile(r"(?P<id>[0-9a-f]{32})\.journal")


@dataclass(slots=True)
class OpenFile:
    """A journal file whose lock this process holds, until ``close``.

    Attributes:
        path: where it is; its name is its id, so that names sort by time.
        descriptor: open for reading and appending.
        size: bytes that are known to be on disk, or none where it was adopted.
        unsure: what is behind these is unknown.
    """

    path: Path
    file_id: UUID
    descriptor: int
    size: int = 0
    unsure: bool = False

    def close(self) -> None:
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that waits: ``held``: its owner lives, and goes on writing or replaying it."""

    path: Path
    size: int
    modified_at: float
    held: bool


class JournalFolder:
    """Files ``<id>.journal`` in one folder, readable by their owner alone; all calls may block.

    Args:
        path: the folder; made, with its parents, when the first file is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> OpenFile:
        """A new file, locked; its name is on disk when this returns.

        Raises:
            OSError: the folder can't be written.
        """
        self._make()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        while True:
            file_id = uuid7()
            path = self.path / f"{file_id.hex}.journal"
            descriptor = os.open(path, flags, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if os.fstat(descriptor).st_nlink:
                    self.sync()
                    return OpenFile(path, file_id, descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            # Before it was locked, another process took it for a dead one's: empty, and deleted.
            os.close(descriptor)

    def _make(self) -> None:
        """The folder, and the one around it where that is not there, for their owner alone."""
        for path in (self.path.parent, self.path):
            with contextlib.suppress(FileExistsError):
                path.mkdir(parents=True, mode=0o700)
        self.path.chmod(0o700)

    def adopt(self) -> Iterator[OpenFile]:
        """Files whose owner has died, the oldest first, each locked for this process."""
        for path, file_id in self._files():
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # its owner, or another process, has replayed it
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            if os.fstat(descriptor).st_nlink == 0:  # replayed between the two calls
                os.close(descriptor)
                continue
            yield OpenFile(path, file_id, descriptor)

    def used(self) -> int:
        """Bytes of all files that wait."""
        total = 0
        for path, _ in self._files():
            with contextlib.suppress(FileNotFoundError):  # replayed meanwhile
                total += path.stat().st_size
        return total

    def listing(self) -> list[Listed]:
        """The files that wait, the oldest first."""
        found = []
        for path, _ in self._files():
            try:
                with path.open("rb") as file:
                    held = _is_held(file.fileno())
                    status = os.fstat(file.fileno())
            except FileNotFoundError:
                continue
            found.append(Listed(path, status.st_size, status.st_mtime, held))
        return found

    def remove(self, file: OpenFile) -> None:
        """Delete a file that was replayed, while its lock is held."""
        file.path.unlink(missing_ok=True)
        self.sync()

    def set_aside(self, file: OpenFile, kind: str, data: bytes) -> Path:
        """Keep bytes of a file that could not be replayed beside it; on disk when this returns."""
        path = file.path.with_suffix(f".{kind}")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.sync()
        return path

    def sync(self) -> None:
        """Bring the folder's names to disk."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _files(self) -> list[tuple[Path, UUID]]:
        if not self.path.is_dir():
            return []
        return [
            (path, UUID(match["id"]))
            for path in sorted(self.path.iterdir())
            if (match := _NAME.fullmatch(path.name))
        ]


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it, or raise what the system says."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False
