"""Messages commit with the work that they tell of, or not at all."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import asyncpg
import pytest

from seawall.errors import CodecError, InvalidConfigError
from seawall.outbox import Message
from seawall.postgres.outbox_store import OutboxWriter


async def received(manager, topic="t", **options):
    got = []

    async def note(message):
        got.append(message)

    await manager.relay(topic, note, **options).deliver()
    return got


async def test_publish_committed_arrives_as_it_was(manager, connection):
    payload = {"total": Decimal("2.50"), "at": datetime(2026, 1, 1, tzinfo=UTC), "nul": "a\x00b"}
    async with connection.transaction():
        message_id = await manager.publish(
            connection, "t", payload, key="k", headers={"trace": "1"}
        )
    (message,) = await received(manager)
    assert message.message_id == message_id
    assert (message.payload, message.key, message.headers) == (payload, "k", {"trace": "1"})
    assert (message.idempotency_key, message.attempts) == (str(message_id), 1)


async def test_publish_rolled_back_is_not_delivered(manager, connection, rows):
    transaction = connection.transaction()
    await transaction.start()
    await manager.publish(connection, "t", 1)
    await transaction.rollback()
    assert await received(manager) == await rows() == []


async def test_publish_in_a_batch_commits_with_it_and_carries_its_run(manager, connection, rows):
    await connection.execute("CREATE TABLE numbers (n int)")
    async with (
        manager.run("flights", "r"),
        manager.checkpoint("r", "load", size=2) as cp,
    ):
        async for batch in cp.batches([{"n": 1}, {"n": 2}], position=lambda record: record["n"]):
            with pytest.raises(ZeroDivisionError):
                async with batch.transaction() as tx:
                    await manager.publish(tx, "t", "lost")
                    raise ZeroDivisionError
            async with batch.transaction() as tx:
                await tx.load("numbers", batch.records)
                await manager.publish(tx, "t", batch.id)
    (row,) = await rows()
    assert (row["pipeline_id"], row["run_id"]) == ("flights", "r")
    assert await connection.fetchval("SELECT count(*) FROM numbers") == 2


async def test_publish_many_keeps_their_order_and_topics(manager, connection, rows):
    messages = [Message("t", n, key=f"k{n % 3}") for n in range(1000)] + [Message("u", "x")]
    ids = await manager.publish_many(connection, messages)
    assert [row["message_id"] for row in await rows()] == ids
    assert [message.payload for message in await received(manager, "u")] == ["x"]
    got = await received(manager)
    for key in ("k0", "k1", "k2"):
        payloads = [message.payload for message in got if message.key == key]
        assert payloads == sorted(payloads)
    assert len(got) == 1000


async def test_publish_same_idempotency_key_is_one_message_and_anew_once_dead(
    manager, connection, rows
):
    first = await manager.publish(connection, "t", 1, idempotency_key="order 7")
    again = await manager.publish_many(
        connection,
        [
            Message("t", 2, idempotency_key="order 7"),
            Message("t", 3),
            Message("u", 4, idempotency_key="order 7"),
            Message("t", 5, idempotency_key="order 7"),
        ],
    )
    assert again[0] == again[3] == first
    assert len({*again}) == len(await rows()) == 3

    async def refuse(message):
        raise ValueError(message.idempotency_key)

    assert await manager.relay("t", refuse, max_attempts=1).deliver() == 0
    assert [dead.delivery.payload for dead in await manager.dead_messages("t")] == [3, 1]
    assert await manager.publish(connection, "t", 6, idempotency_key="order 7") == first
    (message,) = await received(manager)
    assert (message.payload, message.idempotency_key, message.attempts) == (6, "order 7", 1)


async def test_publish_what_the_codec_refuses_leaves_the_transaction_usable(manager, connection):
    async with connection.transaction():
        with pytest.raises(CodecError):
            await manager.publish(connection, "t", object())
        await manager.publish(connection, "t", 1)
    assert [message.payload for message in await received(manager)] == [1]


@pytest.mark.parametrize(
    "wrong",
    [{"topic": ""}, {"topic": "a\x00"}, {"key": ""}, {"idempotency_key": 7}, {"headers": {"a": 1}}],
)
async def test_publish_name_that_is_none_is_refused(manager, connection, wrong):
    with pytest.raises(InvalidConfigError, match=next(iter(wrong))):
        await manager.publish(connection, **{"topic": "t", "payload": 1, **wrong})


async def test_writer_keeps_order_over_its_own_flushes_and_forgets_what_is_undone(connection, rows):
    """What a batch's transaction uses: many messages, one statement."""
    writer = OutboxWriter(connection, "seawall")
    async with connection.transaction():
        ids = [await writer.publish("t", n) for n in range(1200)]
        assert await connection.fetchval("SELECT count(*) FROM seawall.outbox_messages") == 1000
        ids.append(await writer.publish("t", "keyed", idempotency_key="x"))
        assert await writer.publish("t", "again", idempotency_key="x") == ids[-1]
        await writer.flush()
        savepoint = connection.transaction()
        await savepoint.start()
        await writer.publish("t", "undone")
        await savepoint.rollback()
        writer.discard()
        await writer.flush()
    assert [row["message_id"] for row in await rows()] == ids


async def test_publish_beside_an_uncommitted_twin_waits_for_it(manager, connection, database_dsn):
    """Of two transactions with one idempotency key, one message comes of it."""
    other = await asyncpg.connect(database_dsn)
    try:
        transaction = connection.transaction()
        await transaction.start()
        first = await manager.publish(connection, "t", 1, idempotency_key="x")
        second = asyncio.ensure_future(manager.publish(other, "t", 2, idempotency_key="x"))
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database()"
        )
        while not await connection.fetchval(waiting):
            await connection.execute("SELECT pg_stat_clear_snapshot()")
        await transaction.commit()
        assert await second == first
    finally:
        await other.close()
