"""Alerts as rows of ``alerts``, ``alert_notifications`` and ``alert_silences``."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from seawall.alerts.alert import Alert, Severity, Signal, Silence, Told
from seawall.alerts.store import Growth
from seawall.clock import uuid7, uuid7s
from seawall.postgres import audit, change_store
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema

# An all-clear is believed when nothing has contradicted it for so long: what comes and goes is
# told once.
_CALM_SECONDS = 60.0
_KEPT_DAYS = 90

# Rows are locked in the order of their keys, so that two workers never wait in a circle. An episode
# begins where there was none, or the last one is over.
_FIRE = """
INSERT INTO {schema}.alerts AS a (
    alert_key, rule, severity, pipeline_id, title, message, labels, state, sequence, count, quiet_at
)
SELECT alert_key, rule, severity, pipeline_id, title, message, labels::json, 'firing', sequence,
    count, clock_timestamp() + quiet_seconds * interval '1 s'
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::bigint[], $9::bigint[], $10::float8[]
) AS s (alert_key, rule, severity, pipeline_id, title, message, labels, sequence, count,
        quiet_seconds)
ORDER BY alert_key
ON CONFLICT (alert_key) DO UPDATE SET
    state = 'firing', severity = excluded.severity, title = excluded.title,
    message = excluded.message, labels = excluded.labels, last_at = clock_timestamp(),
    sequence = excluded.sequence, quiet_at = excluded.quiet_at,
    episode = a.episode + CASE a.state WHEN 'resolved' THEN 1 ELSE 0 END,
    count = CASE a.state WHEN 'resolved' THEN 0 ELSE a.count END + excluded.count,
    fired_at = CASE a.state WHEN 'resolved' THEN clock_timestamp() ELSE a.fired_at END,
    resolved_at = NULL,
    repeat_at = CASE a.state WHEN 'resolved' THEN NULL ELSE a.repeat_at END
WHERE excluded.sequence = 0 OR excluded.sequence >= a.sequence
"""

_CLEAR = """
UPDATE {schema}.alerts SET
    state = 'resolving', quiet_at = clock_timestamp() + $3::float8 * interval '1 s',
    sequence = greatest(sequence, $2)
WHERE alert_key = $1 AND state = 'firing' AND ($2 = 0 OR $2 >= sequence)
"""

# The one statement that ends episodes: what is over, or was not seen for long enough.
_END = """
UPDATE {schema}.alerts SET state = 'resolved', resolved_at = clock_timestamp()
WHERE alert_key IN (
    SELECT alert_key FROM {schema}.alerts
    WHERE state <> 'resolved' AND quiet_at < clock_timestamp() FOR UPDATE SKIP LOCKED
)
RETURNING alert_key
"""

# What began or lasts too long, for each receiver that wants it; told of an end is who was told of
# the begin. Silenced ones are written down as such, so that nobody wonders.
_NEWS = """
WITH changed AS (
    UPDATE {schema}.alerts SET repeat_at = clock_timestamp() + $1::float8 * interval '1 s'
    WHERE alert_key IN (
        SELECT alert_key FROM {schema}.alerts
        WHERE state <> 'resolved' AND (repeat_at IS NULL OR repeat_at < clock_timestamp())
        FOR UPDATE SKIP LOCKED
    )
    RETURNING *
)
SELECT alert_key, episode, severity,
    EXISTS (
        SELECT FROM {schema}.alert_notifications n
        WHERE n.alert_key = changed.alert_key AND n.episode = changed.episode
    ) AS told,
    EXISTS (
        SELECT FROM {schema}.alert_silences s
        WHERE s.ends_at > clock_timestamp() AND s.starts_at <= clock_timestamp()
          AND (changed.labels::jsonb || jsonb_build_object(
              'rule', changed.rule, 'pipeline_id', coalesce(changed.pipeline_id, ''),
              'severity', changed.severity, 'key', changed.alert_key)) @> s.matchers
    ) AS silenced
FROM changed
"""

_NOTIFY = """
INSERT INTO {schema}.alert_notifications (
    notification_id, alert_key, episode, kind, receiver, status, due_at
)
SELECT notification_id, alert_key, episode, kind, receiver, status,
    clock_timestamp() + $7::float8 * interval '1 s'
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[])
    AS n (notification_id, alert_key, episode, kind, receiver, status)
"""

_TOLD_OF_END = """
SELECT DISTINCT n.alert_key, n.episode, n.receiver,
    bool_and(n.status = 'silenced') AS silenced
FROM {schema}.alert_notifications n JOIN {schema}.alerts a USING (alert_key, episode)
WHERE n.alert_key = ANY($1::text[]) AND n.kind <> 'resolved'
GROUP BY n.alert_key, n.episode, n.receiver
"""

_TAKE = """
WITH due AS (
    SELECT notification_id FROM {schema}.alert_notifications
    WHERE status = 'pending' AND receiver = $1
      AND due_at <= clock_timestamp() + $4::float8 * interval '1 s'
      AND (lease_until IS NULL OR lease_until < clock_timestamp())
    ORDER BY due_at LIMIT 500 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE {schema}.alert_notifications n SET
        owner = $2, attempts = attempts + 1,
        lease_until = clock_timestamp() + $3::float8 * interval '1 s'
    FROM due WHERE n.notification_id = due.notification_id
    RETURNING n.notification_id, n.kind, n.attempts, n.alert_key, n.created_at
)
SELECT t.notification_id, t.kind, t.attempts, a.*, a.labels::text AS labels_text
FROM taken t JOIN {schema}.alerts a USING (alert_key) ORDER BY t.created_at, t.notification_id
"""

_SENT = """
UPDATE {schema}.alert_notifications SET
    status = 'sent', sent_at = clock_timestamp(), owner = NULL, lease_until = NULL,
    last_error = NULL
WHERE notification_id = ANY($1::uuid[]) AND owner = $2
"""

_FAILED = """
UPDATE {schema}.alert_notifications SET
    status = CASE WHEN $5 THEN 'given_up' ELSE 'pending' END, owner = NULL, lease_until = NULL,
    last_error = $3, due_at = clock_timestamp() + $4::float8 * interval '1 s'
WHERE notification_id = ANY($1::uuid[]) AND owner = $2
"""

_GROWING = """
SELECT pipeline_id, today, usual, (
    SELECT reason FROM {schema}.quarantine_counts c
    WHERE c.pipeline_id = grown.pipeline_id AND counted_on = (now() AT TIME ZONE 'UTC')::date
    GROUP BY reason ORDER BY sum(set_aside) DESC LIMIT 1
) AS reason
FROM (
    SELECT pipeline_id,
        coalesce(sum(set_aside) FILTER (
            WHERE counted_on = (now() AT TIME ZONE 'UTC')::date), 0)::bigint AS today,
        coalesce(sum(set_aside) FILTER (
            WHERE counted_on < (now() AT TIME ZONE 'UTC')::date), 0)::float8 / 7 AS usual
    FROM {schema}.quarantine_counts
    WHERE counted_on >= (now() AT TIME ZONE 'UTC')::date - 7
    GROUP BY pipeline_id
) AS grown
WHERE today >= $1::bigint AND today >= usual * $2::float8
"""

_LIST = """
SELECT *, labels::text AS labels_text FROM {schema}.alerts
WHERE $1::text IS NULL OR state = $1
ORDER BY last_at DESC LIMIT $2
"""

_SILENCE = """
INSERT INTO {schema}.alert_silences (silence_id, matchers, ends_at, actor, reason)
VALUES ($1, $2::text::jsonb, clock_timestamp() + $3::float8 * interval '1 s', $4, $5)
"""

_SILENCES = """
SELECT silence_id, matchers::text AS matchers, starts_at, ends_at, actor, reason
FROM {schema}.alert_silences WHERE ends_at > clock_timestamp() ORDER BY ends_at LIMIT 1000
"""

_UNSILENCE = """
UPDATE {schema}.alert_silences SET ends_at = clock_timestamp()
WHERE silence_id = $1 AND ends_at > clock_timestamp()
"""

_PRUNE = """
DELETE FROM {schema}.alerts
WHERE state = 'resolved' AND last_at < clock_timestamp() - $1::int * interval '1 day'
"""


class PostgresAlertStore:
    """Implements ``AlertStore``. What was resolved is kept for 90 days."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _sql(self, query: str) -> str:
        return in_schema(query, self._database.schema)

    async def record(self, signals: Sequence[tuple[Signal, int]]) -> None:
        """Take in signals, in one transaction, in their order."""
        async with self._database.acquire() as connection, connection.transaction():
            firing: dict[str, tuple[Signal, int]] = {}
            for signal, count in signals:
                if signal.firing:
                    before = firing.pop(signal.key, (signal, 0))
                    firing[signal.key] = (signal, before[1] + count)
                    continue
                if signal.key in firing:
                    await self._fire(connection, [firing.pop(signal.key)])
                await connection.execute(
                    self._sql(_CLEAR), signal.key, signal.sequence, _CALM_SECONDS
                )
            await self._fire(connection, list(firing.values()))
            await change_store.tell(connection, self._database.schema, "alerts")

    async def _fire(self, connection: Any, found: Sequence[tuple[Signal, int]]) -> None:
        if found:
            await connection.execute(
                self._sql(_FIRE),
                [each.key for each, _ in found],
                [each.rule for each, _ in found],
                [each.severity.value for each, _ in found],
                [each.pipeline_id for each, _ in found],
                [each.title for each, _ in found],
                [each.message for each, _ in found],
                [msgspec.json.encode(each.labels).decode() for each, _ in found],
                [each.sequence for each, _ in found],
                [count for _, count in found],
                [each.quiet_seconds for each, _ in found],
            )

    async def plan(
        self, receivers: Mapping[str, Severity], *, group_seconds: float, repeat_seconds: float
    ) -> None:
        """Decide who is to be told, in one transaction."""
        async with self._database.acquire() as connection, connection.transaction():
            if receivers:
                await self._notify(
                    connection,
                    [
                        (row, "repeated" if row["told"] else "firing", name)
                        for row in await connection.fetch(self._sql(_NEWS), repeat_seconds)
                        for name, least in receivers.items()
                        if Severity(row["severity"]).reaches(least)
                    ],
                    group_seconds,
                )
            # After the news: what began and ended with nobody there is told of all the same.
            ended = [row["alert_key"] for row in await connection.fetch(self._sql(_END))]
            if ended:
                await change_store.tell(connection, self._database.schema, "alerts")
                told = await connection.fetch(self._sql(_TOLD_OF_END), ended)
                rows = [(row, "resolved", row["receiver"]) for row in told]
                await self._notify(connection, rows, group_seconds)
            await connection.execute(self._sql(_PRUNE), _KEPT_DAYS)

    async def _notify(
        self, connection: Any, rows: Sequence[tuple[Any, str, str]], group_seconds: float
    ) -> None:
        if rows:
            await connection.execute(
                self._sql(_NOTIFY),
                [*uuid7s(len(rows))],
                [row["alert_key"] for row, _, _ in rows],
                [row["episode"] for row, _, _ in rows],
                [kind for _, kind, _ in rows],
                [receiver for _, _, receiver in rows],
                ["silenced" if row["silenced"] else "pending" for row, _, _ in rows],
                group_seconds,
            )

    async def take(
        self, receiver: str, owner: str, lease_seconds: float, ahead_seconds: float
    ) -> list[Told]:
        """What is due for a receiver, under a lease."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(
                self._sql(_TAKE), receiver, owner, lease_seconds, ahead_seconds
            )
        return [
            Told(
                notification_id=row["notification_id"],
                kind=row["kind"],
                attempts=row["attempts"],
                alert=_alert(row),
            )
            for row in rows
        ]

    async def sent(self, owner: str, ids: Sequence[UUID]) -> None:
        """They were delivered."""
        async with self._database.acquire() as connection:
            await connection.execute(self._sql(_SENT), ids, owner)

    async def failed(
        self, owner: str, ids: Sequence[UUID], error: str, wait_seconds: float, *, give_up: bool
    ) -> None:
        """They were not."""
        async with self._database.acquire() as connection:
            await connection.execute(self._sql(_FAILED), ids, owner, error, wait_seconds, give_up)

    async def growing(self, least: int, factor: float) -> Sequence[Growth]:
        """Pipelines whose quarantine grows, from the counts that are kept of it."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(self._sql(_GROWING), least, factor)
        return [Growth(**row) for row in rows]

    async def list(self, *, state: str | None, limit: int) -> list[Alert]:
        """Alerts, those seen last first."""
        async with self._database.acquire() as connection:
            return [_alert(row) for row in await connection.fetch(self._sql(_LIST), state, limit)]

    async def silences(self) -> Sequence[Silence]:
        """Those that run now, the one that ends first before the others."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(self._sql(_SILENCES))
        return [
            Silence(**{**row, "matchers": msgspec.json.decode(row["matchers"])}) for row in rows
        ]

    async def silence(
        self, matchers: Mapping[str, str], seconds: float, actor: str, reason: str
    ) -> UUID:
        """Tell nobody of the alerts that have these labels; audited."""
        silence_id = uuid7()
        text = msgspec.json.encode(matchers).decode()
        async with self._database.acquire() as connection, connection.transaction():
            await connection.execute(self._sql(_SILENCE), silence_id, text, seconds, actor, reason)
            await audit.write(
                connection,
                self._database.schema,
                actor=actor,
                action="alerts silenced",
                subject=text,
                reason=reason,
                details={"seconds": seconds, "silence_id": str(silence_id)},
            )
        return silence_id

    async def end_silence(self, silence_id: UUID, actor: str, reason: str) -> bool:
        """End a silence now; audited."""
        async with self._database.acquire() as connection, connection.transaction():
            done: str = await connection.execute(self._sql(_UNSILENCE), silence_id)
            ended = done.endswith(" 1")
            if ended:
                await audit.write(
                    connection,
                    self._database.schema,
                    actor=actor,
                    action="silence ended",
                    subject=str(silence_id),
                    reason=reason,
                    details={},
                )
        return ended


def _alert(row: Any) -> Alert:
    return Alert(
        key=row["alert_key"],
        rule=row["rule"],
        severity=Severity(row["severity"]),
        title=row["title"],
        message=row["message"],
        pipeline_id=row["pipeline_id"],
        labels=msgspec.json.decode(row["labels_text"]),
        state=row["state"],
        episode=row["episode"],
        count=row["count"],
        fired_at=row["fired_at"],
        last_at=row["last_at"],
        resolved_at=row["resolved_at"],
    )
