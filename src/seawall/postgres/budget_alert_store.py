"""Alerts on error budgets: what their rules look at, and what came of it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from seawall.budget.alert import Reading
from seawall.budget.counts import Counts, Sli
from seawall.budget.rule import BurnRule, Severity
from seawall.budget.store import ErrorBudgetAlert, Firing, Suspect
from seawall.clock import uuid7
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema

# $1, $2: seconds of each rule's windows; $3: of the longest; $4: least failures in that;
# $5: events that a short window holds at least; $6: runs or rows.
_SUSPECTS = """
WITH suspects AS MATERIALIZED (
    SELECT s.pipeline_id, o.objective, a.alert_id, a.severity, coalesce(greatest(
            o.counted_from - interval '1 minute',
            (SELECT max(r.resolved_at) FROM {schema}.error_budget_alerts r
             WHERE r.pipeline_id = s.pipeline_id AND r.sli = $6)
        ), '-infinity') AS cut
    FROM (
        SELECT pipeline_id FROM {schema}.error_budget
        WHERE minute > statement_timestamp() - $3 * interval '1 s' AND ($6 = 'runs' OR EXISTS (
            SELECT FROM {schema}.error_budget_objectives
            WHERE sli = 'rows' AND objective IS NOT NULL
        ))
        GROUP BY pipeline_id
        HAVING sum(CASE $6 WHEN 'runs' THEN bad_runs ELSE bad_rows END) >= $4
        UNION
        SELECT pipeline_id FROM {schema}.error_budget_alerts WHERE sli = $6 AND state = 'firing'
    ) s
    LEFT JOIN {schema}.error_budget_objectives o ON o.pipeline_id = s.pipeline_id AND o.sli = $6
    LEFT JOIN {schema}.error_budget_alerts a
        ON a.pipeline_id = s.pipeline_id AND a.sli = $6 AND a.state = 'firing'
    WHERE $6 = 'runs' OR o.objective IS NOT NULL OR a.alert_id IS NOT NULL
), filled AS MATERIALIZED (
    -- Since when there were $5 events; each of so many minutes holds one at the least.
    SELECT s.pipeline_id, min(last.minute) FILTER (WHERE last.newer < $5) AS since
    FROM suspects s CROSS JOIN LATERAL (
        SELECT minute, sum(events) OVER (ORDER BY minute DESC) - events AS newer
        FROM (
            SELECT minute,
                CASE $6 WHEN 'runs' THEN good_runs + bad_runs ELSE good_rows + bad_rows END
                AS events
            FROM {schema}.error_budget b
            WHERE b.pipeline_id = s.pipeline_id
              AND minute > greatest(s.cut, statement_timestamp() - $3 * interval '1 s')
              AND CASE $6 WHEN 'runs' THEN good_runs + bad_runs ELSE good_rows + bad_rows END > 0
            ORDER BY minute DESC LIMIT $5
        ) newest
    ) last
    GROUP BY s.pipeline_id
)
SELECT s.pipeline_id, s.objective, s.alert_id, s.severity, rule.number,
    long.good AS long_good, long.bad AS long_bad, short.good AS short_good, short.bad AS short_bad
FROM suspects s LEFT JOIN filled f USING (pipeline_id)
CROSS JOIN unnest($1::float8[], $2::float8[]) WITH ORDINALITY AS rule (long, short, number)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(CASE $6 WHEN 'runs' THEN good_runs ELSE good_rows END), 0)::bigint AS good,
        coalesce(sum(CASE $6 WHEN 'runs' THEN bad_runs ELSE bad_rows END), 0)::bigint AS bad
    FROM {schema}.error_budget b
    WHERE b.pipeline_id = s.pipeline_id
      AND minute > greatest(s.cut, statement_timestamp() - rule.long * interval '1 s')
) long
CROSS JOIN LATERAL (
    SELECT coalesce(sum(CASE $6 WHEN 'runs' THEN good_runs ELSE good_rows END), 0)::bigint AS good,
        coalesce(sum(CASE $6 WHEN 'runs' THEN bad_runs ELSE bad_rows END), 0)::bigint AS bad
    FROM {schema}.error_budget b
    WHERE b.pipeline_id = s.pipeline_id AND minute > s.cut
      AND minute >= least(f.since, statement_timestamp() - rule.short * interval '1 s')
) short
ORDER BY s.pipeline_id, rule.number
"""

_FIRE = """
INSERT INTO {schema}.error_budget_alerts (
    alert_id, pipeline_id, sli, state, severity, rule, objective, long_burn_rate, short_burn_rate,
    bad, total
)
VALUES ($1, $2, $3, 'firing', $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (pipeline_id, sli) WHERE state = 'firing' DO NOTHING
"""
_ESCALATE = """
UPDATE {schema}.error_budget_alerts SET severity = $2, rule = $3, objective = $4,
    long_burn_rate = $5, short_burn_rate = $6, bad = $7, total = $8, announced = false
WHERE alert_id = $1 AND state = 'firing' AND severity <> $2
"""
_RESOLVE = """
UPDATE {schema}.error_budget_alerts
SET state = 'resolved', resolved_at = clock_timestamp(), announced = false
WHERE alert_id = $1 AND state = 'firing'
"""
RESOLVE_OF = """
UPDATE {schema}.error_budget_alerts
SET state = 'resolved', resolved_at = clock_timestamp(), announced = false
WHERE pipeline_id = $1 AND sli = $2 AND state = 'firing'
"""
_UNANNOUNCED = """
SELECT * FROM {schema}.error_budget_alerts WHERE NOT announced ORDER BY alert_id
"""
_MARK = """
UPDATE {schema}.error_budget_alerts SET announced = true
WHERE alert_id = $1 AND state = $2 AND severity = $3
"""
_ALERTS = """
SELECT * FROM {schema}.error_budget_alerts
WHERE $1::text IS NULL OR pipeline_id = $1
ORDER BY fired_at DESC, alert_id DESC LIMIT $2
"""
PRUNE = """
DELETE FROM {schema}.error_budget_alerts
WHERE state = 'resolved' AND resolved_at < clock_timestamp() - $1::int * interval '1 day'
"""


class PostgresBudgetAlertStore:
    """The part of ``BudgetStore`` that alerts need."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def suspects(
        self, sli: Sli, rules: Sequence[BurnRule], least: int, short_events: int
    ) -> list[Suspect]:
        """Pipelines that failed, or are firing, with the counts of each rule's windows."""
        if not rules:
            return []
        longest = max(rule.long_seconds for rule in rules)
        async with self._database.acquire() as connection:
            rows = await connection.fetch(
                self._sql(_SUSPECTS),
                [rule.long_seconds for rule in rules],
                [rule.short_seconds for rule in rules],
                longest,
                least,
                short_events,
                sli,
            )
        size = len(rules)
        return [_suspect(rows[at : at + size]) for at in range(0, len(rows), size)]

    async def fire(self, pipeline_id: str, sli: Sli, firing: Firing) -> None:
        """An alert begins."""
        async with self._database.acquire() as connection:
            await connection.execute(self._sql(_FIRE), uuid7(), pipeline_id, sli, *_fields(firing))

    async def escalate(self, alert_id: UUID, firing: Firing) -> None:
        """An alert that fires becomes one of another severity."""
        async with self._database.acquire() as connection:
            await connection.execute(self._sql(_ESCALATE), alert_id, *_fields(firing))

    async def resolve(self, alert_id: UUID) -> None:
        """An alert is over."""
        async with self._database.acquire() as connection:
            await connection.execute(self._sql(_RESOLVE), alert_id)

    async def unannounced(self) -> list[ErrorBudgetAlert]:
        """Alerts whose last change nobody was told."""
        async with self._database.acquire() as connection:
            return [_alert(row) for row in await connection.fetch(self._sql(_UNANNOUNCED))]

    async def mark_announced(self, alert: ErrorBudgetAlert) -> None:
        """It was told."""
        async with self._database.acquire() as connection:
            await connection.execute(self._sql(_MARK), alert.alert_id, alert.state, alert.severity)

    async def alerts(self, pipeline_id: str | None, limit: int) -> list[ErrorBudgetAlert]:
        """Alerts, the last first."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(self._sql(_ALERTS), pipeline_id, limit)
        return [_alert(row) for row in rows]

    def _sql(self, query: str) -> str:
        return in_schema(query, self._database.schema)


def _suspect(rows: Sequence[Any]) -> Suspect:
    first = rows[0]
    return Suspect(
        pipeline_id=first["pipeline_id"],
        objective=first["objective"],
        firing=first["alert_id"],
        severity=None if first["severity"] is None else Severity(first["severity"]),
        readings=[
            Reading(
                Counts(row["long_good"], row["long_bad"]),
                Counts(row["short_good"], row["short_bad"]),
            )
            for row in rows
        ],
    )


def _fields(firing: Firing) -> tuple[Any, ...]:
    return (
        firing.severity, firing.rule, firing.objective, firing.long_burn_rate,
        firing.short_burn_rate, firing.bad, firing.total,
    )  # fmt: skip


def _alert(row: Any) -> ErrorBudgetAlert:
    return ErrorBudgetAlert(
        alert_id=row["alert_id"],
        pipeline_id=row["pipeline_id"],
        sli=Sli(row["sli"]),
        state=row["state"],
        severity=Severity(row["severity"]),
        rule=row["rule"],
        objective=row["objective"],
        long_burn_rate=row["long_burn_rate"],
        short_burn_rate=row["short_burn_rate"],
        bad=row["bad"],
        total=row["total"],
        fired_at=row["fired_at"],
        resolved_at=row["resolved_at"],
    )
