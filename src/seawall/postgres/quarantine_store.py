"""Quarantined records as rows of ``quarantined_records``, the largest in several pieces."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from seawall.checkpoint.model import Rejection, StepKey
from seawall.clock import uuid7, uuid7s
from seawall.postgres import copying, pieces
from seawall.quarantine import codec
from seawall.quarantine.payload import PLAIN, PayloadForm

TABLE = "quarantined_records"
COLUMNS = (
    "record_id", "quarantine_id", "pipeline_id", "run_id", "step", "partition", "batch_id",
    "position", "payload", "sealed", "key_id", "redacted", "error_type", "reason", "reasons",
    "sqlstate", "constraint_name", "column_name", "exception_type", "traceback_digest",
)  # fmt: skip
_SEALED = COLUMNS.index("sealed")

BY_REASON = """
SELECT reason, count(*) AS records
FROM {schema}.quarantined_records
WHERE run_id = $1 AND step = $2 AND partition = $3
GROUP BY reason
ORDER BY records DESC, reason
"""

FOR_KEYS = """
SELECT k.key, count(*) AS records
FROM unnest($4::text[]) AS k (key)
JOIN {schema}.quarantined_records q ON q.sqlstate = k.key OR q.constraint_name = k.key
    OR starts_with(q.reason, k.key)
WHERE q.run_id = $1 AND q.step = $2 AND q.partition = $3
GROUP BY k.key
"""


def rows(
    pipeline_id: str,
    key: StepKey,
    batch_id: str | None,
    rejections: Sequence[Rejection],
    payloads: Sequence[Any],
    positions: Sequence[Any],
    *,
    error_type: str = "data",
    quarantine_id: UUID | None = None,
    form: PayloadForm = PLAIN,
) -> Iterator[tuple[Any, ...]]:
    """One row for each rejection, all in one set, with its record as ``form`` stores it.

    Raises:
        CodecError: a record holds something that can't come back equal.
        PayloadTooLargeError: a record is larger than the form allows.
    """
    quarantine_id = quarantine_id or uuid7()
    run_id, step, partition = key.run_id, key.step, key.partition
    ids = uuid7s(len(rejections))
    for record_id, rejection, payload, position in zip(
        ids, rejections, payloads, positions, strict=True
    ):
        record = dict(payload) if isinstance(payload, asyncpg.Record) else payload
        owner = (record_id, run_id, step)
        text, sealed, key_id, redacted, reason, reasons = form.seal(
            record, owner, rejection.reason, rejection.reasons
        )
        yield (
            record_id,
            quarantine_id,
            pipeline_id,
            run_id,
            step,
            partition,
            batch_id,
            _position(position),
            text,
            sealed,
            key_id,
            redacted,
            error_type,
            reason,
            reasons,
            rejection.sqlstate,
            rejection.constraint_name,
            rejection.column_name,
            rejection.exception_type,
            rejection.traceback_digest,
        )


def _position(position: Any) -> str | None:
    if type(position) is int:  # nearly always
        return str(position)
    return None if position is None else codec.encode(position)


async def write(connection: Any, schema: str, records: Iterable[tuple[Any, ...]]) -> None:
    """Copy the rows; joins the connection's transaction, and needs one.

    Rows that are made one by one are made while the server takes those before.
    """
    parts: list[tuple[Any, ...]] = []

    def whole() -> Iterator[tuple[Any, ...]]:
        for table, row in tabled(records):
            if table == TABLE:
                yield row
            else:
                parts.append(row)

    await copying.copy(connection, schema, TABLE, COLUMNS, whole())
    if parts:
        await pieces.write(connection, schema, parts)


def tabled(records: Iterable[tuple[Any, ...]]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The rows with their table: a record's, then those of its pieces where it is large."""
    for row in records:
        sealed = row[_SEALED]
        if sealed is None or len(sealed) <= pieces.LARGEST:
            yield TABLE, row
            continue
        head, parts = pieces.cut(row[0], sealed)
        yield TABLE, (*row[:_SEALED], head, *row[_SEALED + 1 :])
        for part in parts:
            yield pieces.TABLE, part
