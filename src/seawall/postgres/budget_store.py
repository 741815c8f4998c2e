"""Error budgets: counts a minute and an hour, and what is set for a pipeline.

Runs are counted by triggers on ``runs``; see the migration of ``error_budget``.
"""

from collections.abc import Mapping, Sequence

from seawall.budget.counts import Counts, Sli
from seawall.budget.status import Measured
from seawall.budget.store import Exhausted, Spent
from seawall.postgres import budget_alert_store
from seawall.postgres.budget_alert_store import PostgresBudgetAlertStore

_KEPT_MINUTES_SECONDS = 4 * 86_400.0
_KEPT_HOURS_DAYS = 401

# In the order of the key, so that two workers never wait for each other's rows in a circle.
_ADD_ROWS = """
INSERT INTO {schema}.error_budget AS b (pipeline_id, minute, good_rows, bad_rows)
SELECT pipeline_id, date_trunc('minute', clock_timestamp(), 'UTC'), good, bad
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS d (pipeline_id, good, bad)
ORDER BY pipeline_id
ON CONFLICT (pipeline_id, minute) DO UPDATE SET
    good_rows = b.good_rows + excluded.good_rows, bad_rows = b.bad_rows + excluded.bad_rows
"""

# A window begins with a full minute; with a full hour, where minutes are hours by now. What was
# forgiven ends with a full minute, and takes the hour that it ends in with it. Read in one pass:
# each row stands in the shortest window that it is in, and so in all longer ones.
_MEASURE = """
WITH asked AS MATERIALIZED (
    SELECT date_trunc('minute', statement_timestamp() - $3 * interval '1 s', 'UTC') AS since,
        (SELECT counted_from FROM {schema}.error_budget_objectives
         WHERE pipeline_id = $1 AND sli = $2) AS counted_from
), spans AS (
    SELECT minute AS at, true AS fine, good_runs, bad_runs, good_rows, bad_rows
    FROM {schema}.error_budget
    WHERE pipeline_id = $1 AND minute >= greatest(
        (SELECT since FROM asked), (SELECT counted_from FROM asked))
    UNION ALL
    SELECT hour, false, good_runs, bad_runs, good_rows, bad_rows
    FROM {schema}.error_budget_hours
    WHERE pipeline_id = $1 AND hour >= greatest(
        date_trunc('hour', (SELECT since FROM asked), 'UTC'), (SELECT counted_from FROM asked))
), counted AS (
    SELECT at, fine, CASE $2 WHEN 'runs' THEN good_runs ELSE good_rows END AS good,
        CASE $2 WHEN 'runs' THEN bad_runs ELSE bad_rows END AS bad
    FROM spans
)
SELECT CASE WHEN fine THEN width_bucket(
        extract(epoch FROM statement_timestamp() - at)::float8, $4::float8[]
    ) ELSE cardinality($4::float8[]) END AS place,
    statement_timestamp() AS now, sum(good)::bigint AS good, sum(bad)::bigint AS bad,
    min(at) FILTER (WHERE good + bad > 0) AS first_at
FROM counted GROUP BY 1
UNION ALL SELECT 0, statement_timestamp(), 0, 0, NULL
"""
_SET = """
SELECT o.objective, o.counted_from, e.exhausted_at
FROM (SELECT $1::text AS pipeline_id, $2::text AS sli) asked
LEFT JOIN {schema}.error_budget_objectives o USING (pipeline_id, sli)
LEFT JOIN {schema}.error_budget_exhausted e USING (pipeline_id, sli)
"""

_SET_OBJECTIVE = """
INSERT INTO {schema}.error_budget_objectives AS o (pipeline_id, sli, objective)
VALUES ($1, $2, $3)
ON CONFLICT (pipeline_id, sli) DO UPDATE
SET objective = excluded.objective, changed_at = clock_timestamp()
"""

_FORGIVE = """
INSERT INTO {schema}.error_budget_objectives AS o (pipeline_id, sli, counted_from)
VALUES ($1, $2, date_trunc('minute', clock_timestamp(), 'UTC') + interval '1 minute')
ON CONFLICT (pipeline_id, sli) DO UPDATE
SET counted_from = excluded.counted_from, changed_at = clock_timestamp()
"""
_NO_LONGER_EXHAUSTED = """
DELETE FROM {schema}.error_budget_exhausted WHERE pipeline_id = $1 AND sli = $2
"""

_SPENT = """
WITH spans AS NOT MATERIALIZED (
    SELECT pipeline_id, minute AS at, good_runs, bad_runs, good_rows, bad_rows
    FROM {schema}.error_budget
    WHERE minute >= date_trunc('minute', statement_timestamp() - $1 * interval '1 s', 'UTC')
    UNION ALL
    SELECT pipeline_id, hour, good_runs, bad_runs, good_rows, bad_rows
    FROM {schema}.error_budget_hours
    WHERE hour >= date_trunc('hour', statement_timestamp() - $1 * interval '1 s', 'UTC')
)
SELECT s.pipeline_id, 'runs' AS sli, max(o.objective) AS objective,
    sum(s.good_runs)::bigint AS good,
    sum(s.bad_runs)::bigint AS bad
FROM spans s
LEFT JOIN {schema}.error_budget_objectives o ON o.pipeline_id = s.pipeline_id AND o.sli = 'runs'
WHERE s.at >= coalesce(o.counted_from, '-infinity')
GROUP BY s.pipeline_id HAVING sum(s.bad_runs) >= $2
UNION ALL
SELECT s.pipeline_id, 'rows', max(o.objective), sum(s.good_rows)::bigint, sum(s.bad_rows)::bigint
FROM spans s
JOIN {schema}.error_budget_objectives o ON o.pipeline_id = s.pipeline_id AND o.sli = 'rows'
WHERE s.at >= coalesce(o.counted_from, '-infinity') AND o.objective IS NOT NULL
GROUP BY s.pipeline_id HAVING sum(s.bad_rows) >= $2
"""

_EXHAUSTED = "SELECT * FROM {schema}.error_budget_exhausted"
_DROP_OTHERS = """
DELETE FROM {schema}.error_budget_exhausted
WHERE (pipeline_id, sli) NOT IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""
_PUT_EXHAUSTED = """
INSERT INTO {schema}.error_budget_exhausted AS e
    (pipeline_id, sli, bad, total, objective, window_days)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::float8[], $6::float8[]
) AS d (pipeline_id, sli, bad, total, objective, window_days)
ORDER BY pipeline_id, sli
ON CONFLICT (pipeline_id, sli) DO UPDATE SET bad = excluded.bad, total = excluded.total,
    objective = excluded.objective, window_days = excluded.window_days
"""

_HAS_RUN = "SELECT EXISTS (SELECT FROM {schema}.runs WHERE run_id = $1)"

# Each count stands in one of the two tables, whatever is taken back from a minute later.
_FOLD = """
WITH old AS (
    DELETE FROM {schema}.error_budget
    WHERE minute < date_trunc('hour', statement_timestamp() - $1 * interval '1 s', 'UTC')
    RETURNING *
)
INSERT INTO {schema}.error_budget_hours AS h
    (pipeline_id, hour, good_runs, bad_runs, good_rows, bad_rows)
SELECT pipeline_id, date_trunc('hour', minute, 'UTC'), sum(good_runs), sum(bad_runs),
    sum(good_rows), sum(bad_rows)
FROM old GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (pipeline_id, hour) DO UPDATE SET
    good_runs = h.good_runs + excluded.good_runs, bad_runs = h.bad_runs + excluded.bad_runs,
    good_rows = h.good_rows + excluded.good_rows, bad_rows = h.bad_rows + excluded.bad_rows
"""
_PRUNE = """
DELETE FROM {schema}.error_budget_hours
WHERE hour < statement_timestamp() - $1::int * interval '1 day'
"""


class PostgresBudgetStore(PostgresBudgetAlertStore):
    """Implements ``BudgetStore``. Minutes are kept for 4 days, hours for 401."""

    async def add_rows(self, rows: Mapping[str, Counts]) -> None:
        """Add rows to the minute that it is."""
        async with self._database.acquire() as connection:
            await connection.execute(
                self._sql(_ADD_ROWS),
                list(rows),
                [each.good for each in rows.values()],
                [each.bad for each in rows.values()],
            )

    async def measure(
        self, pipeline_id: str, sli: Sli, window_seconds: float, windows: Sequence[float]
    ) -> Measured:
        """The counts of one pipeline."""
        shorter = sorted(each for each in windows if each < window_seconds)
        async with self._database.acquire() as connection:
            rows = await connection.fetch(
                self._sql(_MEASURE), pipeline_id, sli, window_seconds, shorter
            )
            found = await connection.fetchrow(self._sql(_SET), pipeline_id, sli)

        def within(place: int) -> Counts:
            inside = [row for row in rows if row["place"] <= place]
            return Counts(sum(row["good"] for row in inside), sum(row["bad"] for row in inside))

        return Measured(
            at=rows[0]["now"],
            counts=within(len(shorter)),
            by_window={seconds: within(place) for place, seconds in enumerate(shorter)},
            first_at=min(filter(None, (row["first_at"] for row in rows)), default=None),
            objective=found["objective"],
            counted_from=found["counted_from"],
            exhausted_at=found["exhausted_at"],
        )

    async def set_objective(self, pipeline_id: str, sli: Sli, objective: float | None) -> None:
        """Set what is aimed at."""
        async with self._database.acquire() as connection:
            await connection.execute(self._sql(_SET_OBJECTIVE), pipeline_id, sli, objective)

    async def forgive(self, pipeline_id: str, sli: Sli) -> None:
        """Count from the next minute on."""
        async with self._database.acquire() as connection, connection.transaction():
            for query in (_FORGIVE, _NO_LONGER_EXHAUSTED, budget_alert_store.RESOLVE_OF):
                await connection.execute(self._sql(query), pipeline_id, sli)

    async def spent(self, window_days: float, least: int) -> list[Spent]:
        """Pipelines with ``least`` bad ones in the window."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(self._sql(_SPENT), window_days * 86_400, least)
        return [
            Spent(
                pipeline_id=row["pipeline_id"],
                sli=Sli(row["sli"]),
                counts=Counts(row["good"], row["bad"]),
                objective=row["objective"],
            )
            for row in rows
        ]

    async def put_exhausted(self, exhausted: Sequence[Exhausted]) -> None:
        """These are the pipelines whose budget is gone."""
        keys = [each.pipeline_id for each in exhausted], [each.sli.value for each in exhausted]
        async with self._database.acquire() as connection, connection.transaction():
            await connection.execute(self._sql(_DROP_OTHERS), *keys)
            await connection.execute(
                self._sql(_PUT_EXHAUSTED),
                *keys,
                [each.counts.bad for each in exhausted],
                [each.counts.total for each in exhausted],
                [each.objective for each in exhausted],
                [each.window_days for each in exhausted],
            )

    async def exhausted(self) -> list[Exhausted]:
        """The pipelines whose budget is gone."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(self._sql(_EXHAUSTED))
        return [
            Exhausted(
                pipeline_id=row["pipeline_id"],
                sli=Sli(row["sli"]),
                counts=Counts(row["total"] - row["bad"], row["bad"]),
                objective=row["objective"],
                window_days=row["window_days"],
            )
            for row in rows
        ]

    async def has_run(self, run_id: str) -> bool:
        """Whether the run was begun before."""
        async with self._database.acquire() as connection:
            return bool(await connection.fetchval(self._sql(_HAS_RUN), run_id))

    async def fold(self) -> None:
        """Sum minutes older than 4 days up to hours; drop hours after 401 days, alerts likewise."""
        async with self._database.acquire() as connection:
            await connection.execute(self._sql(_FOLD), _KEPT_MINUTES_SECONDS)
            await connection.execute(self._sql(_PRUNE), _KEPT_HOURS_DAYS)
            await connection.execute(self._sql(budget_alert_store.PRUNE), _KEPT_HOURS_DAYS)
