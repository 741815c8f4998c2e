"""Files as sources of blocks: CSV and JSON lines, plain or gzip."""

import functools
import os
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, Protocol, cast

from anyio import to_thread

from seawall.errors import InvalidConfigError
from seawall.records import CopyForm, Malformed
from seawall.source.blocks import opened
from seawall.source.csv_blocks import CsvCutter
from seawall.source.csv_source import CsvSource
from seawall.source.file_block import FileBlock, csv_texts, escaped_texts
from seawall.source.file_source import Compression, FileSource, Window
from seawall.source.json_blocks import JsonCutter
from seawall.source.json_lines import JsonLinesSource

_READ_BYTES = 4 * 1024 * 1024
_LIMIT = 64 * 1024 * 1024
_QUOTED_LIMIT = 4 * 1024 * 1024  # bytes that a record may have whose quotes are out of order


class Cutter(Protocol):
    """Cuts bytes into blocks."""

    def cut(
        self, data: bytes, start: int, line: int, *, final: bool
    ) -> tuple[FileBlock | None, int]: ...


class BlockFile(FileSource):
    """A file whose records are given in blocks: a ``RecordSource``.

    A position is ``[name, byte, line]``: where the record ends. Resuming seeks to the byte; gzip is
    decompressed again from its start.

    Args:
        path: the file; ``.gz`` is taken for gzip unless ``compression`` says otherwise.
        name: what positions call it; its path without it.
        rows: records a block, about: a block also ends with what was read at a time.
    """

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        *,
        name: str | None = None,
        rows: int = 50_000,
        compression: Compression = "infer",
        read_bytes: int = _READ_BYTES,
        max_record_bytes: int = _LIMIT,
    ) -> None:
        super().__init__(
            path,
            compression=compression,
            complete_lines_only=False,
            chunk_bytes=read_bytes,
            max_record_bytes=max_record_bytes,
        )
        self.name, self._rows = name or str(self.path), rows

    @abstractmethod
    async def _cutter(self, window: Window) -> tuple[Cutter, int] | None:
        """What cuts its blocks, past the header, and the header's lines; None: it is empty."""

    async def _begin(self, window: Window) -> None:
        raise NotImplementedError  # it has a cutter in the place of a parser

    async def chunks(self, after: Any) -> AsyncIterator[FileBlock]:
        """The blocks behind ``after`` (None: all).

        Raises:
            InvalidConfigError: ``after`` is no position of a file.
            SourceChangedError: the file is shorter than ``after``, or no record ends there.
            SourceError: its header can't be read, a record is too long, or gzip is damaged.
            OSError: the file can't be read.
        """
        offset, line = self._place(after)
        async with opened(self.path, gzip=self._gzip) as (blocks, self._size):
            self._marks.clear()
            window = Window(blocks, str(self.path), self._chunk_bytes, self._max_record_bytes)
            if self._gzip and offset:
                self._tell(offset)
            begun = await self._cutter(window)
            if begun is None:
                return
            cutter, header_lines = begun
            if offset:
                await self._resume(window, offset)
            line = line or header_lines
            more = True
            while more:
                more = await window.more()
                self._marks.append((window.end, blocks.raw_offset))
                used = 1
                while used and window.data:
                    before = window.data
                    cut = functools.partial(cutter.cut, before, window.start, line, final=not more)
                    # In a thread: it may take as long as loading, and is done beside it.
                    block, used = await to_thread.run_sync(cut)
                    line += before.count(b"\n", 0, used)
                    window.use(used)
                    if block is not None:
                        yield block

    def _place(self, after: Any) -> tuple[int, int]:
        if after is None:
            return 0, 0
        if isinstance(after, list | tuple) and len(after) == 3 and after[0] == self.name:
            _, offset, line = after
            if isinstance(offset, int) and isinstance(line, int):
                return offset, line
        raise InvalidConfigError(
            f"position {after!r} of {self.path}: must be [{self.name!r}, byte, line]"
        )

    def fraction(self, position: Any) -> float | None:
        """The share of the file's bytes up to ``position``."""
        return super().fraction(self._place(position)[0])

    async def sample(self, records: int) -> list[dict[str, str | None]]:
        """The first records that can be read, as texts."""
        found: list[dict[str, str | None]] = []
        async with aclosing(cast("Any", self.chunks(None))) as chunks:
            async for block in chunks:
                for index in range(min(len(block), records - len(found))):
                    if isinstance(block.lines[index], bytes):
                        values = block.texts(index)
                        found.append(dict(zip(block.columns, values, strict=True)))
                if len(found) >= records:
                    break
        return found


class CsvBlocks(BlockFile):
    """A CSV file in blocks: its bytes are COPY's, where COPY reads them as the csv module does.

    A row of another number of fields than the header, a quote out of place behind a quoted field or
    never closed, and bytes that the encoding doesn't have make a record ``Malformed``. A quote in
    the middle of a field without quotes is part of it. Blank lines are skipped.

    Args:
        path: the file.
        delimiter, quote: one ASCII character each.
        null: what stands for NULL where it is not in quotes.
        encoding: any with ASCII's line ends.
        header: whether the first row holds the names.
        names: the columns' names, in place of those in the header.
        **options: see ``BlockFile``.
    """

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        *,
        delimiter: str = ",",
        quote: str = '"',
        null: str = "",
        encoding: str = "utf-8",
        header: bool = True,
        names: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        for key, value in (("delimiter", delimiter), ("quote", quote)):
            if len(value) != 1 or not value.isascii() or value in "\r\n\0":
                raise InvalidConfigError(f"{key}={value!r}: must be one ASCII character")
        if delimiter == quote:
            raise InvalidConfigError(f"delimiter={delimiter!r}: is the quote character too")
        if any(each in null for each in (delimiter, quote, "\r", "\n")):
            raise InvalidConfigError(f"null={null!r}: must hold no delimiter, quote or line end")
        self._form = CopyForm(delimiter=delimiter, quote=quote, null=null)
        self._plain = CsvSource(
            path,
            encoding=encoding,
            delimiter=delimiter,
            quotechar=quote,
            header=header,
            names=names,
            compression="gzip" if self._gzip else "none",
        )

    async def _cutter(self, window: Window) -> tuple[Cutter, int] | None:
        heading = await self._plain.heading(window)
        if heading is None:
            return None
        names, raw = heading
        return self._cutter_of(tuple(names), lone_cr=raw.endswith(b"\r")), raw.count(b"\n")

    def _cutter_of(self, names: tuple[str, ...], *, lone_cr: bool = False) -> CsvCutter:
        return CsvCutter(
            self._form,
            self._plain.encoding,
            names,
            (self.name,),
            _QUOTED_LIMIT,
            self._rows,
            lone_cr=lone_cr,
        )

    def row_of(self, line: bytes, columns: tuple[str, ...]) -> dict[str, Any] | Malformed:
        """One record from its line."""
        split, _ = self._cutter_of(columns).split(line, 0, 0, final=True)
        if len(split.lines) != 1:
            return Malformed(line, f"{len(split.lines)} records where one belongs")
        (found,) = split.lines
        if isinstance(found, Malformed):
            return found
        return dict(zip(columns, csv_texts(self._form, found.decode()), strict=True))

    async def columns(self) -> tuple[str, ...] | None:
        """The columns' names; None of a file that is empty.

        Raises:
            SourceError: the header can't be read, or a name comes twice.
            OSError: the file can't be read.
        """
        async with opened(self.path, gzip=self._gzip) as (blocks, _):
            window = Window(blocks, str(self.path), 64 * 1024, self._max_record_bytes)
            heading = await self._plain.heading(window)
        return None if heading is None else tuple(heading[0])


class JsonBlocks(BlockFile):
    """A file with a JSON object a line, in blocks: each line becomes one of COPY's.

    A key that a line lacks is NULL. Numbers reach the server as they are written; arrays and
    objects as JSON. What is no JSON object, and one with a key that isn't asked for, is
    ``Malformed``.

    Args:
        path: the file.
        names: the keys to be loaded; others are left out then. Without it those of the file's first
            ``sample`` lines.
        sample: how many lines are looked at for keys.
        **options: see ``BlockFile``.
    """

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        *,
        names: Sequence[str] | None = None,
        sample: int = 1000,
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        self._names, self._sample = None if names is None else tuple(names), sample

    async def _cutter(self, window: Window) -> tuple[Cutter, int] | None:
        await window.skip_bom()
        names = self._names or await self.columns()
        if names is None:
            return None
        cutter = JsonCutter(names, (self.name,), self._rows, others_ok=self._names is not None)
        return cutter, 0

    async def columns(self) -> tuple[str, ...] | None:
        """The keys; None of a file without a record that can be read."""
        if self._names is not None:
            return self._names
        keys: dict[str, None] = {}
        for record in await self.objects(self._sample):
            keys.update(dict.fromkeys(record))
        return tuple(keys) or None

    def row_of(self, line: bytes, columns: tuple[str, ...]) -> dict[str, Any] | Malformed:
        """One record from its line."""
        cutter = JsonCutter(columns, (), 1, others_ok=self._names is not None)
        found = cutter.converted(line)
        if isinstance(found, bytes):
            return dict(zip(columns, escaped_texts(found.decode()), strict=True))
        return found or Malformed(line, "a blank line")

    async def objects(self, count: int) -> list[dict[str, Any]]:
        """The first records that can be read."""
        source = JsonLinesSource(
            self.path,
            type=dict[str, Any],
            compression="gzip" if self._gzip else "none",
            max_record_bytes=self._max_record_bytes,
        )
        found: list[dict[str, Any]] = []
        async with aclosing(cast("Any", source.chunks(None))) as chunks:
            async for chunk in chunks:
                found += [each for _, each in chunk if isinstance(each, dict)]
                if len(found) >= count:
                    break
        return found[:count]
