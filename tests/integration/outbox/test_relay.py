"""The relay: each message at least once, of one key in order, whoever dies."""

import asyncio
import random

import anyio
import asyncpg
import pytest

from seawall import ErrorRecoveryManager
from seawall.cli.status import collect
from seawall.errors import InvalidConfigError, NotStartedError
from seawall.outbox import Message
from support.proxy import Proxy, target_of, through


def messages(count, keys=3):
    return [Message("t", n, key=f"k{n % keys}") for n in range(count)]


async def stopped(task):
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def until(condition, seconds=10):
    with anyio.fail_after(seconds):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_relay_failing_message_holds_back_its_own_key_alone(manager, connection, rows):
    await manager.publish_many(connection, [*messages(30), Message("t", "free")])
    got = []
    failures = iter(range(2))

    async def deliver(message):
        if message.payload == 4 and next(failures, None) is not None:
            raise ConnectionError("password=hunter2")
        got.append(message.payload)

    relay = manager.relay("t", deliver, delay=1.0, max_delay=1.0)
    assert await relay.deliver() == 22
    assert sorted(n for n in got if n != "free" and n % 3 == 1) == [1]
    (first, *others) = await rows()
    assert (first["attempts"], first["error_type"]) == (1, "transient")
    assert first["reason"].startswith("ConnectionError: ")
    assert "hunter2" not in first["reason"]
    assert {row["attempts"] for row in others} == {0}
    task = asyncio.ensure_future(relay.run(poll_seconds=0.01))

    async def empty():
        return await rows() == []

    await until(empty)
    await stopped(task)
    assert [n for n in got if n != "free" and n % 3 == 1] == list(range(1, 30, 3))


async def test_relay_message_that_fails_for_good_is_dead_and_its_key_goes_on(
    manager, connection, rows
):
    await manager.publish_many(connection, messages(6, keys=1))
    got, failing = [], True

    async def deliver(message):
        if message.payload == 2 and failing:
            raise ValueError("no such order")
        got.append(message.payload)

    relay = manager.relay("t", deliver, max_attempts=2, delay=0.01, max_delay=0.01)
    await relay.deliver()
    await asyncio.sleep(0.05)
    await relay.deliver()
    assert got == [0, 1, 3, 4, 5]
    (dead,) = await manager.dead_messages()
    assert (dead.delivery.payload, dead.delivery.attempts, dead.error_type) == (2, 2, "data")
    assert dead.reason == "ValueError: no such order"
    assert [(each["status"], each["messages"]) for each in await manager.count_messages()] == [
        ("dead", 1)
    ]
    (shown,) = (await collect(connection, "seawall"))["outbox"]
    assert (shown["topic"], shown["status"], shown["messages"]) == ("t", "dead", 1)
    failing = False
    assert await manager.requeue_messages("u") == 0
    assert await manager.requeue_messages("t", dead.delivery.message_id) == 1
    assert await relay.deliver() == 1
    assert got[-1] == 2
    assert await rows() == []


async def test_relay_delivered_messages_stay_for_as_long_as_asked(manager, connection, rows):
    await manager.publish_many(connection, messages(3))
    seen = []

    async def deliver(message):
        seen.append(message)

    relay = manager.relay("t", deliver, keep_hours=1, lease_seconds=0.1)
    assert await relay.deliver() == 3
    assert [row["status"] for row in await rows()] == ["delivered"] * 3
    assert await relay.deliver() == 0
    await connection.execute(
        "UPDATE seawall.outbox_messages SET ended_at = ended_at - interval '2 hours' "
        "WHERE payload #>> '{}' = '1'"
    )
    task = asyncio.ensure_future(relay.run(poll_seconds=0.01))

    async def pruned():
        return len(await rows()) == 2

    await until(pruned)
    await stopped(task)
    assert len(seen) == 3


@pytest.mark.parametrize("ordered", ["key", None])
async def test_four_relays_deliver_each_message_once_and_one_of_a_key_at_a_time(
    database_dsn, manager, connection, rows, ordered
):
    await manager.publish_many(connection, messages(400, keys=7))
    got, busy = [], set()
    overlaps = 0

    async def deliver(message):
        nonlocal overlaps
        overlaps += message.key in busy
        busy.add(message.key)
        await asyncio.sleep(random.uniform(0, 0.002))
        busy.discard(message.key)
        got.append((message.key, message.payload))

    async def relay():
        async with ErrorRecoveryManager(database_dsn, config={"pool_size": 3}) as own:
            run = own.relay("t", deliver, batch=9, concurrency=5, ordered=ordered).run
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await run(poll_seconds=0.01)

    scopes = []

    async def empty():
        return await rows() == []

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(relay)
        await until(empty)
        for scope in scopes:
            scope.cancel()
    assert sorted(n for _, n in got) == list(range(400))
    if ordered:
        assert overlaps == 0
        for key in {key for key, _ in got}:
            order = [n for each, n in got if each == key]
            assert order == sorted(order)
    else:
        assert overlaps > 0


async def test_relay_slow_handler_holds_no_transaction_and_keeps_its_lease(
    manager, connection, rows
):
    await manager.publish(connection, "t", 1, key="k")
    began, go_on = asyncio.Event(), asyncio.Event()
    calls = 0

    async def deliver(message):
        nonlocal calls
        calls += 1
        began.set()
        await go_on.wait()

    first = manager.relay("t", deliver, lease_seconds=0.3)
    task = asyncio.ensure_future(first.run(poll_seconds=0.01))
    await began.wait()
    lease = (await rows())[0]["not_before"]
    open_ones = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
    )

    async def renewed_twice():
        return ((await rows())[0]["not_before"] - lease).total_seconds() > 0.35

    await until(renewed_twice)
    assert await manager.relay("t", deliver).deliver() == 0
    assert await connection.fetchval(open_ones) == 0
    go_on.set()

    async def empty():
        return await rows() == []

    await until(empty)
    await stopped(task)
    assert calls == 1


@pytest.mark.parametrize("how", ["task", "scope"])
async def test_relay_cancelled_gives_back_what_it_has_for_others_at_once(
    manager, connection, rows, how
):
    await manager.publish_many(connection, messages(20, keys=2))
    began = asyncio.Event()

    async def hang(message):
        if message.payload >= 4:
            began.set()
            await asyncio.Event().wait()

    relay = manager.relay("t", hang, lease_seconds=60)
    if how == "task":
        task = asyncio.ensure_future(relay.run())
        await began.wait()
        await stopped(task)
    else:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(relay.run)
            await began.wait()
            tasks.cancel_scope.cancel()
    left = await rows()
    assert [row["payload"] for row in left] == [str(n) for n in range(4, 20)]
    assert {(row["attempts"], row["lease_id"], row["not_before"]) for row in left} == {
        (0, None, None)
    }


async def test_relay_message_whose_relays_vanished_in_it_is_given_up_and_no_other(
    manager, connection, rows
):
    """Only what a handler began with counts: the rest of a dead relay's hand is innocent."""
    await manager.publish_many(connection, messages(5, keys=1))
    began = asyncio.Event()

    async def vanish(message):
        began.set()
        await asyncio.Event().wait()

    for _ in range(2):
        relay = manager.relay("t", vanish, lease_seconds=60, max_attempts=2)
        session = relay._session()
        session._end = _nothing  # as SIGKILL: nothing is given back
        began.clear()
        task = asyncio.ensure_future(session.run(0.01))
        await began.wait()
        await stopped(task)
        await connection.execute("UPDATE seawall.outbox_messages SET not_before = now()")
    assert [row["attempts"] for row in await rows()] == [2, 0, 0, 0, 0]
    got = []

    async def deliver(message):
        got.append(message.payload)

    assert await manager.relay("t", deliver, max_attempts=2).deliver() == 4
    assert got == [1, 2, 3, 4]
    (dead,) = await manager.dead_messages()
    assert dead.reason == "begun 2 times; the last relay did not report an outcome"


async def _nothing(tasks):
    pass


async def test_relay_late_message_of_a_key_comes_before_those_not_begun(manager, database_dsn):
    """A transaction that published first and committed last, while the relay had the next."""
    one, two = await asyncpg.connect(database_dsn), await asyncpg.connect(database_dsn)
    got, began, go_on = [], asyncio.Event(), asyncio.Event()

    async def deliver(message):
        began.set()
        got.append(message.payload)
        await go_on.wait()

    try:
        transaction = one.transaction()
        await transaction.start()
        await manager.publish(one, "t", "late", key="k")
        for n in range(3):
            await manager.publish(two, "t", n, key="k")
        task = asyncio.ensure_future(manager.relay("t", deliver).run(poll_seconds=0.01))
        await began.wait()
        await transaction.commit()
        go_on.set()

        async def empty():
            return await two.fetchval("SELECT count(*) FROM seawall.outbox_messages") == 0

        await until(empty)
        await stopped(task)
    finally:
        await one.close()
        await two.close()
    assert got == [0, "late", 1, 2]


async def test_relay_hot_key_leaves_room_for_others(manager, connection):
    await manager.publish_many(connection, messages(50, keys=1) + [Message("t", "x", key="other")])
    arrived, hang = asyncio.Event(), asyncio.Event()

    async def deliver(message):
        if message.key == "other":
            arrived.set()
        else:
            await hang.wait()

    relay = manager.relay("t", deliver, batch=10, concurrency=2)
    task = asyncio.ensure_future(relay.run(poll_seconds=0.01))
    await asyncio.wait_for(arrived.wait(), 5)
    await stopped(task)


async def test_relay_through_cut_connections_delivers_all_in_order(database_dsn, connection, rows):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    draw = random.Random(seed)
    got = []

    async def deliver(message):
        got.append((message.key, message.payload))
        await asyncio.sleep(0.001)

    async with (
        Proxy(target_of(database_dsn)) as proxy,
        ErrorRecoveryManager(
            through(database_dsn, proxy.port), config={"connect_timeout": 2, "pool_size": 4}
        ) as manager,
    ):
        await manager.publish_many(connection, messages(300, keys=5))
        relay = manager.relay("t", deliver, batch=20, lease_seconds=1)
        task = asyncio.ensure_future(relay.run(poll_seconds=0.02))
        for _ in range(10):
            await asyncio.sleep(draw.uniform(0.01, 0.05))
            proxy.cut_at = proxy.messages + draw.randrange(1, 10)
            proxy.deliver = draw.random() < 0.5

        async def empty():
            return await rows() == []

        await until(empty, 15)
        await stopped(task)
        assert proxy.cuts > 0
    assert {n for _, n in got} == set(range(300))
    for key in {key for key, _ in got}:
        order = [n for each, n in got if each == key]
        assert order == sorted(order), seed


async def test_outbox_through_which_much_has_passed_stays_small(manager, connection):
    """Its pages and those of its indexes are used again."""
    size = "SELECT pg_total_relation_size('seawall.outbox_messages')"
    relay = manager.relay("t", _nothing)
    sizes = []
    for _ in range(6):
        await manager.publish_many(connection, messages(500))
        assert await relay.deliver() == 500
        await connection.execute("VACUUM seawall.outbox_messages")
        sizes.append(await connection.fetchval(size))
    # Three times as large without; a round whose VACUUM met somebody's snapshot is made up for.
    assert sizes[-1] <= 1.6 * sizes[1]


async def test_relay_of_a_closed_manager_ends_with_its_error(database_dsn):
    async with ErrorRecoveryManager(database_dsn) as manager:
        relay = manager.relay("t", _nothing)
    with pytest.raises(NotStartedError):
        await relay.run()


@pytest.mark.parametrize(
    "options",
    [{"concurrency": 0}, {"batch": 0}, {"ordered": "topic"}, {"max_attempts": 0}, {"delay": 0},
     {"keep_hours": -1}, {"lease_seconds": 0}],
)  # fmt: skip
async def test_relay_option_out_of_range_is_refused(manager, options):
    with pytest.raises(InvalidConfigError, match=next(iter(options))):
        manager.relay("t", _nothing, **options)


async def test_relay_without_a_topic_or_with_a_plain_handler_is_refused(manager):
    with pytest.raises(InvalidConfigError, match="topics"):
        manager.relay([], _nothing)
    with pytest.raises(InvalidConfigError, match="must be an async function"):
        manager.relay("t", print)


async def test_dead_message_that_cannot_be_read_does_not_hide_the_others(manager, connection):
    """Its class may not be registered where somebody looks, or anywhere: so it was given up."""
    await manager.publish_many(connection, [Message("t", n) for n in range(3)])
    odd = """'{"$enum": ["gone.E", "A"]}'"""
    await connection.execute(
        f"UPDATE seawall.outbox_messages SET payload = {odd} WHERE payload::text = '1'"
    )

    async def refuse(message):
        raise ValueError(message.payload)

    await manager.relay("t", refuse, max_attempts=1).deliver()
    dead = await manager.dead_messages("t")
    assert {each.delivery.payload for each in dead} == {0, None, 2}
    assert ["not registered" in (each.unreadable or "") for each in dead].count(True) == 1
