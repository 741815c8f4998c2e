"""One call's records on their way into files, sealed and begun anew as the rules say."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from seawall.sink.state import OpenFile, SinkState, sealed

_CHUNK = 1 << 20  # bytes that are written at once; a gzip member holds no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How records become files."""

    encode: Callable[[Any], bytes]
    header: bytes
    max_bytes: int | None
    max_records: int | None
    compressed: bool


class Files(Protocol):
    """The file in progress, on disk."""

    def create(self, number: int) -> OpenFile: ...
    def append(self, data: bytes, offset: int) -> None: ...
    def sync(self) -> None: ...
    def sync_folder(self) -> None: ...
    def close(self) -> None: ...


class Appending:
    """Takes lines, and gives the state that they make once they are on disk."""

    def __init__(self, files: Files, state: SinkState, rules: Rules) -> None:
        self._files, self._state, self._rules = files, state, rules
        self._lines: list[bytes] = []
        self._buffered = 0
        self._unsynced = self._created = False
        self._length = 0 if state.open is None else state.open.length
        self._count = 0 if state.open is None else state.open.record_count

    def add(self, line: bytes) -> None:
        if self._state.open is not None and self._is_full(len(line)):
            self._seal()
        if self._state.open is None:
            file = self._files.create(self._state.next_number)
            self._state = msgspec.structs.replace(
                self._state, open=file, next_number=file.number + 1
            )
            self._length = self._count = 0
            self._created = True
            self._buffer(self._rules.header)
        self._buffer(line)
        self._count += 1
        if self._count == self._rules.max_records:
            self._seal()

    def end(self) -> SinkState:
        """All bytes on disk; the state that they make."""
        if self._state.open is not None:
            self._flush()
            if self._is_full(1):
                self._seal()
            elif self._unsynced:
                self._files.sync()
        if self._created:
            self._files.sync_folder()
        return self._state

    def _is_full(self, more: int) -> bool:
        """Whether ``more`` bytes can't go into the file, which has a record already."""
        limit = self._rules.max_bytes
        if limit is None or not self._count:
            return False
        if self._rules.compressed:  # known where a member has been written
            return self._length >= limit
        return self._length + self._buffered + more > limit

    def _buffer(self, data: bytes) -> None:
        if data:
            self._lines.append(data)
            self._buffered += len(data)
            if self._buffered >= _CHUNK:
                self._flush()

    def _flush(self) -> None:
        file = self._state.open
        if file is None:
            return
        if self._lines:
            data = b"".join(self._lines)
            if self._rules.compressed:
                # A member of its own: the file can be cut off after it, and is whole.
                data = gzip.compress(data, 6, mtime=0)
            self._files.append(data, self._length)
            self._length += len(data)
            self._lines, self._buffered, self._unsynced = [], 0, True
        file = msgspec.structs.replace(file, length=self._length, record_count=self._count)
        self._state = msgspec.structs.replace(self._state, open=file)

    def _seal(self) -> None:
        self._flush()
        file = self._state.open
        if file is None:
            return
        if self._unsynced:
            self._files.sync()
            self._unsynced = False
        self._files.close()
        self._state = msgspec.structs.replace(
            self._state, open=None, sealed=(*self._state.sealed, sealed(file))
        )
