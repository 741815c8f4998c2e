"""A file's bytes, a block at a time: as they are, or out of gzip."""

import contextlib
import os
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import aiofiles

from seawall.clock import MACHINE_CLOCK
from seawall.errors import SourceError

_COMPRESSED_BLOCK = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS  # zlib's word for "with gzip's header and checksum"


class ByteFile(Protocol):
    """What is used of a file opened by aiofiles."""

    async def read(self, size: int = ..., /) -> bytes: ...
    async def seek(self, offset: int, /) -> int: ...


class Blocks(Protocol):
    """The content of one opened file, from its start or from where ``skip_to`` went."""

    @property
    def raw_offset(self) -> int:
        """Bytes of the file itself that the content given so far was made from."""
        ...

    async def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``; none at the end."""
        ...

    async def skip_to(self, offset: int) -> None:
        """Go on at ``offset`` of the content, which is not behind; past its end nothing is read."""
        ...


class PlainBlocks:
    """The file's bytes as they are."""

    def __init__(self, file: ByteFile) -> None:
        self._file = file
        self.raw_offset = 0

    async def read(self, size: int) -> bytes:
        data = await self._file.read(size)
        self.raw_offset += len(data)
        return data

    async def skip_to(self, offset: int) -> None:
        self.raw_offset = await self._file.seek(offset)


class GzipBlocks:
    """What the file's gzip members hold, one after the other.

    A fault is told only once all that could be read before it has been given. A checksum stands at
    a member's end: that it is wrong is known when the member's content has been given.
    """

    def __init__(self, file: ByteFile, name: str) -> None:
        self._file, self._name = file, name
        self._input = b""
        self._inflate: zlib._Decompress | None = None  # None: between two members
        self._has_output = False
        self._failure: SourceError | None = None
        self._read_count = self._member_count = self._offset = 0

    @property
    def raw_offset(self) -> int:
        return self._read_count - len(self._input)

    async def read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        missing = size
        while missing and self._failure is None:
            if not self._input and not self._has_output and not await self._refill():
                break
            piece = self._inflated(missing)
            pieces.append(piece)
            missing -= len(piece)
        self._offset += size - missing
        if missing == size and self._failure is not None:
            raise self._failure
        await MACHINE_CLOCK.sleep(0)  # a small input can hold much: others get their turn
        return b"".join(pieces)

    async def skip_to(self, offset: int) -> None:
        while self._offset < offset:
            if not await self.read(min(offset - self._offset, 4 * _COMPRESSED_BLOCK)):
                return

    async def _refill(self) -> bool:
        self._input = await self._file.read(_COMPRESSED_BLOCK)
        self._read_count += len(self._input)
        if not self._input and self._inflate is not None:
            self._fail("the file ends in the middle of a gzip member: it is cut off")
        return bool(self._input)

    def _inflated(self, limit: int) -> bytes:
        if self._inflate is None:
            if self._member_count:
                self._input = self._input.lstrip(b"\0")  # padding, as gzip itself allows
            if not self._input:
                return b""
            self._inflate = zlib.decompressobj(_GZIP)
        inflate, before = self._inflate, self._inflate.copy()
        try:
            piece = inflate.decompress(self._input, limit)
        except zlib.error as error:
            piece = _before_the_fault(before, self._input)[:limit]
            self._fail(f"not gzip, or damaged: {error}")
            return piece
        self._has_output = len(piece) == limit and not inflate.eof
        self._input = inflate.unconsumed_tail
        if inflate.eof:
            self._input, self._inflate = inflate.unused_data, None
            self._member_count += 1
        return piece

    def _fail(self, what: str) -> None:
        self._failure = SourceError(
            f"{self._name}: {what} (within the bytes from {max(self.raw_offset, 0)} to "
            f"{self._read_count} of the file). The records before it were read; put a whole file "
            "in its place and start again"
        )


def _before_the_fault(inflate: "zlib._Decompress", data: bytes) -> bytes:
    """What can be had of ``data`` byte by byte: zlib gives nothing of a call that fails."""
    content = bytearray()
    with contextlib.suppress(zlib.error):
        for byte in data:
            content += inflate.decompress(bytes((byte,)))
    return bytes(content)


@contextlib.asynccontextmanager
async def opened(path: Path, *, gzip: bool) -> AsyncIterator[tuple[Blocks, int]]:
    """The blocks of a file, and its size in bytes, until the block is left."""
    async with aiofiles.open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        yield (GzipBlocks(file, str(path)) if gzip else PlainBlocks(file)), size
