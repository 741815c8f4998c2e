"""Outcomes of retries as rows of ``learned_outcomes``."""

from collections.abc import Sequence

from seawall.classification import Fingerprint, Outcome
from seawall.learning.store import Delta
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.text import recordable

_COUNTED_DAYS = 14
_KEPT_DAYS = 60
_MOST_LOADED = 10_000

# In the order of the key, so that two workers never wait for each other's rows in a circle.
_ADD = """
INSERT INTO {schema}.learned_outcomes AS o (
    operation, fingerprint, day, exception_type, code, template, recovered, lasting
)
SELECT operation, fingerprint, (clock_timestamp() AT TIME ZONE 'UTC')::date, exception_type, code,
    template, recovered, lasting
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[])
    AS d (operation, fingerprint, exception_type, code, template, recovered, lasting)
ORDER BY operation, fingerprint
ON CONFLICT (operation, fingerprint, day) DO UPDATE SET
    recovered = o.recovered + excluded.recovered,
    lasting = o.lasting + excluded.lasting,
    last_seen = clock_timestamp()
"""

_LOAD = """
SELECT operation, fingerprint, min(exception_type) AS exception_type, min(code) AS code,
    min(template) AS template, sum(recovered)::bigint AS recovered, sum(lasting)::bigint AS lasting,
    count(*) FILTER (WHERE lasting > 0) AS lasting_days,
    min(day)::timestamp AT TIME ZONE 'UTC' AS first_seen, max(last_seen) AS last_seen
FROM {schema}.learned_outcomes
WHERE day > (clock_timestamp() AT TIME ZONE 'UTC')::date - $1::int
GROUP BY operation, fingerprint
ORDER BY max(last_seen) DESC
LIMIT $2
"""

_PRUNE = """
DELETE FROM {schema}.learned_outcomes
WHERE day < (clock_timestamp() AT TIME ZONE 'UTC')::date - $1::int
"""

_FORGET = """
WITH gone AS (
    DELETE FROM {schema}.learned_outcomes
    WHERE ($1::text IS NULL OR operation = $1) AND ($2::text IS NULL OR fingerprint = $2)
    RETURNING 1
)
SELECT count(*) FROM gone
"""


class PostgresOutcomeStore:
    """Implements ``OutcomeStore``. Outcomes count for 14 days and are kept for 60."""

    def __init__(self, database: Database) -> None:
        self._database = database
        schema = database.schema
        self._add, self._load = in_schema(_ADD, schema), in_schema(_LOAD, schema)
        self._prune, self._forget = in_schema(_PRUNE, schema), in_schema(_FORGET, schema)

    async def add(self, deltas: Sequence[Delta]) -> None:
        """Add counts to those of today."""
        rows = list(_merged(deltas).values())
        async with self._database.acquire() as connection:
            await connection.execute(
                self._add,
                [each.operation for each in rows],
                [each.fingerprint.key for each in rows],
                [recordable(each.fingerprint.exception_type) for each in rows],
                [recordable(each.fingerprint.code) for each in rows],
                [recordable(each.fingerprint.template) for each in rows],
                [each.recovered for each in rows],
                [each.lasting for each in rows],
            )

    async def load(self) -> list[Outcome]:
        """The sums of the last 14 days; at most 10,000 failures, the latest."""
        async with self._database.acquire() as connection:
            await connection.execute(self._prune, _KEPT_DAYS)
            rows = await connection.fetch(self._load, _COUNTED_DAYS, _MOST_LOADED)
        return [
            Outcome(
                operation=row["operation"],
                fingerprint=Fingerprint(
                    row["fingerprint"], row["exception_type"], row["code"], row["template"]
                ),
                recovered=row["recovered"],
                lasting=row["lasting"],
                lasting_days=row["lasting_days"],
                first_seen=row["first_seen"],
                last_seen=row["last_seen"],
            )
            for row in rows
        ]

    async def forget(self, operation: str | None, fingerprint: str | None) -> int:
        """Delete counts; how many rows there were."""
        async with self._database.acquire() as connection:
            count: int = await connection.fetchval(self._forget, operation, fingerprint)
        return count


def _merged(deltas: Sequence[Delta]) -> dict[tuple[str, str], Delta]:
    """One delta a row: a statement can't write the same row twice."""
    merged: dict[tuple[str, str], Delta] = {}
    for each in deltas:
        key = (each.operation, each.fingerprint.key)
        known = merged.get(key)
        merged[key] = Delta(
            each.operation,
            each.fingerprint,
            each.recovered + (known.recovered if known else 0),
            each.lasting + (known.lasting if known else 0),
        )
    return merged
