"""Rows of our own tables by COPY, whatever codecs the user's pool gives its connections."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any

_BINARY = 1  # asyncpg's word for the format that its own COPY of records takes
# bool, bytea, bigint, int, text, json, double precision, timestamptz, uuid: what our columns are.
_TYPES = (16, 17, 20, 23, 25, 114, 701, 1184, 2950)
_PIECE = 1 << 16  # bytes sent at a time
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


async def copy(
    connection: Any,
    schema: str,
    table: str,
    columns: Sequence[str],
    records: Iterable[Sequence[Any]],
) -> None:
    """Copy rows into a table of ours; joins the connection's transaction."""
    if _has_own_codecs(connection):
        # COPY's text form passes all codecs by; asyncpg's own copying would refuse, or encode
        # JSON that is a text already once more.
        await connection.copy_to_table(
            table, schema_name=schema, columns=list(columns), source=_pieces(records)
        )
        return
    await connection.copy_records_to_table(
        table, schema_name=schema, columns=list(columns), records=records
    )


def _has_own_codecs(connection: Any) -> bool:
    """Whether the user has put a codec in the place of asyncpg's for one of our types."""
    codec = connection._protocol.get_settings().get_data_codec  # noqa: SLF001 - the one way
    return any(codec(oid, _BINARY) is not codec(oid, _BINARY, True) for oid in _TYPES)


async def _pieces(records: Iterable[Sequence[Any]]) -> AsyncIterator[bytes]:
    piece = bytearray()
    for record in records:
        piece += "\t".join(map(_field, record)).encode() + b"\n"
        if len(piece) >= _PIECE:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _field(value: Any) -> str:
    """A value as COPY's text form has it."""
    text = text_of(value)
    return r"\N" if text is None else text.translate(_ESCAPES)


def text_of(value: Any) -> str | None:
    """A value as the server's own text form of its type."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return rf"\x{value.hex()}"
    return value.isoformat() if isinstance(value, datetime) else str(value)
