"""Quarantined records as rows of ``quarantined_records``."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from seawall.checkpoint.model import Rejection, StepKey
from seawall.clock import uuid7
from seawall.quarantine import codec
from seawall.text import storable

COLUMNS = (
    "record_id", "quarantine_id", "pipeline_id", "run_id", "step", "partition", "batch_id",
    "position", "payload", "error_type", "reason", "reasons", "sqlstate", "constraint_name",
    "column_name", "exception_type", "traceback_digest",
)  # fmt: skip

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

_json = msgspec.json.Encoder()


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
) -> Iterable[tuple[Any, ...]]:
    """One row for each rejection, all in one set."""
    quarantine_id = quarantine_id or uuid7()
    for rejection, payload, position in zip(rejections, payloads, positions, strict=True):
        yield (
            uuid7(),
            quarantine_id,
            pipeline_id,
            key.run_id,
            key.step,
            key.partition,
            batch_id,
            None if position is None else codec.encode(position),
            codec.encode(dict(payload) if isinstance(payload, asyncpg.Record) else payload),
            error_type,
            storable(rejection.reason),
            _json.encode([storable(each) for each in rejection.reasons]).decode(),
            rejection.sqlstate,
            rejection.constraint_name,
            rejection.column_name,
            rejection.exception_type,
            rejection.traceback_digest,
        )


async def write(connection: Any, schema: str, records: Iterable[tuple[Any, ...]]) -> None:
    """Copy the rows; joins the connection's transaction."""
    await connection.copy_records_to_table(
        "quarantined_records", schema_name=schema, columns=list(COLUMNS), records=records
    )
