"""Quarantined records read out in pages of one snapshot, and brought in again."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec

from seawall.postgres import payload_store, pieces
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.postgres.record_change_store import edit_one
from seawall.postgres.record_filter import filtered
from seawall.quarantine.payload import Owner, PayloadForm, Stored
from seawall.quarantine.record import RecordFilter
from seawall.quarantine.transfer import Edited, Held, Line
from seawall.quarantine.transfer.line import AttemptLine, EditLine, digest_of, raw, text_of

_OTHERS = (
    "quarantine_id", "pipeline_id", "partition", "batch_id", "error_type", "sqlstate",
    "constraint_name", "column_name", "exception_type", "traceback_digest", "status", "attempts",
    "quarantined_at", "updated_at",
)  # fmt: skip
_PLAIN = ("record_id", "run_id", "step", "redacted", "reason", *_OTHERS)
_COLUMNS = ", ".join(_PLAIN)

_PAGE = f"""
SELECT {payload_store.COLUMNS}, {", ".join(_OTHERS)}, position::text AS position
FROM {{schema}}.quarantined_records
WHERE {{which}} AND ($1::uuid IS NULL OR record_id > $1)
ORDER BY record_id LIMIT $2
"""

_ATTEMPTS = """
SELECT record_id, attempt_id, outcome, attempted_at, error_type, exception_type, message, sqlstate,
       actor
FROM {schema}.quarantine_attempts WHERE record_id = ANY($1) ORDER BY attempted_at, attempt_id
"""

_EDITS = f"""
SELECT record_id, edit_id, {payload_store.EDIT_COLUMNS}, actor, why, edited_at
FROM {{schema}}.quarantine_edits WHERE record_id = ANY($1) ORDER BY edited_at, edit_id
"""

_HELD = f"""
SELECT {payload_store.COLUMNS}, status FROM {{schema}}.quarantined_records
WHERE record_id = ANY($1) ORDER BY record_id FOR UPDATE
"""

# JSON is brought as text: as a part of type json, a record that is null would be none.
_ADD = f"""
INSERT INTO {{schema}}.quarantined_records
    ({_COLUMNS}, position, payload, sealed, key_id, reasons)
SELECT {_COLUMNS}, position::json, payload::json, decode(sealed, 'base64'), key_id, reasons::json
FROM json_to_recordset($1::text::json) AS r(
    record_id uuid, quarantine_id uuid, run_id text, pipeline_id text, step text, partition int,
    batch_id text, redacted boolean, error_type text, reason text, sqlstate text,
    constraint_name text, column_name text, exception_type text, traceback_digest text,
    status text, attempts int, quarantined_at timestamptz, updated_at timestamptz,
    position text, payload text, sealed text, key_id text, reasons text)
ON CONFLICT (record_id) DO NOTHING
RETURNING record_id
"""

_ADD_ATTEMPTS = """
INSERT INTO {schema}.quarantine_attempts
    (attempt_id, record_id, outcome, attempted_at, error_type, exception_type, message, sqlstate,
     actor)
SELECT attempt_id, record_id, outcome, attempted_at, error_type, exception_type, message, sqlstate,
       actor
FROM json_to_recordset($1::text::json) AS r(
    attempt_id uuid, record_id uuid, outcome text, attempted_at timestamptz, error_type text,
    exception_type text, message text, sqlstate text, actor text)
ON CONFLICT (attempt_id) DO NOTHING
"""

_ADD_EDITS = """
INSERT INTO {schema}.quarantine_edits
    (edit_id, record_id, payload, sealed, key_id, redacted, actor, why, edited_at)
SELECT edit_id, record_id, payload::json, decode(sealed, 'base64'), key_id, redacted, actor, why,
       edited_at
FROM json_to_recordset($1::text::json) AS r(
    edit_id uuid, record_id uuid, payload text, sealed text, key_id text, redacted boolean,
    actor text, why text, edited_at timestamptz)
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
            edits: dict[UUID, list[Mapping[str, Any]]] = defaultdict(list)
            for row in await self._connection.fetch(in_schema(_EDITS, self._schema), ids):
                edits[row["record_id"]].append(row)
            yield [
                await self._line(row, attempts[row["record_id"]], edits[row["record_id"]])
                for row in rows
            ]

    async def _line(
        self,
        row: Mapping[str, Any],
        attempts: list[AttemptLine],
        edits: list[Mapping[str, Any]],
    ) -> Line:
        owner = payload_store.owner(row)
        stored = await self._whole(payload_store.stored(row), owner)
        payload = raw(self._form.text(stored, owner))
        position = row["position"]
        return Line(
            **{name: row[name] for name in _PLAIN},
            payload=payload,
            digest=digest_of(payload),
            position=raw("null" if position is None else position),
            reasons=self._form.reasons(stored, owner),
            history=attempts,
            edits=[self._edit(each, owner) for each in edits],
        )

    def _edit(self, row: Mapping[str, Any], owner: Owner) -> EditLine:
        return EditLine(
            edit_id=row["edit_id"],
            payload=raw(self._form.text(payload_store.edited(row), owner)),
            redacted=row["redacted"],
            actor=row["actor"],
            why=row["why"],
            edited_at=row["edited_at"],
        )

    async def _whole(self, stored: Stored, owner: Owner) -> Stored:
        return await payload_store.whole(self._connection, self._schema, owner[0], stored)


class Writing:
    """One transaction of an import."""

    def __init__(self, connection: Any, schema: str, form: PayloadForm) -> None:
        self._connection, self._schema, self._form = connection, schema, form

    async def held(self, record_ids: Sequence[UUID]) -> dict[UUID, Held]:
        rows = await self._connection.fetch(in_schema(_HELD, self._schema), list(record_ids))
        held = {}
        for row in rows:
            owner = payload_store.owner(row)
            stored = payload_store.stored(row)
            whole = await payload_store.whole(self._connection, self._schema, owner[0], stored)
            text = self._form.text(whole, owner)
            held[row["record_id"]] = Held(row["status"], text)
        return held

    async def add(self, lines: Sequence[Line]) -> int:
        if not lines:
            return 0
        new = {line.record_id: line for line in lines}
        parts: dict[UUID, list[tuple[UUID, int, bytes]]] = {}
        records = [self._record(line, parts) for line in new.values()]
        rows = await self._connection.fetch(in_schema(_ADD, self._schema), _text(records))
        added = [new[row["record_id"]] for row in rows]
        attempts = [
            {**_plain(attempt), "record_id": line.record_id}
            for line in added
            for attempt in line.history
        ]
        edits = [self._edited(edit, line) for line in added for edit in line.edits]
        for query, children in ((_ADD_ATTEMPTS, attempts), (_ADD_EDITS, edits)):
            if children:
                await self._connection.execute(in_schema(query, self._schema), _text(children))
        cut = [part for line in added for part in parts[line.record_id]]
        if cut:
            await pieces.write(self._connection, self._schema, cut)
        return len(added)

    def _record(
        self, line: Line, parts: dict[UUID, list[tuple[UUID, int, bytes]]]
    ) -> dict[str, Any]:
        stored = self._sealed(line.payload, line, line.redacted)
        head, parts[line.record_id] = pieces.divided(line.record_id, stored.sealed)
        return {
            **{name: getattr(line, name) for name in _PLAIN},
            **stored._replace(sealed=head)._asdict(),
            "position": None if text_of(line.position) == "null" else text_of(line.position),
        }

    def _edited(self, edit: EditLine, line: Line) -> dict[str, Any]:
        stored = self._sealed(edit.payload, line, edit.redacted)._asdict()
        return {**_plain(edit), **stored, "record_id": line.record_id}

    def _sealed(self, payload: msgspec.Raw, line: Line, redacted: bool) -> Stored:
        owner = (line.record_id, line.run_id, line.step)
        stored = self._form.seal_text(text_of(payload), owner, line.reason, line.reasons)
        return stored._replace(redacted=stored.redacted or redacted)

    async def edit(self, edits: Sequence[Edited], actor: str, why: str) -> None:
        for each in edits:
            await edit_one(
                self._connection, self._schema, self._form, each.record_id, each.text, actor, why
            )


def _plain(part: AttemptLine | EditLine) -> dict[str, Any]:
    return msgspec.structs.asdict(part)


def _text(rows: list[dict[str, Any]]) -> str:
    return _json.encode(rows).decode()
