"""Rows on their way to this machine's disk: many callers, one write and one fsync."""

import asyncio
import errno
import logging
import os
from dataclasses import dataclass

import aiofiles.os
import anyio

from seawall.clock import owned_task
from seawall.errors import JournalFullError
from seawall.journal.folder import JournalFolder, OpenFile, write_all
from seawall.journal.frame import Rows, frame

_logger = logging.getLogger("seawall.journal")


@dataclass(slots=True)
class _Waiting:
    rows: Rows
    written: "asyncio.Future[None]"


class Journal:
    """Appends rows to a file of this process; belongs to one event loop and one process.

    Args:
        folder: where files are; other processes may share it.
        most_bytes: of all files in the folder together.

    Attributes:
        rows: written since the last time that nothing waited.
    """

    def __init__(self, folder: JournalFolder, most_bytes: int) -> None:
        self.folder, self._most_bytes = folder, most_bytes
        self._file: OpenFile | None = None
        self._others = 0  # bytes of the other files
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None
        self._writing = anyio.Lock()
        self.rows = 0

    async def append(self, rows: Rows) -> None:
        """Write rows; they are on disk, together, when this returns.

        Raises:
            JournalFullError: there is no room for them within the bound, or on the disk.
            OSError: the folder can't be written.
            TypeError: a value is of a type that rows of ours don't have.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(rows, written))
        if self._task is None or self._task.done():
            # In a task of its own: no caller's cancellation ends what others wait for.
            self._task = owned_task(self._drain(), "seawall journal writer")
        await written

    async def _drain(self) -> None:
        """Write for all that came, and then for all that came meanwhile."""
        while self._waiting:
            async with self._writing:
                batch, self._waiting = self._waiting, []
                await self._write(batch)

    async def _write(self, batch: list[_Waiting]) -> None:
        try:
            file = await self._opened()
            data, taken = self._frames(batch, file)
            if data:
                await asyncio.to_thread(_write_through, file, data)
        except BaseException as error:
            self._give_up_unsure()
            reason = _as_full(error)
            for each in batch:
                if not each.written.done():
                    each.written.set_exception(reason)
                    each.written.exception()  # whoever was cancelled doesn't ask
            if not isinstance(error, Exception):
                raise
        else:
            for each in taken:
                self.rows += len(each.rows)
                if not each.written.done():
                    each.written.set_result(None)

    def _frames(self, batch: list[_Waiting], file: OpenFile) -> tuple[bytes, list[_Waiting]]:
        """The bytes of those that have room; the others are told that they have none."""
        parts, taken, at = [], [], file.size
        for each in batch:
            try:
                part = frame(each.rows, file.file_id, at)
                if self._others + at + len(part) > self._most_bytes:
                    raise JournalFullError(
                        f"the journal in {self.folder.path} has {self._others + at:,} of "
                        f"{self._most_bytes:,} bytes (journal_max_bytes): bring PostgreSQL back, "
                        "or give it more room"
                    )
            except (TypeError, OverflowError, ValueError, JournalFullError) as error:
                each.written.set_exception(error)
                each.written.exception()
                continue
            parts.append(part)
            taken.append(each)
            at += len(part)
        return b"".join(parts), taken

    async def _opened(self) -> OpenFile:
        if self._file is None:
            self._file = await asyncio.to_thread(self.folder.create)
        # Each time: the others' files grow as well.
        self._others = await asyncio.to_thread(self.folder.used) - self._file.size
        return self._file

    def _give_up_unsure(self) -> None:
        """Begin another file, where nobody knows what is behind the end of this one.

        It is let go: what was told to be on disk is in front of that, and is replayed.
        """
        file = self._file
        if file is not None and file.unsure:
            self._file = None
            file.close()

    async def seal(self) -> OpenFile | None:
        """End the present file, to be replayed; None where there is none. Its lock stays held."""
        async with self._writing:
            file, self._file = self._file, None
        return file

    async def waits(self) -> bool:
        """Whether there may be something to replay, of this process or of dead ones."""
        if self._file is not None:
            return True
        if not await aiofiles.os.path.isdir(self.folder.path):
            return False
        return any(not each.held for each in await asyncio.to_thread(self.folder.listing))

    def leave_to_parent(self) -> None:
        """After a fork: this process's copy of the descriptor would keep the file locked."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    async def aclose(self) -> None:
        """Let the present file go; the next process to start replays it."""
        file = await self.seal()
        if file is not None:
            _logger.warning("%s waits for the next process to replay it", file.path)
            file.close()


def _write_through(file: OpenFile, data: bytes) -> None:
    """Append and sync; what was written in part is cut off again."""
    file.unsure = True
    try:
        write_all(file.descriptor, data)
    except OSError:
        os.ftruncate(file.descriptor, file.size)
        os.fsync(file.descriptor)
        file.unsure = False
        raise
    os.fsync(file.descriptor)  # once it has failed, nobody knows what is on the disk
    file.unsure = False
    file.size += len(data)


def _as_full(error: BaseException) -> BaseException:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return JournalFullError(f"the disk of the journal is full: {error}")
    if isinstance(error, Exception):
        return error
    return ConnectionError("stopped while it was written to the journal")
