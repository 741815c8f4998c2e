"""The fleet's error patterns: ``error_patterns``, their shapes and their counts."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from seawall.classification import ErrorType
from seawall.patterns.known import KnownShape, Template
from seawall.patterns.pattern import PatternStatus
from seawall.patterns.reading import render
from seawall.patterns.row import PatternRow
from seawall.patterns.store import Beginning, Flush, Sighting
from seawall.postgres import audit
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.text import storable

_KEPT_DAYS = 100
_ROOM = 0.6  # share of the shapes that are left where there were too many
_TOO_FULL = 0.9

# One writer at a time, each for some milliseconds: who comes next sees all that was written, so
# that patterns join in one way only. A frozen worker must not hold the others off for long.
_PATIENCE = "SET LOCAL lock_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = '5s'"
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"

_BEGIN = """
SELECT extract(epoch FROM clock_timestamp())::float8 AS now, w.flush, w.told,
    (SELECT count(*) FROM {schema}.error_pattern_shapes) AS shape_count
FROM (VALUES ($1::text)) AS v (worker) LEFT JOIN {schema}.error_pattern_workers w USING (worker)
"""

_SHAPES = """
SELECT shape_key, pattern_id, error_type, tokens, spaced, absorbs, sequence
FROM {schema}.error_pattern_shapes WHERE sequence > $1 ORDER BY sequence
"""

_COLUMNS = """
p.pattern_id, p.error_type, p.template, p.frequency, p.status, p.status_actor, p.status_reason,
extract(epoch FROM p.first_seen)::float8 AS first_seen,
extract(epoch FROM p.last_seen)::float8 AS last_seen,
extract(epoch FROM p.status_changed_at)::float8 AS status_changed_at,
extract(epoch FROM p.regressed_at)::float8 AS regressed_at,
p.regression_count, p.seen_in, p.variables, p.sample_ids, p.recommended_action
"""

_ROWS = f"SELECT {_COLUMNS} FROM {{schema}}.error_patterns p WHERE pattern_id = ANY($1::text[])"

_PUT = """
INSERT INTO {schema}.error_patterns AS p (
    pattern_id, error_message_pattern, error_type, template, frequency, first_seen, last_seen,
    status, status_changed_at, status_actor, status_reason, regressed_at, regression_count,
    seen_in, variables, sample_ids, recommended_action
) VALUES (
    $1, $2, $3, $4::text::json, $5, to_timestamp($6::float8), to_timestamp($7::float8), $8,
    to_timestamp($9::float8), $10, $11, to_timestamp($12::float8), $13, $14::text::json,
    $15::text::json, $16, $17
) ON CONFLICT (pattern_id) DO UPDATE SET
    error_message_pattern = excluded.error_message_pattern, template = excluded.template,
    frequency = excluded.frequency, first_seen = excluded.first_seen,
    last_seen = excluded.last_seen, status = excluded.status,
    status_changed_at = excluded.status_changed_at, status_actor = excluded.status_actor,
    status_reason = excluded.status_reason, regressed_at = excluded.regressed_at,
    regression_count = excluded.regression_count, seen_in = excluded.seen_in,
    variables = excluded.variables, sample_ids = excluded.sample_ids,
    recommended_action = excluded.recommended_action
"""

_ADD_COUNTS = """
INSERT INTO {schema}.error_pattern_counts AS c (pipeline_id, starts_at, pattern_id, frequency)
SELECT pipeline_id, to_timestamp(starts_at), pattern_id, frequency
FROM unnest($1::text[], $2::float8[], $3::text[], $4::bigint[])
    AS n (pipeline_id, starts_at, pattern_id, frequency)
ON CONFLICT (pipeline_id, starts_at, pattern_id) DO UPDATE SET
    frequency = c.frequency + excluded.frequency
"""

_FOLD_COUNTS = """
INSERT INTO {schema}.error_pattern_counts AS c (pipeline_id, starts_at, pattern_id, frequency)
SELECT o.pipeline_id, o.starts_at, f.new_id, sum(o.frequency)
FROM {schema}.error_pattern_counts o
JOIN unnest($1::text[], $2::text[]) AS f (old_id, new_id) ON f.old_id = o.pattern_id
GROUP BY o.pipeline_id, o.starts_at, f.new_id
ON CONFLICT (pipeline_id, starts_at, pattern_id) DO UPDATE SET
    frequency = c.frequency + excluded.frequency
"""

_DROP_FOLDED = "DELETE FROM {schema}.error_patterns WHERE pattern_id = ANY($1::text[])"

_FOLD_SHAPES = """
UPDATE {schema}.error_pattern_shapes s
SET pattern_id = f.new_id, sequence = nextval('{schema}.error_pattern_sequence')
FROM unnest($1::text[], $2::text[]) AS f (old_id, new_id)
WHERE s.pattern_id = f.old_id
"""

_ADD_SHAPES = """
INSERT INTO {schema}.error_pattern_shapes AS s (
    shape_key, pattern_id, error_type, tokens, spaced, absorbs
)
SELECT shape_key, pattern_id, error_type, tokens::json, spaced, absorbs
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[])
    AS n (shape_key, pattern_id, error_type, tokens, spaced, absorbs)
ON CONFLICT (shape_key) DO UPDATE SET
    absorbs = s.absorbs OR excluded.absorbs, pattern_id = excluded.pattern_id,
    sequence = nextval('{schema}.error_pattern_sequence')
"""

_FLUSHED = """
INSERT INTO {schema}.error_pattern_workers AS w (worker, flush, told)
VALUES ($1, $2, $3::text::json)
ON CONFLICT (worker) DO UPDATE SET
    flush = excluded.flush, told = excluded.told, flushed_at = clock_timestamp()
"""

_LIST = f"""
SELECT {_COLUMNS}, t.starts, t.counts, extract(epoch FROM clock_timestamp())::float8 AS now
FROM (
    SELECT pattern_id, sum(frequency) AS total, array_agg(starts) AS starts,
        array_agg(frequency) AS counts
    FROM (
        SELECT pattern_id, extract(epoch FROM starts_at)::bigint AS starts,
            sum(frequency)::bigint AS frequency
        FROM {{schema}}.error_pattern_counts
        WHERE starts_at >= (
            date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC')
            - ($1::int - 1) * interval '1 day'
        ) AT TIME ZONE 'UTC'
        /* of a pipeline */
        GROUP BY pattern_id, starts_at
    ) b
    GROUP BY pattern_id
) t JOIN {{schema}}.error_patterns p USING (pattern_id)
WHERE $2::text IS NULL OR p.status = $2
ORDER BY t.total DESC, p.pattern_id
LIMIT $3
"""

_LIST_PIPELINE = _LIST.replace("/* of a pipeline */", "AND pipeline_id = $4")

_SET_STATUS = """
UPDATE {schema}.error_patterns AS p SET
    status = $2, status_changed_at = clock_timestamp(), status_actor = $3, status_reason = $4
FROM (
    SELECT pattern_id, status FROM {schema}.error_patterns
    WHERE pattern_id = coalesce(
        (SELECT pattern_id FROM {schema}.error_pattern_shapes WHERE shape_key = $1), $1
    )
) AS o
WHERE p.pattern_id = o.pattern_id
RETURNING p.pattern_id, o.status AS before, p.error_message_pattern
"""

_PRUNE_COUNTS = """
DELETE FROM {schema}.error_pattern_counts
WHERE starts_at < clock_timestamp() - $1::int * interval '1 day'
"""
_PRUNE_WORKERS = """
DELETE FROM {schema}.error_pattern_workers WHERE flushed_at < clock_timestamp() - interval '1 day'
"""
_PRUNE_PATTERNS = """
DELETE FROM {schema}.error_patterns
WHERE last_seen < clock_timestamp() - $1::int * interval '1 day'
"""
# Of those least lately seen as many as have the shapes that are too many; what somebody ignores
# is worth keeping, or it would be new again.
_PRUNE_MANY = """
DELETE FROM {schema}.error_patterns WHERE pattern_id IN (
    SELECT pattern_id FROM (
        SELECT p.pattern_id, sum(s.shapes) OVER (
            ORDER BY p.status = 'ignored', p.last_seen, p.pattern_id
        ) - s.shapes AS before
        FROM {schema}.error_patterns p
        JOIN (
            SELECT pattern_id, count(*) AS shapes FROM {schema}.error_pattern_shapes GROUP BY 1
        ) s USING (pattern_id)
    ) x WHERE before < $1
)
"""
_PRUNE_SHAPES = """
DELETE FROM {schema}.error_pattern_shapes s
WHERE NOT EXISTS (SELECT FROM {schema}.error_patterns p WHERE p.pattern_id = s.pattern_id)
"""
_COUNT_SHAPES = "SELECT count(*) FROM {schema}.error_pattern_shapes"


class PostgresPatternStore:
    """Implements ``PatternStore``. Counts and patterns are kept for 100 days."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def session(self) -> AsyncIterator["PostgresPatternSession"]:
        """A flush's transaction, alone among the fleet's."""
        async with self._locked() as connection:
            yield PostgresPatternSession(connection, self._database.schema)

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[Any]:
        schema = self._database.schema
        # Read committed, whatever the user's default: after the lock, see what others did.
        async with (
            self._database.acquire() as connection,
            connection.transaction(isolation="read_committed"),
        ):
            await connection.execute(_PATIENCE)
            await connection.fetchval(_LOCK, f"seawall patterns {schema}")
            yield connection

    async def list(
        self, pipeline_id: str | None, days: int, *, status: PatternStatus | None, limit: int
    ) -> tuple[float, Sequence[tuple[PatternRow, Mapping[int, int]]]]:
        """The most frequent patterns; from roll-ups only."""
        query, more = (_LIST, ()) if pipeline_id is None else (_LIST_PIPELINE, (pipeline_id,))
        async with self._database.acquire() as connection:
            found = await connection.fetch(
                in_schema(query, self._database.schema), days, status, limit, *more
            )
        now = found[0]["now"] if found else 0.0
        return now, [
            (_row(each), dict(zip(each["starts"], each["counts"], strict=True))) for each in found
        ]

    async def change_status(
        self, pattern_id: str, status: PatternStatus, *, actor: str, reason: str
    ) -> str | None:
        """Set it, and write down who did."""
        schema = self._database.schema
        async with self._locked() as connection:
            row = await connection.fetchrow(
                in_schema(_SET_STATUS, schema),
                pattern_id,
                status,
                storable(actor),
                storable(reason),
            )
            if row is None:
                return None
            await audit.write(
                connection,
                schema,
                actor=actor,
                action=f"error pattern {status}",
                subject=row["pattern_id"],
                reason=reason,
                details={"before": row["before"], "pattern": row["error_message_pattern"]},
            )
        now: str = row["pattern_id"]
        return now

    async def prune(self, most_shapes: int) -> None:
        """Delete what is older than 100 days; where shapes are near the bound, four in ten."""
        schema = self._database.schema
        async with self._locked() as connection:
            await connection.execute(in_schema(_PRUNE_COUNTS, schema), _KEPT_DAYS)
            await connection.execute(in_schema(_PRUNE_WORKERS, schema))
            await connection.execute(in_schema(_PRUNE_PATTERNS, schema), _KEPT_DAYS)
            count = await connection.fetchval(in_schema(_COUNT_SHAPES, schema))
            if count >= most_shapes * _TOO_FULL:
                await connection.execute(
                    in_schema(_PRUNE_MANY, schema), int(count - most_shapes * _ROOM)
                )
            await connection.execute(in_schema(_PRUNE_SHAPES, schema))


class PostgresPatternSession:
    """Implements ``PatternSession`` on a connection in a transaction."""

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection, self._schema = connection, schema

    async def begin(self, worker: str) -> Beginning:
        row = await self._connection.fetchrow(in_schema(_BEGIN, self._schema), worker)
        told = [] if row["told"] is None else msgspec.json.decode(row["told"], type=list[Sighting])
        return Beginning(row["now"], row["flush"] or 0, told, row["shape_count"])

    async def shapes(self, after: int) -> tuple[list[KnownShape], int]:
        rows = await self._connection.fetch(in_schema(_SHAPES, self._schema), after)
        return [_shape(row) for row in rows], rows[-1]["sequence"] if rows else after

    async def rows(self, pattern_ids: Collection[str]) -> dict[str, PatternRow]:
        rows = await self._connection.fetch(in_schema(_ROWS, self._schema), list(pattern_ids))
        return {row["pattern_id"]: _row(row) for row in rows}

    async def write(self, worker: str, number: int, flush: Flush) -> None:
        await self._execute_many(_PUT, [_values(row) for row in flush.rows])
        if flush.folded:
            old, new = list(flush.folded), list(flush.folded.values())
            await self._execute(_FOLD_COUNTS, old, new)
            await self._execute(_DROP_FOLDED, old)
            await self._execute(_FOLD_SHAPES, old, new)
        if flush.shapes:
            await self._execute(_ADD_SHAPES, *_columns([_shape_values(s) for s in flush.shapes]))
        if flush.counts:
            counts = [(*key, count) for key, count in sorted(flush.counts.items())]
            await self._execute(
                _ADD_COUNTS,
                [storable(pipeline) for pipeline, *_ in counts],
                *_columns([each[1:] for each in counts]),
            )
        told = storable(msgspec.json.encode(flush.sightings).decode())
        await self._execute(_FLUSHED, worker, number, told)

    async def _execute(self, query: str, *arguments: Any) -> None:
        await self._connection.execute(in_schema(query, self._schema), *arguments)

    async def _execute_many(self, query: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            await self._connection.executemany(in_schema(query, self._schema), rows)


def _columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _shape(row: Any) -> KnownShape:
    return KnownShape(
        row["shape_key"],
        ErrorType(row["error_type"]),
        tuple(msgspec.json.decode(row["tokens"])),
        _from_hex(row["spaced"]),
        row["absorbs"],
        row["pattern_id"],
    )


def _shape_values(shape: KnownShape) -> tuple[Any, ...]:
    kind = ErrorType.UNKNOWN if shape.error_type is None else shape.error_type
    tokens, spaced = _json(shape.tokens), _hex(shape.spaced)
    return shape.key, shape.pattern_id, kind.value, tokens, spaced, shape.absorbs


def _row(row: Any) -> PatternRow:
    template = msgspec.json.decode(row["template"])
    return PatternRow(
        pattern_id=row["pattern_id"],
        error_type=ErrorType(row["error_type"]),
        template=Template(tuple(template["tokens"]), _from_hex(template.get("spaced"))),
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        frequency=row["frequency"],
        status=row["status"],
        status_changed_at=row["status_changed_at"],
        status_actor=row["status_actor"],
        status_reason=row["status_reason"],
        regressed_at=row["regressed_at"],
        regression_count=row["regression_count"],
        seen_in=msgspec.json.decode(row["seen_in"] or "{}"),
        variables=msgspec.json.decode(row["variables"] or "[]"),
        sample_ids=list(row["sample_ids"]),
        recommended_action=row["recommended_action"],
    )


def _values(row: PatternRow) -> tuple[Any, ...]:
    template = row.template
    return (
        row.pattern_id,
        storable(render(template.tokens, template.spaced or 0)),
        row.error_type.value,
        _json({"tokens": template.tokens, "spaced": _hex(template.spaced)}),
        row.frequency,
        row.first_seen,
        row.last_seen,
        row.status,
        row.status_changed_at,
        row.status_actor,
        row.status_reason,
        row.regressed_at,
        row.regression_count,
        _json(row.seen_in),
        _json(row.variables),
        row.sample_ids,
        row.recommended_action,
    )


def _json(value: object) -> str:
    """As JSON that PostgreSQL takes and that comes back equal."""
    return msgspec.json.encode(value).decode()


def _hex(spaced: int | None) -> str | None:
    return None if spaced is None else f"{spaced:x}"


def _from_hex(text: str | None) -> int | None:
    return None if text is None else int(text, 16)
