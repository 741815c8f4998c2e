"""Messages as rows of ``outbox_messages``: written in any transaction, taken by relays."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from seawall.clock import uuid7
from seawall.errors import CodecError
from seawall.outbox.message import Delivery, Message
from seawall.outbox.store import DeadMessage, Report, TakenMessage
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema
from seawall.quarantine import codec
from seawall.scope import current_scope

# One statement for many, in their order: the sequence is drawn after the sort.
_PUBLISH = """
INSERT INTO {schema}.outbox_messages
    (message_id, topic, message_key, idempotency_key, payload, headers, pipeline_id, run_id)
SELECT m.message_id, m.topic, m.message_key, m.idempotency_key, m.payload::json, m.headers::json,
       $7, $8
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
    WITH ORDINALITY
    AS m(message_id, topic, message_key, idempotency_key, payload, headers, place)
ORDER BY m.place
ON CONFLICT (topic, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING message_id
"""

# One that was given up is published anew: nobody else would ever deliver it.
_AGAIN = """
UPDATE {schema}.outbox_messages
SET status = 'pending', attempts = 0, not_before = NULL, lease_id = NULL, ended_at = NULL,
    payload = $3::text::json, headers = $4::text::json, sequence = DEFAULT
WHERE topic = $1 AND idempotency_key = $2 AND status = 'dead'
"""

_BY_KEY = """
SELECT message_id FROM {schema}.outbox_messages WHERE topic = $1 AND idempotency_key = $2
"""

# The time of the statement, not of each row: an index can be read by it. Rows are chosen once,
# before the UPDATE: as a part of its join they could be chosen again, and more than the limit.
_TAKE = """
WITH due AS MATERIALIZED (
    SELECT d.message_id FROM {schema}.outbox_messages d
    WHERE d.topic = $2 AND d.status = 'pending'
      AND (d.not_before IS NULL OR d.not_before <= statement_timestamp())
      /* held */
    ORDER BY d.sequence
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
UPDATE {schema}.outbox_messages m
SET worker_id = $1, lease_id = $5,
    not_before = clock_timestamp() + make_interval(secs => $4)
WHERE m.message_id = ANY (ARRAY(SELECT due.message_id FROM due))
RETURNING m.message_id, m.sequence, m.topic, m.message_key, m.payload::text AS payload,
          m.headers::text AS headers, m.idempotency_key, m.attempts
"""

# A key with a message that is out, or waits, is held as a whole.
_TAKE_BY_KEY = _TAKE.replace(
    "/* held */",
    """AND (d.message_key IS NULL OR d.message_key NOT IN (
          SELECT h.message_key FROM {schema}.outbox_messages h
          WHERE h.topic = $2 AND h.status = 'pending' AND h.not_before > statement_timestamp()
            AND h.message_key IS NOT NULL
      ))""",
)

_RENEW = """
UPDATE {schema}.outbox_messages m
SET not_before = clock_timestamp() + make_interval(secs => $3)
FROM unnest($1::uuid[], $2::uuid[]) AS t(message_id, lease_id)
WHERE m.message_id = t.message_id AND m.lease_id = t.lease_id AND m.status = 'pending'
RETURNING m.message_id
"""

# All of a report in one statement. The last part is what keeps the order, whatever else happens: a
# message is begun only where no earlier one of its key is left, those of this report not counted.
_REPORT = """
WITH done AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS t(message_id, lease_id)
), deleted AS (
    DELETE FROM {schema}.outbox_messages m USING done t
    WHERE NOT $3 AND m.message_id = t.message_id AND m.lease_id = t.lease_id
    RETURNING m.message_id
), kept AS (
    UPDATE {schema}.outbox_messages m
    SET status = 'delivered', ended_at = clock_timestamp(), lease_id = NULL, not_before = NULL
    FROM done t
    WHERE $3 AND m.message_id = t.message_id AND m.lease_id = t.lease_id
    RETURNING m.message_id
), failed AS (
    UPDATE {schema}.outbox_messages m
    SET status = CASE WHEN t.dead THEN 'dead' ELSE 'pending' END, error_type = t.error_type,
        reason = t.reason, lease_id = NULL,
        not_before = CASE WHEN NOT t.dead
            THEN clock_timestamp() + make_interval(secs => t.wait) END,
        ended_at = CASE WHEN t.dead THEN clock_timestamp() END
    FROM unnest($4::uuid[], $5::uuid[], $6::float8[], $7::text[], $8::text[], $9::boolean[])
        AS t(message_id, lease_id, wait, error_type, reason, dead)
    WHERE m.message_id = t.message_id AND m.lease_id = t.lease_id
    RETURNING m.message_id
), given_back AS (
    UPDATE {schema}.outbox_messages m
    SET lease_id = NULL, not_before = NULL, attempts = t.attempts
    FROM unnest($10::uuid[], $11::uuid[], $12::int[]) AS t(message_id, lease_id, attempts)
    WHERE m.message_id = t.message_id AND m.lease_id = t.lease_id
    RETURNING m.message_id
), begun AS (
    UPDATE {schema}.outbox_messages m
    SET attempts = t.attempts + 1,
        not_before = clock_timestamp() + make_interval(secs => $16)
    FROM unnest($13::uuid[], $14::uuid[], $15::int[]) AS t(message_id, lease_id, attempts)
    WHERE m.message_id = t.message_id AND m.lease_id = t.lease_id AND m.status = 'pending'
      AND (NOT $17 OR m.message_key IS NULL OR NOT EXISTS (
          SELECT FROM {schema}.outbox_messages e
          WHERE e.topic = m.topic AND e.message_key = m.message_key AND e.status = 'pending'
            AND e.sequence < m.sequence AND e.message_id <> ALL ($18::uuid[])
      ))
    RETURNING m.message_id
)
SELECT message_id FROM deleted UNION ALL SELECT message_id FROM kept
UNION ALL SELECT message_id FROM failed UNION ALL SELECT message_id FROM given_back
UNION ALL SELECT message_id FROM begun
"""

_PRUNE = """
WITH gone AS (
    DELETE FROM {schema}.outbox_messages
    WHERE message_id IN (
        SELECT message_id FROM {schema}.outbox_messages
        WHERE status = 'delivered' AND ended_at < clock_timestamp() - make_interval(secs => $2)
          AND topic = $1
        LIMIT 10000 FOR UPDATE SKIP LOCKED
    )
    RETURNING 1
)
SELECT count(*)::int AS gone FROM gone
"""

_DEAD = """
SELECT message_id, topic, message_key, payload::text AS payload, headers::text AS headers,
       idempotency_key, attempts, error_type, reason
FROM {schema}.outbox_messages
WHERE status = 'dead' AND ($1::text IS NULL OR topic = $1)
ORDER BY ended_at DESC LIMIT $2
"""

# At the end of the order: those of its key that came after it are gone already.
_REQUEUE = """
UPDATE {schema}.outbox_messages
SET status = 'pending', attempts = 0, not_before = NULL, ended_at = NULL, sequence = DEFAULT
WHERE status = 'dead' AND topic = $1 AND ($2::uuid IS NULL OR message_id = $2)
RETURNING message_id
"""

_COUNTS = """
SELECT topic, status, count(*)::int AS messages,
       extract(epoch FROM clock_timestamp() - min(published_at))::float8 AS oldest_seconds
FROM {schema}.outbox_messages GROUP BY topic, status ORDER BY topic, status
"""

_AT_ONCE = 1000  # messages that a batch holds in memory before they are written


async def publish(connection: Any, schema: str, messages: Sequence[Message]) -> list[UUID]:
    """Write messages in the connection's transaction, in one statement; their ids.

    Raises:
        CodecError: a payload holds what can't come back equal.
    """
    return await _insert(connection, schema, [_Prepared(each) for each in messages])


class OutboxWriter:
    """The messages of one transaction, written together by ``flush``.

    The owner of the transaction flushes before COMMIT and before a savepoint, and discards after
    going back to one.
    """

    def __init__(self, connection: Any, schema: str) -> None:
        self._connection, self._schema = connection, schema
        self._waiting: list[_Prepared] = []

    async def publish(
        self,
        topic: str,
        payload: Any,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> UUID:
        """Publish a message that is committed with the transaction; its id.

        Raises:
            CodecError: the payload holds what can't come back equal.
            InvalidConfigError: a name is none.
        """
        message = _Prepared(Message(topic, payload, key, headers, idempotency_key))
        self._waiting.append(message)
        if idempotency_key is not None:  # its id may be that of another
            return (await self.flush())[-1]
        if len(self._waiting) >= _AT_ONCE:
            await self.flush()
        return message.message_id

    async def flush(self) -> list[UUID]:
        """Write what was published since the last time; the ids."""
        waiting, self._waiting = self._waiting, []
        return await _insert(self._connection, self._schema, waiting) if waiting else []

    def discard(self) -> None:
        """Forget what was published since the last ``flush``."""
        self._waiting = []


class PostgresOutboxStore:
    """The ``OutboxStore`` over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def publish(self, connection: Any, messages: Sequence[Message]) -> list[UUID]:
        """Write messages in a transaction of the caller's; their ids."""
        return await publish(connection, self._database.schema, messages)

    async def take(
        self, worker_id: str, topic: str, limit: int, lease_seconds: float, *, by_key: bool
    ) -> list[TakenMessage]:
        lease_id = uuid7()
        query = _TAKE_BY_KEY if by_key else _TAKE
        rows = await self._fetch(query, worker_id, topic, limit, lease_seconds, lease_id)
        return [
            TakenMessage(
                message_id=row["message_id"],
                lease_id=lease_id,
                topic=row["topic"],
                key=row["message_key"],
                payload=row["payload"],
                headers=_headers(row["headers"]),
                idempotency_key=row["idempotency_key"] or str(row["message_id"]),
                attempts=row["attempts"],
            )
            for row in sorted(rows, key=lambda row: row["sequence"])
        ]

    async def renew(self, messages: Sequence[TakenMessage], lease_seconds: float) -> set[UUID]:
        return _ids(await self._fetch(_RENEW, *_leases(messages), lease_seconds))

    async def report(
        self, report: Report, lease_seconds: float, *, keep: bool, by_key: bool
    ) -> set[UUID]:
        failed = report.failed
        over = [each.message_id for each in report.done]
        over += [each.message.message_id for each in failed if each.dead]
        return _ids(
            await self._fetch(
                _REPORT,
                *_leases(report.done), keep,
                *_leases([each.message for each in failed]),
                [each.wait for each in failed], [each.error_type for each in failed],
                [each.reason for each in failed], [each.dead for each in failed],
                *_leases(report.given_back), [each.attempts for each in report.given_back],
                *_leases(report.begun), [each.attempts for each in report.begun],
                lease_seconds, by_key, over,
            )
        )  # fmt: skip

    async def prune(self, topic: str, keep_seconds: float) -> int:
        return int((await self._fetch(_PRUNE, topic, keep_seconds))[0]["gone"])

    async def dead(self, topic: str | None, limit: int) -> list[DeadMessage]:
        """Messages that were given up, the last first."""
        return [_dead(row) for row in await self._fetch(_DEAD, topic, limit)]

    async def requeue(self, topic: str, message_id: UUID | None) -> int:
        """Deliver messages that were given up again; how many there were."""
        return len(await self._fetch(_REQUEUE, topic, message_id))

    async def counts(self) -> list[dict[str, Any]]:
        """Messages by topic and status, with the age of the oldest in seconds."""
        return [dict(row) for row in await self._fetch(_COUNTS)]

    async def _fetch(self, query: str, *args: object) -> Any:
        async with self._database.acquire() as connection:
            return await connection.fetch(in_schema(query, self._database.schema), *args)


def _dead(row: Any) -> DeadMessage:
    payload, unreadable = None, None
    try:
        payload = codec.decode(row["payload"])
    except CodecError as error:  # perhaps why it was given up: it must not hide the others
        unreadable = str(error)
    return DeadMessage(
        delivery=Delivery(
            message_id=row["message_id"],
            topic=row["topic"],
            payload=payload,
            key=row["message_key"],
            headers=_headers(row["headers"]),
            idempotency_key=row["idempotency_key"] or str(row["message_id"]),
            attempts=row["attempts"],
        ),
        error_type=row["error_type"],
        reason=row["reason"],
        unreadable=unreadable,
    )


class _Prepared:
    """A message in the form of its row: encoded when it is published, as it is then."""

    __slots__ = ("headers", "message", "message_id", "payload")

    def __init__(self, message: Message) -> None:
        self.message, self.message_id = message, uuid7()
        self.payload = codec.encode(message.payload)
        self.headers = msgspec.json.encode(message.headers).decode() if message.headers else None


async def _insert(connection: Any, schema: str, messages: list[_Prepared]) -> list[UUID]:
    scope = current_scope.get()
    left = messages
    while left:
        rows = await connection.fetch(
            in_schema(_PUBLISH, schema),
            [each.message_id for each in left], [each.message.topic for each in left],
            [each.message.key for each in left], [each.message.idempotency_key for each in left],
            [each.payload for each in left], [each.headers for each in left],
            scope.pipeline_id, scope.run_id,
        )  # fmt: skip
        if len(rows) == len(left):
            break
        written = _ids(rows)
        # One whose twin was delivered between the two statements is found by neither: once more.
        left = [
            each
            for each in left
            if each.message_id not in written and not await _joined(connection, schema, each)
        ]
    return [each.message_id for each in messages]


async def _joined(connection: Any, schema: str, message: _Prepared) -> bool:
    """Whether there is one of the same idempotency key, whose id the message takes."""
    key = message.message.topic, message.message.idempotency_key
    await connection.execute(in_schema(_AGAIN, schema), *key, message.payload, message.headers)
    rows = await connection.fetch(in_schema(_BY_KEY, schema), *key)
    if rows:
        message.message_id = rows[0]["message_id"]
    return bool(rows)


def _leases(messages: Sequence[TakenMessage]) -> tuple[list[UUID], list[UUID]]:
    return [each.message_id for each in messages], [each.lease_id for each in messages]


def _ids(rows: Any) -> set[UUID]:
    return {row["message_id"] for row in rows}


def _headers(text: str | None) -> dict[str, str]:
    return {} if text is None else msgspec.json.decode(text, type=dict[str, str])
