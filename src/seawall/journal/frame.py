"""A journal file's bytes: frames, each with a digest, so that nothing wrong is ever read.

A frame is ``MAGIC``, the payload's length (4 bytes, big-endian), a digest (16 bytes), the payload.
The digest is keyed by the file's id and covers the frame's place in the file: bytes that stand
elsewhere, a journal quoted in an error's message for one, are no frame. Pure.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

MAGIC = b"\x93SWJ"
HEAD = len(MAGIC) + 4 + 16
MOST_PAYLOAD = 1 << 30  # bytes; a longer length is damage

_UUID, _DATETIME = 1, 2

Rows = list[tuple[str, tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows that were written together, and where the next frame begins."""

    rows: Rows
    end: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes from ``start`` to ``end`` that are no frame."""

    start: int
    end: int


def frame(rows: Rows, file_id: UUID, start: int) -> bytes:
    """The frame that begins at ``start`` of the file.

    Raises:
        TypeError: a value is of a type that rows of ours don't have.
        OverflowError: an integer has more than 64 bits.
    """
    payload = _encoder.encode([[table, list(row)] for table, row in rows])
    length = len(payload).to_bytes(4)
    return b"".join((MAGIC, length, _digest(file_id, start, length, payload), payload))


def frames(data: bytes, file_id: UUID) -> Iterator[Frame | Damage]:
    """What a file's bytes hold, in order; damage ends where the next good frame begins."""
    start = at = 0
    while at < len(data):
        found = _frame_at(data, file_id, at)
        if found is not None:
            if start < at:
                yield Damage(start, at)
            yield found
            start = at = found.end
            continue
        following = data.find(MAGIC, at + 1)
        at = len(data) if following < 0 else following
    if start < len(data):
        yield Damage(start, len(data))


def _frame_at(data: bytes, file_id: UUID, at: int) -> Frame | None:
    head = data[at : at + HEAD]
    if len(head) < HEAD or not head.startswith(MAGIC):
        return None
    length = head[4:8]
    end = at + HEAD + int.from_bytes(length)
    if end > len(data):
        return None
    payload = data[at + HEAD : end]
    if _digest(file_id, at, length, payload) != head[8:]:
        return None
    return Frame([(table, tuple(row)) for table, row in _decoder.decode(payload)], end)


def _digest(file_id: UUID, start: int, length: bytes, payload: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=16, key=file_id.bytes, person=b"seawall journal1")
    digest.update(start.to_bytes(8) + length)
    digest.update(payload)
    return digest.digest()


def _to_extension(value: Any) -> msgspec.msgpack.Ext:
    # Of these types exactly: what comes back must be equal.
    if isinstance(value, UUID):
        return msgspec.msgpack.Ext(_UUID, value.bytes)
    if isinstance(value, datetime):
        return msgspec.msgpack.Ext(_DATETIME, value.isoformat().encode())
    raise TypeError(f"{type(value).__name__}: a row for the journal can't hold it")


def _from_extension(code: int, data: memoryview) -> Any:
    if code == _UUID:
        return UUID(bytes=bytes(data))
    return datetime.fromisoformat(bytes(data).decode())


class _Encoder:
    """msgpack with our own forms of UUID and datetime, which msgspec would write as text."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()

    def encode(self, rows: list[list[Any]]) -> bytes:
        return self._encoder.encode(
            [
                [
                    table,
                    [
                        _to_extension(value)
                        if isinstance(value, UUID | datetime)
                        else _plain(value)
                        for value in row
                    ],
                ]
                for table, row in rows
            ]
        )


def _plain(value: Any) -> Any:
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    if isinstance(value, str):
        return str(value)  # a StrEnum's value
    raise TypeError(f"{type(value).__name__}: a row for the journal can't hold it")


_encoder = _Encoder()
_decoder = msgspec.msgpack.Decoder(ext_hook=_from_extension)
