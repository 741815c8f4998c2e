"""Calls put aside, and taken up by whoever is there: each at least once, none by two at a time."""

import asyncio
import signal
import sys
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest

from seawall import ErrorRecoveryManager, ErrorType, retry
from seawall.errors import CircuitOpenError, InvalidConfigError, ParkedError

WORKER = [sys.executable, str(Path(__file__).parents[2] / "support" / "parking_worker.py")]


@pytest.fixture
async def rows(database_dsn):
    connection = await asyncpg.connect(database_dsn)

    async def fetch():
        return await connection.fetch("SELECT * FROM seawall.parked_calls ORDER BY call_id")

    yield fetch
    await connection.close()


async def test_parked_call_is_made_with_equal_arguments(workers, rows):
    (manager,) = await workers(1)
    calls = []

    @manager.parking.register("note")
    async def note(*args, **kwargs):
        calls.append((args, kwargs))

    call_id = await manager.parking.park("note", 1, Decimal("2.50"), who={"a": (None,)})
    assert [row["call_id"] for row in await rows()] == [call_id]
    assert await manager.parking.take_up() == 1
    assert calls == [((1, Decimal("2.50")), {"who": {"a": (None,)}})]
    assert await rows() == []
    assert await manager.parking.take_up() == 0


async def test_hundred_calls_and_four_takers_make_each_once(workers):
    managers = await workers(4)
    made = []
    for manager in managers:

        @manager.parking.register("count")
        async def count(n):
            made.append(n)
            await asyncio.sleep(0.001)

    for n in range(100):
        await managers[0].parking.park("count", n)

    async def taker(manager):
        while await manager.parking.take_up(7):
            pass

    await asyncio.gather(*map(taker, managers))
    assert sorted(made) == list(range(100))


async def test_call_is_not_taken_before_its_time_nor_by_who_does_not_know_it(workers):
    one, two = await workers(2)
    one.parking.register("later")(lambda: asyncio.sleep(0))
    await one.parking.park("later", seconds=0.3)
    assert await one.parking.take_up() == 0
    await asyncio.sleep(0.4)
    assert await two.parking.take_up() == 0
    assert await one.parking.take_up() == 1


async def test_same_key_is_parked_once(workers, rows):
    (manager,) = await workers(1)
    ids = {await manager.parking.park("pay", n, key="invoice 7") for n in range(3)}
    assert len(ids) == len(await rows()) == 1


async def test_call_that_fails_is_parked_again_and_given_up_at_last(workers, rows):
    (manager,) = await workers(1)

    @manager.parking.register("broken", max_attempts=2, delay=0.05)
    async def broken():
        raise ConnectionError("password=hunter2 refused")

    await manager.parking.park("broken")
    await manager.parking.take_up()
    (row,) = await rows()
    assert (row["status"], row["attempts"], row["error_type"]) == ("parked", 1, ErrorType.TRANSIENT)
    assert "hunter2" not in row["reason"]
    assert row["reason"].startswith("ConnectionError: ")
    await asyncio.sleep(0.1)
    await manager.parking.take_up()
    (row,) = await rows()
    assert (row["status"], row["attempts"]) == ("dead", 2)
    await asyncio.sleep(0.2)
    assert await manager.parking.take_up() == 0


async def test_call_whose_deadline_came_or_that_was_refused_is_parked(workers, rows):
    (manager,) = await workers(1)
    failures = [CircuitOpenError("api", 40.0), PermissionError("no")]

    @manager.parking.register("send", delay=77)
    @retry(deadline=0.2, initial_delay=0.15, max_retries=99)
    async def send(n):
        if n < len(failures):
            raise failures[n]
        raise ConnectionError

    with pytest.raises(ParkedError, match="send is parked for 40 s") as parked:
        await send(0)
    assert isinstance(parked.value.__cause__, CircuitOpenError)
    with pytest.raises(PermissionError):
        await send(1)
    with pytest.raises(ParkedError, match="send is parked for 77 s"):
        await send(2)
    assert parked.value.call_id == (await rows())[0]["call_id"]
    assert [row["error_type"] for row in await rows()] == [ErrorType.TRANSIENT] * 2


async def test_parked_error_is_not_retried_by_an_outer_policy(workers):
    (manager,) = await workers(1)
    calls = 0

    @retry(max_retries=5, initial_delay=0)
    @manager.parking.register("refused")
    async def refused():
        nonlocal calls
        calls += 1
        raise CircuitOpenError("api", 40.0)

    with pytest.raises(ParkedError):
        await refused()
    assert calls == 1


async def test_taker_that_is_cancelled_gives_the_call_back(workers, rows):
    (manager,) = await workers(1)
    began = asyncio.Event()

    @manager.parking.register("long")
    async def long():
        began.set()
        await asyncio.sleep(60)

    await manager.parking.park("long")
    task = asyncio.ensure_future(manager.parking.run(poll_seconds=0.01))
    await began.wait()
    task.cancel()
    await asyncio.wait([task])
    (row,) = await rows()
    assert (row["status"], row["attempts"], row["lease_id"]) == ("parked", 0, None)


async def worker(dsn, seconds, lease):
    child = await asyncio.create_subprocess_exec(
        *WORKER, dsn, str(seconds), str(lease), stdout=asyncio.subprocess.PIPE
    )
    return child, child.stdout.readline


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
async def test_call_of_a_worker_that_dies_or_freezes_is_taken_up_by_another(
    database_dsn, rows, end
):
    """And what the frozen one says when it wakes is not heard."""
    async with ErrorRecoveryManager(database_dsn) as manager:
        await manager.parking.park("slow", 7)
        first, said = await worker(database_dsn, 2, 1)
        second = None
        try:
            assert await asyncio.wait_for(said(), 20) == b"began 7\n"
            first.send_signal(end)
            second, said_second = await worker(database_dsn, 0.2, 1)
            assert await asyncio.wait_for(said_second(), 20) == b"began 7\n"
            if end == signal.SIGSTOP:
                first.send_signal(signal.SIGCONT)
            assert await asyncio.wait_for(said_second(), 20) == b"ended 7\n"
            found = [None]

            async def look():
                while found:
                    found[:] = await rows()
                    await asyncio.sleep(0.02)

            await asyncio.wait_for(look(), 10)
        finally:
            for child in (first, second):
                if child is not None and child.returncode is None:
                    child.kill()
                    await child.wait()


@pytest.mark.parametrize("options", [{"max_attempts": 0}, {"delay": 0}])
async def test_option_out_of_range_is_refused(workers, options):
    (manager,) = await workers(1)
    with pytest.raises(InvalidConfigError, match=next(iter(options))):
        manager.parking.register("x", **options)


async def test_name_taken_is_refused(workers):
    (manager,) = await workers(1)
    manager.parking.register("x")(lambda: asyncio.sleep(0))
    with pytest.raises(InvalidConfigError, match="'x': must be a name that isn't taken"):
        manager.parking.register("x")


async def test_operation_that_cancels_itself_fails_alone(workers, rows):
    """Its CancelledError is its own: the others go on, and it is parked again."""
    (manager,) = await workers(1)
    made = []

    @manager.parking.register("odd")
    async def odd(n):
        if n == 1:
            raise asyncio.CancelledError
        await asyncio.sleep(0.05)
        made.append(n)

    for n in range(3):
        await manager.parking.park("odd", n)
    assert await manager.parking.take_up() == 3
    assert sorted(made) == [0, 2]
    (row,) = await rows()
    assert (row["status"], row["attempts"]) == ("parked", 1)
    assert row["reason"].startswith("CancelledError")


async def test_key_of_a_call_that_was_given_up_parks_anew(workers, rows):
    """Else an id is returned for a call that nobody will ever make."""
    (manager,) = await workers(1)
    made = []

    @manager.parking.register("pay", max_attempts=1)
    async def pay(n):
        made.append(n)
        if n == 1:
            raise ValueError("no such invoice")

    first = await manager.parking.park("pay", 1, key="invoice 7")
    await manager.parking.take_up()
    assert (await rows())[0]["status"] == "dead"
    again = await manager.parking.park("pay", 2, key="invoice 7", seconds=40)
    (row,) = await rows()
    assert (again, row["status"], row["attempts"]) == (first, "parked", 0)
    assert await manager.parking.take_up() == 0
    assert await manager.parking.park("pay", 3, key="invoice 7") == first
    assert await manager.parking.take_up() == 0  # waits: parked as it was, not before its time
    assert made == [1]


async def test_taking_never_passes_its_limit_whatever_the_plan(workers, database_dsn):
    """A planner that joins in loops must not choose the rows again for each."""
    (manager,) = await workers(1)
    manager.parking.register("x")(lambda n: asyncio.sleep(0))
    for n in range(30):
        await manager.parking.park("x", n)
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(
        f"ALTER DATABASE {await connection.fetchval('SELECT quote_ident(current_database())')} "
        "SET enable_hashjoin = off"
    )
    await connection.execute("ANALYZE seawall.parked_calls")
    await connection.close()
    for options in ({}, {"pool_size": 3}):
        (fresh,) = await workers(1, **options)
        fresh.parking.register("x")(lambda n: asyncio.sleep(0))
        assert [await fresh.parking.take_up(4) for _ in range(3)] == [4, 4, 4]


async def test_run_goes_on_after_its_connections_were_ended(workers, database_dsn, rows):
    """As by a server that restarts: nobody has to start the taking again."""
    (manager,) = await workers(1)
    made = asyncio.Event()

    @manager.parking.register("x")
    async def x():
        made.set()

    task = asyncio.ensure_future(manager.parking.run(poll_seconds=0.01))
    connection = await asyncpg.connect(database_dsn)
    for _ in range(10):
        await asyncio.sleep(0.02)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'seawall'"
        )
    await connection.close()
    # The pool may still hold some of them: that is what a retry is for.
    await manager.execute_with_retry(
        manager.parking.park, "x", max_retries=20, initial_delay=0.02, max_delay=0.1
    )
    await asyncio.wait_for(made.wait(), 5)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
