"""Bringing journal files to the database: in order, each row once, however often it is tried."""

import asyncio
import logging
import os
from dataclasses import dataclass
from typing import Protocol

from seawall.journal.folder import JournalFolder, OpenFile
from seawall.journal.frame import Damage, Rows, frame, frames

_logger = logging.getLogger("seawall.journal")

_AT_ONCE = 2_000  # rows a transaction


class ReplayStore(Protocol):
    """Where rows go."""

    async def replay(self, rows: Rows) -> Rows:
        """Write rows that may be there already, in one transaction; those that are refused.

        Raises whatever says that the database can't be reached; nothing is lost then.
        """
        ...


@dataclass(slots=True)
class Replayed:
    """What a replay did.

    Attributes:
        files: that were replayed whole.
        rows: brought to the database; those that were there already count too.
        refused: rows that the database refuses; they stand in files ``.refused``.
        damaged_bytes: that could not be read; they stand in files ``.corrupt``.
    """

    files: int = 0
    rows: int = 0
    refused: int = 0
    damaged_bytes: int = 0

    def add(self, other: "Replayed") -> None:
        self.files += other.files
        self.rows += other.rows
        self.refused += other.refused
        self.damaged_bytes += other.damaged_bytes


async def replay(folder: JournalFolder, file: OpenFile, store: ReplayStore) -> Replayed:
    """Bring a file's rows to the database, delete it and let it go; its lock must be held.

    Again after an interruption, it begins anew: rows that are there already stay as they are.

    Raises whatever the store does; the file is there then as it was, and still held.
    """
    done = Replayed(files=1)
    data = await asyncio.to_thread(_read, file.descriptor)
    rows: Rows = []
    refused: Rows = []
    damaged: list[bytes] = []
    for found in frames(data, file.file_id):
        if isinstance(found, Damage):
            # Of a process that died while it wrote: nobody was told that this was on disk. Or
            # the disk has lost it. The two look alike, so that it is kept.
            damaged.append(data[found.start : found.end])
            continue
        rows += found.rows
        if len(rows) >= _AT_ONCE:
            refused += await store.replay(rows)
            done.rows += len(rows)
            rows = []
    if rows:
        refused += await store.replay(rows)
        done.rows += len(rows)
    # Only now: an interrupted replay would set them aside twice.
    await asyncio.to_thread(_set_aside, folder, file, refused, b"".join(damaged))
    done.rows -= len(refused)
    done.refused, done.damaged_bytes = len(refused), sum(map(len, damaged))
    await asyncio.to_thread(folder.remove, file)
    file.close()
    return done


def _set_aside(folder: JournalFolder, file: OpenFile, refused: Rows, damaged: bytes) -> None:
    if damaged:
        path = folder.set_aside(file, "corrupt", damaged)
        _logger.warning(
            "%d bytes of %s can't be read; they are in %s", len(damaged), file.path.name, path
        )
    if refused:
        path = folder.set_aside(file, "refused", frame(refused, file.file_id, 0))
        _logger.error("the database refuses %d rows of the journal; see %s", len(refused), path)


def _read(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    parts, at = [], 0
    while at < size and (part := os.pread(descriptor, min(1 << 24, size - at), at)):
        parts.append(part)
        at += len(part)
    return b"".join(parts)
