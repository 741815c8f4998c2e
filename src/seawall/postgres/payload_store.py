"""Stored payloads read back from ``quarantined_records``, and encrypted anew under another key."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from seawall.config import Range
from seawall.errors import CodecError, InvalidConfigError
from seawall.postgres import pieces
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.quarantine.payload import Owner, PayloadForm, Stored

# What ``stored`` needs of a row; JSON comes as text, whatever codec a user's pool may have.
COLUMNS = (
    "record_id, run_id, step, payload::text AS payload, sealed, key_id, redacted, reason, "
    "reasons::text AS reasons"
)

# The same of quarantine_edits; the pieces of large ones are put together there.
EDIT_COLUMNS = "payload::text AS payload, sealed, key_id, redacted"

# Those that others work on are passed by, and met again in the next pass.
_TO_ENCRYPT = f"""
SELECT {COLUMNS} FROM {{schema}}.quarantined_records
WHERE key_id IS DISTINCT FROM $1 AND (key_id IS NOT NULL OR NOT redacted)
  AND ($2::uuid IS NULL OR record_id > $2)
ORDER BY record_id
LIMIT $3
FOR UPDATE SKIP LOCKED
"""

_ENCRYPTED = """
UPDATE {schema}.quarantined_records q
SET payload = NULL, reasons = NULL, sealed = n.sealed, key_id = n.key_id, reason = n.reason
FROM unnest($1::uuid[], $2::bytea[], $3::text[], $4::text[]) AS n(record_id, sealed, key_id, reason)
WHERE q.record_id = n.record_id
"""

# What edits have kept of these records: as secret as the records themselves.
_EDITS_TO_ENCRYPT = """
SELECT e.edit_id, e.record_id, q.run_id, q.step, e.payload::text AS payload, e.sealed, e.key_id,
       e.redacted
FROM {schema}.quarantine_edits e JOIN {schema}.quarantined_records q USING (record_id)
WHERE e.key_id IS DISTINCT FROM $1 AND (e.key_id IS NOT NULL OR NOT e.redacted)
  AND ($2::uuid IS NULL OR e.edit_id > $2)
ORDER BY e.edit_id
LIMIT $3
FOR UPDATE OF e SKIP LOCKED
"""

_EDITS_ENCRYPTED = """
UPDATE {schema}.quarantine_edits e
SET payload = NULL, sealed = n.sealed, key_id = n.key_id
FROM unnest($1::uuid[], $2::bytea[], $3::text[]) AS n(edit_id, sealed, key_id)
WHERE e.edit_id = n.edit_id
"""

_LEFT = """
SELECT (
    SELECT count(*) FROM {schema}.quarantined_records
    WHERE key_id IS DISTINCT FROM $1 AND (key_id IS NOT NULL OR NOT redacted)
) + (
    SELECT count(*) FROM {schema}.quarantine_edits
    WHERE key_id IS DISTINCT FROM $1 AND (key_id IS NOT NULL OR NOT redacted)
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotation:
    """What an encryption under the current key did.

    Attributes:
        key_id: the current key's.
        encrypted: records, and what edits have kept of them, written anew.
        left: records under another key, or under none: held by a reprocessor just then, added
            meanwhile by workers without the key, or unreadable. An old key can go once this is 0.
        unreadable: records whose payload was altered; they stay as they are.
    """

    key_id: str
    encrypted: int
    left: int
    unreadable: tuple[UUID, ...] = ()


def owner(row: Any) -> Owner:
    """Whose payload a row with ``COLUMNS`` holds."""
    return (row["record_id"], row["run_id"], row["step"])


def stored(row: Any) -> Stored:
    """The payload in a row with ``COLUMNS``, as it stands there; see ``whole``."""
    return Stored(
        row["payload"],
        row["sealed"],
        row["key_id"],
        row["redacted"],
        row["reason"],
        row["reasons"],
    )


def edited(row: Any) -> Stored:
    """The payload in a row with ``EDIT_COLUMNS``."""
    return Stored(row["payload"], row["sealed"], row["key_id"], row["redacted"], "", None)


async def whole(connection: Any, schema: str, record_id: UUID, part: Stored) -> Stored:
    """The payload with its pieces fetched, where it is in pieces.

    Raises:
        CodecError: a piece is missing.
    """
    if part.sealed is None or not pieces.is_head(part.sealed):
        return part
    return part._replace(sealed=await pieces.joined(connection, schema, record_id, part.sealed))


class PostgresPayloadStore:
    """Encrypts the records of one database anew. May be shared between tasks."""

    def __init__(self, database: Database, form: PayloadForm) -> None:
        self._database, self._form = database, form

    async def rotate(self, *, size: int = 500) -> KeyRotation:
        """Encrypt under the current key what is under another one, or under none.

        ``size`` records a transaction, so that it can be stopped and run again at any time; several
        workers may do so at once. Records stored masked stay as they are.

        Raises:
            InvalidConfigError: there is no key.
            QuarantineKeyError: a record's key is not here; what was done so far stands.
        """
        Range(int, 1).check("size", size)
        if self._form.keys is None:
            raise InvalidConfigError(
                "quarantine_keys=None: there is no key to encrypt with; set it, or "
                "SEAWALL_QUARANTINE_KEYS, to id:key (base64 of 32 random bytes)"
            )
        key_id = self._form.keys.current
        seen, unreadable = 0, list[UUID]()
        for some in (self._some, self._some_edits):
            after: UUID | None = None
            while True:
                rows, after = await some(key_id, after, size, unreadable)
                if rows == 0:
                    break
                seen += rows
        async with self._database.acquire() as connection:
            query = in_schema(_LEFT, self._database.schema)
            left = await connection.fetchval(query, key_id)
        return KeyRotation(
            key_id=key_id,
            encrypted=seen - len(unreadable),
            left=left,
            unreadable=tuple(unreadable),
        )

    async def _some(
        self, key_id: str, after: UUID | None, size: int, unreadable: list[UUID]
    ) -> tuple[int, UUID | None]:
        """One transaction's worth; how many rows it looked at, and the last one's id."""
        schema = self._database.schema
        async with self._database.acquire() as connection, connection.transaction():
            rows = await connection.fetch(in_schema(_TO_ENCRYPT, schema), key_id, after, size)
            news: dict[UUID, Stored] = {}
            for row in rows:
                try:
                    old = await whole(connection, schema, row["record_id"], stored(row))
                    news[row["record_id"]] = self._form.resealed(old, owner(row))
                except CodecError:
                    unreadable.append(row["record_id"])
            large = [row["record_id"] for row in rows if pieces.is_head(row["sealed"])]
            await _replace(connection, schema, news, [each for each in large if each in news])
        return len(rows), rows[-1]["record_id"] if rows else after

    async def _some_edits(
        self, key_id: str, after: UUID | None, size: int, unreadable: list[UUID]
    ) -> tuple[int, UUID | None]:
        """As ``_some``, of the payloads that edits have kept."""
        schema = self._database.schema
        async with self._database.acquire() as connection, connection.transaction():
            rows = await connection.fetch(in_schema(_EDITS_TO_ENCRYPT, schema), key_id, after, size)
            news: dict[UUID, Stored] = {}
            for row in rows:
                try:
                    news[row["edit_id"]] = self._form.resealed(edited(row), owner(row))
                except CodecError:
                    unreadable.append(row["record_id"])
            await connection.execute(
                in_schema(_EDITS_ENCRYPTED, schema),
                list(news),
                [new.sealed for new in news.values()],
                [new.key_id for new in news.values()],
            )
        return len(rows), rows[-1]["edit_id"] if rows else after


async def _replace(
    connection: Any, schema: str, news: dict[UUID, Stored], in_pieces: list[UUID]
) -> None:
    """Put the new payloads in the place of the old ones."""
    parts: list[tuple[UUID, int, bytes]] = []
    for record_id, new in news.items():
        if new.sealed is not None and len(new.sealed) > pieces.LARGEST:
            head, cut = pieces.cut(record_id, new.sealed)
            news[record_id] = new._replace(sealed=head)
            parts.extend(cut)
    if in_pieces:
        await pieces.delete(connection, schema, in_pieces)
    await connection.execute(
        in_schema(_ENCRYPTED, schema),
        list(news),
        [new.sealed for new in news.values()],
        [new.key_id for new in news.values()],
        [new.reason for new in news.values()],
    )
    if parts:
        await pieces.write(connection, schema, parts)
