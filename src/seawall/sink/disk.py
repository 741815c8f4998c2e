"""The system calls of the file sink, in one place: a crash falls between two of these."""

import errno
import os
from pathlib import Path

_CHUNK = 1 << 20
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class Disk:
    """Files by descriptor and by path; every method may raise ``OSError``."""

    def make_folder(self, folder: Path) -> None:
        """Make the folder and those above it, where they aren't there, to last."""
        if folder.is_dir():
            return
        self.make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        self.sync_folder(folder.parent)

    def create(self, path: Path) -> int:
        """A descriptor of a new, empty file; ``FileExistsError`` where there is one already."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def open(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def size(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_size

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        """All of ``data`` at ``offset``; an error can leave a part of it."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(descriptor, rest, offset)
            rest, offset = rest[written:], offset + written

    def truncate(self, descriptor: int, length: int) -> None:
        os.ftruncate(descriptor, length)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def copy(self, source: int, target: int, length: int) -> None:
        """The first ``length`` bytes of ``source`` into the empty ``target``."""
        place = 0
        while place < length:
            data = os.pread(source, min(_CHUNK, length - place), place)
            if not data:
                raise OSError(errno.EIO, "the file ended before its committed length")
            self.write(target, data, place)
            place += len(data)

    def publish(self, source: Path, target: Path) -> None:
        """Give ``source`` the name ``target``, whole and at once, unless that name is taken.

        Raises:
            FileExistsError: another file has the name.
            FileNotFoundError: ``source`` is gone.
        """
        try:
            os.link(source, target)
        except FileExistsError:
            if not source.samefile(target):
                raise
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # A file system without hard links. A rename would replace what is there: look first.
            if source.exists() and target.exists():
                raise FileExistsError(errno.EEXIST, "the name is taken", str(target)) from None
            source.rename(target)
            return
        self.remove(source)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        """Make creations, renames and removals in ``folder`` last."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:  # pragma: no cover - file systems that can't sync a folder
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(descriptor)
