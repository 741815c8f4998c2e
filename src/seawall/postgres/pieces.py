"""Sealed payloads that are too large for one field, as rows of ``quarantine_payload_chunks``.

The record's own field holds a head in their place: a zero byte, then how many pieces there are.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from seawall.errors import CodecError
from seawall.postgres import copying
from seawall.postgres.names import in_schema

TABLE = "quarantine_payload_chunks"
COLUMNS = ("record_id", "chunk", "data")

# The server holds a whole row in memory several times over while it comes in.
LARGEST = 8 * 2**20  # bytes of a field

_MARK = b"\x00"  # where other sealed bytes have their version

_PIECE = "SELECT data FROM {schema}.quarantine_payload_chunks WHERE record_id = $1 AND chunk = $2"
_DELETE = "DELETE FROM {schema}.quarantine_payload_chunks WHERE record_id = ANY($1::uuid[])"


def cut(record_id: UUID, sealed: bytes) -> tuple[bytes, Iterator[tuple[UUID, int, bytes]]]:
    """The head for the record's row, and the pieces' rows."""
    count = -(-len(sealed) // LARGEST)
    view = memoryview(sealed)
    rows = (
        (record_id, number, bytes(view[number * LARGEST : (number + 1) * LARGEST]))
        for number in range(count)
    )
    return _MARK + count.to_bytes(4, "big"), rows


def divided(
    record_id: UUID, sealed: bytes | None
) -> tuple[bytes | None, list[tuple[UUID, int, bytes]]]:
    """What stands in the record's own field, and the pieces' rows where it is too large."""
    if sealed is None or len(sealed) <= LARGEST:
        return sealed, []
    head, rows = cut(record_id, sealed)
    return head, list(rows)


def is_head(sealed: bytes | None) -> bool:
    """Whether the payload is in pieces."""
    return sealed is not None and sealed[:1] == _MARK


async def joined(connection: Any, schema: str, record_id: UUID, head: bytes) -> bytes:
    """The sealed payload whose head this is, read piece by piece.

    Raises:
        CodecError: a piece is missing.
    """
    query = in_schema(_PIECE, schema)
    parts = []
    for number in range(int.from_bytes(head[1:], "big")):
        data = await connection.fetchval(query, record_id, number)
        if data is None:
            raise CodecError(f"record {record_id}: piece {number} of its payload is missing")
        parts.append(data)
    return b"".join(parts)


async def write(connection: Any, schema: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Copy pieces; joins the connection's transaction."""
    await copying.copy(connection, schema, TABLE, COLUMNS, rows)


async def delete(connection: Any, schema: str, record_ids: Sequence[UUID]) -> None:
    """Delete records' pieces; joins the connection's transaction."""
    await connection.execute(in_schema(_DELETE, schema), record_ids)
