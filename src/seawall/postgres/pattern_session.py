"""One worker's flush of error patterns, as statements of one transaction."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from seawall.classification import ErrorType
from seawall.patterns.known import KnownShape, Template
from seawall.patterns.reading import render
from seawall.patterns.row import PatternRow
from seawall.patterns.store import Beginning, Flush, Sighting
from seawall.postgres.names import in_schema
from seawall.text import storable

_BEGIN = """
SELECT extract(epoch FROM clock_timestamp())::float8 AS now, w.flush, w.told,
    (SELECT count(*) FROM {schema}.error_pattern_shapes) AS shape_count
FROM (VALUES ($1::text)) AS v (worker) LEFT JOIN {schema}.error_pattern_workers w USING (worker)
"""

_SHAPES = """
SELECT shape_key, pattern_id, error_type, tokens, spaced, absorbs, sequence
FROM {schema}.error_pattern_shapes WHERE sequence > $1 ORDER BY sequence LIMIT 500
"""

COLUMNS = """
p.pattern_id, p.error_type, p.template, p.frequency, p.status, p.status_actor, p.status_reason,
extract(epoch FROM p.first_seen)::float8 AS first_seen,
extract(epoch FROM p.last_seen)::float8 AS last_seen,
extract(epoch FROM p.status_changed_at)::float8 AS status_changed_at,
extract(epoch FROM p.regressed_at)::float8 AS regressed_at,
p.regression_count, p.seen_in, p.variables, p.sample_ids, p.recommended_action
"""

_ROWS = f"SELECT {COLUMNS} FROM {{schema}}.error_patterns p WHERE pattern_id = ANY($1::text[])"

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

_SUMS = """
ON CONFLICT (pipeline_id, day, pattern_id) DO UPDATE SET
    from_00 = c.from_00 + excluded.from_00, from_06 = c.from_06 + excluded.from_06,
    from_12 = c.from_12 + excluded.from_12, from_18 = c.from_18 + excluded.from_18
"""

# Each count goes to its pipeline, and to all of them together: neither question reads more rows.
_ADD_COUNTS = f"""
INSERT INTO {{schema}}.error_pattern_counts AS c
    (pipeline_id, day, pattern_id, from_00, from_06, from_12, from_18)
SELECT p.pipeline_id, date '1970-01-01' + (n.starts_at / 86400)::int, n.pattern_id,
    coalesce(sum(n.frequency) FILTER (WHERE n.starts_at % 86400 = 0), 0),
    coalesce(sum(n.frequency) FILTER (WHERE n.starts_at % 86400 = 21600), 0),
    coalesce(sum(n.frequency) FILTER (WHERE n.starts_at % 86400 = 43200), 0),
    coalesce(sum(n.frequency) FILTER (WHERE n.starts_at % 86400 = 64800), 0)
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[])
    AS n (pipeline_id, starts_at, pattern_id, frequency)
CROSS JOIN LATERAL (VALUES (n.pipeline_id), ('<all>')) AS p (pipeline_id)
GROUP BY 1, 2, 3
{_SUMS}
"""
_FOLD_COUNTS = f"""
INSERT INTO {{schema}}.error_pattern_counts AS c
    (pipeline_id, day, pattern_id, from_00, from_06, from_12, from_18)
SELECT o.pipeline_id, o.day, f.new_id, sum(o.from_00), sum(o.from_06), sum(o.from_12),
    sum(o.from_18)
FROM {{schema}}.error_pattern_counts o
JOIN unnest($1::text[], $2::text[]) AS f (old_id, new_id) ON f.old_id = o.pattern_id
GROUP BY o.pipeline_id, o.day, f.new_id
{_SUMS}
"""

_DROP_FOLDED = "DELETE FROM {schema}.error_patterns WHERE pattern_id = ANY($1::text[])"

_FOLD_SHAPES = """
UPDATE {schema}.error_pattern_shapes s
SET pattern_id = f.new_id, sequence = DEFAULT
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
    sequence = DEFAULT
"""

_FLUSHED = """
INSERT INTO {schema}.error_pattern_workers AS w (worker, flush, told)
VALUES ($1, $2, $3::text::json)
ON CONFLICT (worker) DO UPDATE SET
    flush = excluded.flush, told = excluded.told, flushed_at = clock_timestamp()
"""


async def shapes_after(connection: Any, schema: str, after: int) -> tuple[list[KnownShape], int]:
    """The next 500 shapes that changed after that number, and the number of the last of them."""
    rows = await connection.fetch(in_schema(_SHAPES, schema), after)
    return [_shape(row) for row in rows], rows[-1]["sequence"] if rows else after


class PostgresPatternSession:
    """Implements ``PatternSession`` on a connection in a transaction."""

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection, self._schema = connection, schema

    async def begin(self, worker: str) -> Beginning:
        row = await self._connection.fetchrow(in_schema(_BEGIN, self._schema), worker)
        told = [] if row["told"] is None else msgspec.json.decode(row["told"], type=list[Sighting])
        return Beginning(row["now"], row["flush"] or 0, told, row["shape_count"])

    async def shapes(self, after: int) -> tuple[list[KnownShape], int]:
        return await shapes_after(self._connection, self._schema, after)

    async def rows(self, pattern_ids: Collection[str]) -> dict[str, PatternRow]:
        rows = await self._connection.fetch(in_schema(_ROWS, self._schema), list(pattern_ids))
        return {row["pattern_id"]: row_of(row) for row in rows}

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


def row_of(row: Any) -> PatternRow:
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
