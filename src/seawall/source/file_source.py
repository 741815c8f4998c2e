"""What files of records have in common: byte offsets as positions, bounded memory, resuming."""

import codecs
import logging
import os
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from seawall.config import Range
from seawall.errors import InvalidConfigError, SourceChangedError, SourceError
from seawall.source.blocks import Blocks, opened

_logger = logging.getLogger("seawall.source")

Compression = Literal["infer", "gzip", "none"]
Positioned = tuple[int, Any]

_GZIP_SUFFIXES = (".gz", ".gzip")
_LINE_ENDS = b"\r\n"
_BYTES = Range(int, 1)
_OFFSET = Range(int)
_MOST_MARKS = 1024


class Parser(Protocol):
    """Makes records of bytes. Belongs to one reading."""

    def parse(self, data: bytes, start: int, *, final: bool) -> tuple[list[Positioned], int]:
        """The records that end within ``data``, and how many of its bytes they took.

        Args:
            data: begins where a record may begin.
            start: offset of its first byte.
            final: nothing comes behind it: all of it is used.
        """
        ...


class Window:
    """The bytes that were read and not yet used, and where in the content they stand."""

    def __init__(self, blocks: Blocks, name: str, block_size: int, limit: int) -> None:
        self._blocks, self._name, self._block_size, self._limit = blocks, name, block_size, limit
        self.data = b""
        self.start = 0

    @property
    def end(self) -> int:
        return self.start + len(self.data)

    async def more(self) -> bool:
        """Read on; False where the content has ended.

        Raises:
            SourceError: no record ends within ``max_record_bytes``.
        """
        held = len(self.data)
        if held > self._limit:
            raise SourceError(
                f"{self._name}: the record at byte {self.start} is longer than "
                f"max_record_bytes={self._limit}. Nothing of it was read, and the position is "
                "before it: raise max_record_bytes, or mend the file"
            )
        # As much again as is held: a record of many blocks is looked at a few times only.
        block = await self._blocks.read(max(self._block_size, min(held, self._limit - held)))
        self.data = self.data + block if held else block
        return bool(block)

    def use(self, count: int) -> None:
        self.data = self.data[count:]
        self.start += count

    async def skip_bom(self) -> None:
        while len(self.data) < len(codecs.BOM_UTF8) and await self.more():
            pass
        if self.data.startswith(codecs.BOM_UTF8):
            self.use(len(codecs.BOM_UTF8))

    async def resume_at(self, offset: int) -> None:
        """Go on at ``offset``, where a record ended.

        Raises:
            SourceChangedError: the content doesn't reach that far, or no record ends there.
        """
        # From the byte before it: it tells whether the file is still what it was.
        before = offset - 1
        if self.start <= before <= self.end:
            self.use(before - self.start)
        else:
            await self._blocks.skip_to(before)
            self.data, self.start = b"", before
        while len(self.data) < 2 and await self.more():
            pass
        if not self.data:
            raise SourceChangedError(
                f"{self._name}: it ends before byte {offset}, up to which it was read already; it "
                "was cut or replaced. Bring the file back, or begin a new run"
            )
        if self.data[0] not in _LINE_ENDS and self.data[1:2] not in (b"", b"\n", b"\r"):
            raise SourceChangedError(
                f"{self._name}: no record ends at byte {offset}, up to which it was read; it was "
                "replaced, or its last line was read before it was complete. Begin a new run, with "
                "complete_lines_only=True where the file is still being written"
            )
        self.use(1)


class FileSource(ABC):
    """A file of records, read in blocks; each record's position is the offset of its end."""

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        *,
        compression: Compression,
        complete_lines_only: bool,
        chunk_bytes: int,
        max_record_bytes: int,
    ) -> None:
        if compression not in ("infer", "gzip", "none"):
            raise InvalidConfigError(
                f"compression={compression!r}: must be 'infer' (by the file's name), 'gzip' or "
                "'none'"
            )
        _BYTES.check("chunk_bytes", chunk_bytes)
        _BYTES.check("max_record_bytes", max_record_bytes)
        self.path = Path(path)
        self._gzip = compression == "gzip" or (
            compression == "infer" and self.path.suffix.lower() in _GZIP_SUFFIXES
        )
        self._complete_lines_only = complete_lines_only
        self._chunk_bytes, self._max_record_bytes = chunk_bytes, max_record_bytes
        self._size: int | None = None
        # Of a gzip file: content offset and file offset, of the blocks read last.
        self._marks: deque[tuple[int, int]] = deque(maxlen=_MOST_MARKS)
        self._told = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @abstractmethod
    async def _begin(self, window: Window) -> Parser | None:
        """A parser for one reading, past what stands before the first record; None: no such yet."""

    async def chunks(self, after: Any) -> AsyncIterator[Sequence[Positioned]]:
        """The records behind byte ``after`` (None: all); see ``RecordSource``.

        Raises:
            InvalidConfigError: ``after`` is no position of a file.
            SourceChangedError: the file is shorter than ``after``, or no record ends there.
            SourceError: a record is longer than ``max_record_bytes``; a gzip file is damaged or cut
                off. The records before it were given.
            OSError: the file can't be read.
        """
        if after is not None and not _OFFSET.accepts(after):
            raise InvalidConfigError(
                f"position {after!r} of {self.path}: must be {_OFFSET.describe()}: a byte's offset"
            )
        async with opened(self.path, gzip=self._gzip) as (blocks, self._size):
            self._marks.clear()
            window = Window(blocks, str(self.path), self._chunk_bytes, self._max_record_bytes)
            if self._gzip and after:
                self._tell(after)
            parser = await self._begin(window)
            if after is not None and after > 0:
                await self._resume(window, after)
            more = parser is not None
            while parser is not None and more:
                more = await window.more()
                self._marks.append((window.end, blocks.raw_offset))
                records, used = parser.parse(
                    window.data, window.start, final=not more and not self._complete_lines_only
                )
                window.use(used)
                if records:
                    yield records

    async def _resume(self, window: Window, after: int) -> None:
        if after < window.start:
            raise SourceChangedError(
                f"{self.path}: the position {after} lies within its header, which ends at byte "
                f"{window.start}; the file was replaced. Begin a new run"
            )
        if after > window.start:
            await window.resume_at(after)

    def _tell(self, after: int) -> None:
        if not self._told:
            self._told = True
            _logger.info(
                "%s: gzip has to be read from its start: dropping %d bytes of content", self.path,
                after,
            )  # fmt: skip

    def fraction(self, position: Any) -> float | None:
        """The share of the file's bytes up to ``position``.

        Of a gzip file: of the compressed bytes, near enough; None before it has been read that far.
        """
        if self._size is None:
            try:
                self._size = self.path.stat().st_size
            except OSError:
                return None
        offset = position or 0
        if self._gzip:
            if not self._marks or offset > self._marks[-1][0]:
                return None
            offset = self._raw_offset(offset)
        return min(1.0, offset / self._size) if self._size else 1.0

    def _raw_offset(self, offset: int) -> float:
        place = bisect_left(self._marks, (offset, 0))
        content, raw = self._marks[place]
        start, raw_start = self._marks[place - 1] if place else (0, 0)
        if content == start:
            return raw
        return raw_start + (raw - raw_start) * (offset - start) / (content - start)
