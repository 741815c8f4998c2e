"""Quarantined records read out in pages of one snapshot, and brought in again."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec

from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.postgres.record_change_store import edit_one
from seawall.postgres.record_filter import filtered
from seawall.quarantine.form import PayloadForm
from seawall.quarantine.record import RecordFilter
from seawall.quarantine.transfer import Edited, Line, Stored
from seawall.quarantine.transfer.line import AttemptLine, EditLine, digest_of, raw, text_of
from seawall.text import storable

_PLAIN = (
    "record_id", "quarantine_id", "run_id", "pipeline_id", "step", "partition", "batch_id",
    "redacted", "error_type", "reason", "sqlstate", "constraint_name", "column_name",
    "exception_type", "traceback_digest", "status", "attempts", "quarantined_at", "updated_at",
)  # fmt: skip
_COLUMNS = ", ".join(_PLAIN)

_PAGE = f"""
SELECT {_COLUMNS}, position::text AS position, payload::text AS payload, reasons::text AS reasons
FROM {{schema}}.quarantined_records
WHERE {{which}} AND ($1::uuid IS NULL OR record_id > $1)
ORDER BY record_id LIMIT $2
"""

_ATTEMPTS = """
SELECT record_id, attempt_id, outcome, attempted_at, error_type, exception_type, message, sqlstate,
       actor
FROM {schema}.quarantine_attempts WHERE record_id = ANY($1) ORDER BY attempted_at, attempt_id
"""

_EDITS = """
SELECT record_id, edit_id, payload::text AS payload, redacted, actor, why, edited_at
FROM {schema}.quarantine_edits WHERE record_id = ANY($1) ORDER BY edited_at, edit_id
"""

_HELD = """
SELECT record_id, status, payload::text AS payload FROM {schema}.quarantined_records
WHERE record_id = ANY($1) ORDER BY record_id FOR UPDATE
"""

# JSON is brought as text: as a part of type json, a record that is null would be none.
_ADD = f"""
INSERT INTO {{schema}}.quarantined_records ({_COLUMNS}, position, payload, reasons)
SELECT {_COLUMNS}, position::json, payload::json, reasons
FROM json_to_recordset($1::json) AS r(
    record_id uuid, quarantine_id uuid, run_id text, pipeline_id text, step text, partition int,
    batch_id text, redacted boolean, error_type text, reason text, sqlstate text,
    constraint_name text, column_name text, exception_type text, traceback_digest text,
    status text, attempts int, quarantined_at timestamptz, updated_at timestamptz,
    position text, payload text, reasons json)
ON CONFLICT (record_id) DO NOTHING
RETURNING record_id
"""

_ADD_ATTEMPTS = """
INSERT INTO {schema}.quarantine_attempts
    (attempt_id, record_id, outcome, attempted_at, error_type, exception_type, message, sqlstate,
     actor)
SELECT attempt_id, record_id, outcome, attempted_at, error_type, exception_type, message, sqlstate,
       actor
FROM json_to_recordset($1::json) AS r(
    attempt_id uuid, record_id uuid, outcome text, attempted_at timestamptz, error_type text,
    exception_type text, message text, sqlstate text, actor text)
ON CONFLICT (attempt_id) DO NOTHING
"""

_ADD_EDITS = """
INSERT INTO {schema}.quarantine_edits
    (edit_id, record_id, payload, redacted, actor, why, edited_at)
SELECT edit_id, record_id, payload::json, redacted, actor, why, edited_at
FROM json_to_recordset($1::json) AS r(
    edit_id uuid, record_id uuid, payload text, redacted boolean, actor text, why text,
    edited_at timestamptz)
ON CONFLICT (edit_id) DO NOTHING
"""

_SIZE = 500  # records a page
_json = msgspec.json.Encoder()


class PostgresTransferStore:
    """The ``TransferStore`` over one database.

    Args:
        form: how payloads are stored.
    """

    def __init__(self, database: Database, form: PayloadForm) -> None:
        self._database, self._form = database, form

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Reading"]:
        """All pages are of one snapshot: no record is missed, or there twice."""
        async with self._database.acquire() as connection:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield Reading(connection, self._database.schema, self._form)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator["Writing"]:
        async with self._database.acquire() as connection, connection.transaction():
            yield Writing(connection, self._database.schema, self._form)


class Reading:
    """One snapshot of the records."""

    def __init__(self, connection: Any, schema: str, form: PayloadForm) -> None:
        self._connection, self._schema, self._form = connection, schema, form

    async def pages(self, which: RecordFilter) -> AsyncIterator[list[Line]]:
        after: UUID | None = None
        while True:
            query, arguments = filtered(_PAGE, self._schema, which, after, _SIZE)
            rows = await self._connection.fetch(query, *arguments)
            if not rows:
                return
            ids = [row["record_id"] for row in rows]
            after = ids[-1]
            attempts: dict[UUID, list[AttemptLine]] = defaultdict(list)
            for row in await self._connection.fetch(in_schema(_ATTEMPTS, self._schema), ids):
                known = dict(row)
                attempts[known.pop("record_id")].append(AttemptLine(**known))
            edits: dict[UUID, list[EditLine]] = defaultdict(list)
            for row in await self._connection.fetch(in_schema(_EDITS, self._schema), ids):
                known = dict(row)
                payload = self._opened(known.pop("payload"))
                edits[known.pop("record_id")].append(EditLine(**known, payload=payload))
            yield [
                self._line(row, attempts[row["record_id"]], edits[row["record_id"]]) for row in rows
            ]

    def _line(self, row: Any, attempts: list[AttemptLine], edits: list[EditLine]) -> Line:
        known = dict(row)
        payload, position = self._opened(known.pop("payload")), known.pop("position")
        reasons = known.pop("reasons")
        return Line(
            **known,
            payload=payload,
            digest=digest_of(payload),
            position=raw("null" if position is None else position),
            reasons=None if reasons is None else msgspec.json.decode(reasons),
            history=attempts,
            edits=edits,
        )

    def _opened(self, stored: str) -> msgspec.Raw:
        return raw(self._form.opened(stored))


class Writing:
    """One transaction of an import."""

    def __init__(self, connection: Any, schema: str, form: PayloadForm) -> None:
        self._connection, self._schema, self._form = connection, schema, form

    async def held(self, record_ids: Sequence[UUID]) -> dict[UUID, Stored]:
        rows = await self._connection.fetch(in_schema(_HELD, self._schema), list(record_ids))
        return {row["record_id"]: Stored(row["status"], row["payload"]) for row in rows}

    async def add(self, lines: Sequence[Line]) -> int:
        if not lines:
            return 0
        new = {line.record_id: line for line in lines}
        records = [self._record(line) for line in new.values()]
        rows = await self._connection.fetch(in_schema(_ADD, self._schema), _text(records))
        added = [new[row["record_id"]] for row in rows]
        attempts = [
            {**_plain(attempt), "record_id": line.record_id}
            for line in added
            for attempt in line.history
        ]
        edits = [
            {**_plain(edit), "record_id": line.record_id, "payload": self._sealed(edit.payload)}
            for line in added
            for edit in line.edits
        ]
        for query, children in ((_ADD_ATTEMPTS, attempts), (_ADD_EDITS, edits)):
            if children:
                await self._connection.execute(in_schema(query, self._schema), _text(children))
        return len(added)

    def _record(self, line: Line) -> dict[str, Any]:
        return {
            **{name: getattr(line, name) for name in _PLAIN},
            "position": None if text_of(line.position) == "null" else text_of(line.position),
            "payload": self._sealed(line.payload),
            "reasons": line.reasons,
        }

    def _sealed(self, payload: msgspec.Raw) -> str:
        return self._form.sealed(text_of(payload))

    async def edit(self, edits: Sequence[Edited], actor: str, why: str) -> None:
        for each in edits:
            await edit_one(
                self._connection, self._schema, each.record_id, each.payload, actor, storable(why)
            )


def _plain(part: AttemptLine | EditLine) -> dict[str, Any]:
    return msgspec.structs.asdict(part)


def _text(rows: list[dict[str, Any]]) -> str:
    return _json.encode(rows).decode()
