"""What does the outbox cost? Publishing in a batch, delivering, and a NOTIFY that we do without.

    python benchmarks/outbox.py

Publishing: 1,000 messages of one batch's transaction, by one call each, together, and as a batch's
``tx.publish`` writes them; against a bare COPY of the same rows into a table without indexes.
Delivering: messages a second of one relay whose handler does nothing, with and without keys, and
with a key in the way whose 50,000 messages are held back. NOTIFY: commits a second of eight
connections that insert one row each, with and without one.
"""

import asyncio
import statistics
import time

import asyncpg

import common
from seawall import ErrorRecoveryManager
from seawall.outbox import Message
from seawall.postgres.outbox_store import OutboxWriter

N = 1000
ROUNDS = 7


def messages(count, keys=50):
    return [Message("t", {"order": n, "total": 12.5}, key=f"k{n % keys}") for n in range(count)]


async def seconds(work):
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        await work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


async def publishing(manager, connection):
    given = messages(N)
    rows = [(n, "t", str(each.payload)) for n, each in enumerate(given)]
    await connection.execute("CREATE TABLE bare (n int, topic text, payload text)")

    async def copied():
        await connection.copy_records_to_table("bare", records=rows)

    async def by_calls():
        for each in given:
            await manager.publish(connection, each.topic, each.payload, key=each.key)

    async def together():
        await manager.publish_many(connection, given)

    async def written():
        writer = OutboxWriter(connection, "seawall")
        for each in given:
            await writer.publish(each.topic, each.payload, key=each.key)
        await writer.flush()

    for name, work in [("bare COPY", copied), ("a call each", by_calls),
                       ("publish_many", together), ("tx.publish", written)]:  # fmt: skip

        async def in_transaction(work=work):
            async with connection.transaction():
                await work()

        took = await seconds(in_transaction)
        print(f"publish {N:,} in a transaction, {name:<13} {took * 1e3:8.1f} ms")
    await connection.execute("TRUNCATE seawall.outbox_messages")


async def delivering(manager, connection, name, count, *, keys, held=0, **options):
    if held:
        await manager.publish_many(connection, messages(held, keys=1))
        await connection.execute(
            "UPDATE seawall.outbox_messages SET not_before = now() + interval '1 hour', "
            "message_key = 'held' WHERE sequence = (SELECT min(sequence) FROM seawall.outbox_messages)"
        )
        await connection.execute("UPDATE seawall.outbox_messages SET message_key = 'held'")
    await manager.publish_many(connection, messages(count, keys=keys))
    await connection.execute("VACUUM ANALYZE seawall.outbox_messages")

    async def nothing(message):
        pass

    relay = manager.relay("t", nothing, **options)
    started = time.perf_counter()
    delivered = await relay.deliver()
    took = time.perf_counter() - started
    assert delivered == count
    print(f"deliver {count:,}, {name:<34} {count / took:8,.0f} /s")
    await connection.execute("TRUNCATE seawall.outbox_messages")


async def notifying(dsn):
    connections = [await asyncpg.connect(dsn) for _ in range(8)]
    for name, query in [
        ("without", "INSERT INTO bare VALUES (1, 't', 'x')"),
        ("with NOTIFY", "INSERT INTO bare VALUES (1, 't', 'x'); NOTIFY outbox"),
    ]:
        done = 0
        until = time.perf_counter() + 3

        async def commit(connection, query=query):
            nonlocal done
            while time.perf_counter() < until:
                await connection.execute(query)
                done += 1

        await asyncio.gather(*map(commit, connections))
        print(f"commits of 8 connections, {name:<12} {done / 3:8,.0f} /s")
    for each in connections:
        await each.close()


async def main():
    async with common.database() as dsn:
        await measure(dsn)


async def measure(dsn):
    async with ErrorRecoveryManager(dsn) as manager:
        connection = await asyncpg.connect(dsn)
        await publishing(manager, connection)
        await delivering(manager, connection, "1,000 keys", 10_000, keys=1000)
        await delivering(manager, connection, "one key", 2_000, keys=1)
        await delivering(manager, connection, "in any order", 10_000, keys=1, ordered=None)
        await delivering(
            manager, connection, "in any order, 50 at a time", 10_000, keys=1, ordered=None,
            concurrency=50, batch=500,
        )  # fmt: skip
        await delivering(
            manager, connection, "behind a held key of 50,000", 5_000, keys=500, held=50_000
        )
        await connection.close()
    await notifying(dsn)


if __name__ == "__main__":
    asyncio.run(main())
