"""Connections cut in the COPY, before the COMMIT, and after it with the answer lost (C3)."""

import asyncio
import os
import random
import socket

import asyncpg
import pytest

from chaos.conftest import check_ledger
from seawall import ErrorRecoveryManager, SeawallError
from support.proxy import Proxy, target_of, through
from support.worker import source

CONFIG = {"initial_delay": 0.02, "max_delay": 0.2, "max_retries": 10, "connect_timeout": 5}


@pytest.fixture
async def proxy(numbers_dsn):
    proxy = Proxy(target_of(numbers_dsn))
    await proxy.__aenter__()
    yield proxy
    await proxy.__aexit__(None, None, None)


async def stream(dsn, sink="numbers", total=2_000, size=100):
    async with ErrorRecoveryManager(dsn, config=CONFIG, pipeline_id="numbers") as manager:
        return await manager.stream(
            source(total), sink, run_id="r", step="load", size=size, position=lambda row: row[0]
        )


@pytest.mark.timeout(60)
@pytest.mark.parametrize("moment", ["copy", "commit-lost", "commit-answer"])
async def test_connection_cut_is_mended_and_each_row_is_there_once(numbers_dsn, proxy, moment):
    cuts = iter(sorted(random.sample(range(1, 1900, 100), 5)))
    following = [next(cuts)]

    async def sink(tx, batch):
        if following and batch.first_position >= following[0]:
            following[:] = [each for each in [next(cuts, None)] if each]
            # The step's own connection: the recorder commits through the proxy too.
            proxy.cut_port = tx.connection._con._transport.get_extra_info("sockname")[1]
            proxy.cut_on = moment
        await tx.load("numbers", batch.records)

    report = await stream(through(numbers_dsn, proxy.port), sink)
    assert proxy.cuts == 5
    assert (report.rows_read, report.batches) == (2_000, 20)
    # A COMMIT that happened must not run again; one that didn't, must.
    assert report.retries == (0 if moment == "commit-answer" else 5)
    await check_ledger(numbers_dsn, 2_000)


@pytest.mark.timeout(60)
async def test_commit_whose_backend_is_still_at_work_is_waited_for(numbers_dsn, proxy):
    """The answer is lost while the server is still in COMMIT: settling waits for its row lock."""
    await make_commit_slow(numbers_dsn)

    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        if batch.first_position == 101:
            await slow_down(tx)
            proxy.cut_port = tx.connection._con._transport.get_extra_info("sockname")[1]
            proxy.cut_on = "commit-answer"

    report = await stream(through(numbers_dsn, proxy.port), sink, total=300)
    assert proxy.cuts == 1
    assert report.retries == 0
    await check_ledger(numbers_dsn, 300)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("answer", ["comes", "is lost"])
async def test_commit_cancelled_by_a_timeout_that_is_caught_is_not_run_again(
    numbers_dsn, proxy, answer
):
    """The caller sees its timeout, and tries the batch again: it must be told that it is done."""
    await make_commit_slow(numbers_dsn)
    timeouts = 0
    dsn = through(numbers_dsn, proxy.port)
    async with ErrorRecoveryManager(dsn, config=CONFIG, pipeline_id="numbers") as manager:
        async with manager.checkpoint("r", "load", size=100) as cp:
            async for batch in cp.batches(source(300)(None), position=lambda row: row[0]):
                while not await batch.settle():
                    try:
                        async with asyncio.timeout(0.7):
                            async with batch.transaction() as tx:
                                await tx.load("numbers", batch.records)
                                if batch.first_position == 101 and not timeouts:
                                    await slow_down(tx)
                                    if answer == "is lost":
                                        con = tx.connection._con
                                        name = con._transport.get_extra_info("sockname")
                                        proxy.cut_port, proxy.cut_on = name[1], "commit-answer"
                    except TimeoutError:
                        timeouts += 1
    assert timeouts == 1
    await check_ledger(numbers_dsn, 300)


async def slow_down(tx):
    # Deferred again by the user: its trigger runs inside COMMIT.
    await tx.execute("SET CONSTRAINTS ALL DEFERRED; INSERT INTO slow VALUES (1)")


async def make_commit_slow(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        """
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END $$;
        CREATE TABLE slow (n int);
        CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION slow();
        """
    )
    await connection.close()


@pytest.mark.timeout(60)
async def test_server_unreachable_for_a_while_is_waited_out(numbers_dsn, proxy):
    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        if batch.first_position == 501 and not proxy.cuts:
            proxy.cuts += 1
            proxy.refusing = True
            proxy.cut_all()
            asyncio.get_running_loop().call_later(1.0, setattr, proxy, "refusing", False)

    report = await stream(through(numbers_dsn, proxy.port), sink)
    assert report.retries >= 1
    await check_ledger(numbers_dsn, 2_000)


@pytest.mark.timeout(60)
async def test_connection_lost_while_a_large_copy_waits_to_send_is_mended(numbers_dsn, proxy):
    """asyncpg waits for room to write; a connection that is gone never has any."""
    wide = "w" * 1_000_000
    blocked = []

    def rows(after):
        return ((n, f"{n} {wide}") for n in range((after or 0) + 1, 41))

    async def sink(tx, batch):
        if not blocked:
            proxy.cut_on = "stall"
            blocked.append(asyncio.get_running_loop().call_later(1.0, cut))
        await tx.load("numbers", batch.records)

    def cut():
        proxy.cut_all()
        proxy.stalled = False

    dsn = through(numbers_dsn, proxy.port)
    async with ErrorRecoveryManager(dsn, config=CONFIG, pipeline_id="numbers") as manager:
        report = await manager.stream(
            rows, sink, run_id="r", step="load", size=40, position=lambda row: row[0]
        )
    assert (report.rows_loaded, report.retries) == (40, 1)


async def test_connection_asks_whether_the_other_side_is_there(numbers_dsn, proxy):
    """A host that vanished sends no reset: only the kernel can find out, if it is told to ask."""
    dsn = through(numbers_dsn, proxy.port)
    asked = []

    async def sink(tx, batch):
        sock = tx.connection._con._transport.get_extra_info("socket")
        tcp = [getattr(socket, f"TCP_{name}") for name in ("KEEPIDLE", "KEEPINTVL", "KEEPCNT")]
        asked.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        asked.append([sock.getsockopt(socket.IPPROTO_TCP, name) for name in tcp])

    await stream(dsn, sink, total=10)
    on, (idle, pause, count) = asked
    assert on
    assert idle + pause * count <= 30  # lease_seconds: longer, and its lease would long be lost


@pytest.mark.slow
@pytest.mark.timeout(180)
# asyncpg leaves the socket of a connection that is cut while it is made to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("deliver", [False, True], ids=["message lost", "answer lost"])
async def test_connection_cut_at_every_message_of_a_run_loses_and_doubles_nothing(
    numbers_dsn, proxy, deliver
):
    """Messages that a whole run sends, clean and dirty batches, COMMITs and all, are cut, each once.

    An eighth of them, other ones in each of the two: all with ``SEAWALL_EVERY_MESSAGE=1``.
    """
    first, stride = (1, 1) if os.environ.get("SEAWALL_EVERY_MESSAGE") else (1 + 4 * deliver, 8)
    dsn = through(numbers_dsn, proxy.port)
    table = await asyncpg.connect(numbers_dsn)

    async def run(number):
        proxy.cut_at, proxy.deliver = None, deliver
        await table.execute("TRUNCATE numbers; TRUNCATE seawall.quarantined_records CASCADE")
        await table.execute("DELETE FROM seawall.runs")
        async with ErrorRecoveryManager(dsn, config=CONFIG, pipeline_id="numbers") as manager:
            async with manager.checkpoint("r", "load", size=20) as cp:
                # From here on: opening may fail, and is the caller's to repeat.
                proxy.messages, proxy.cut_at = 0, number
                await cp.for_each(
                    source(60)(cp.position), into_numbers, position=lambda row: row[0]
                )
        await check_ledger(numbers_dsn, 60)

    async def into_numbers(tx, batch):
        await tx.load("numbers", batch.records)

    await run(None)
    last = proxy.messages
    assert last > 50
    failed, numbers = 0, range(first, last + 1, stride)
    for number in numbers:
        before = proxy.cuts
        try:
            await run(number)
        except (SeawallError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            failed += 1  # such as marking the step finished: all is committed, or is resumed
            proxy.cut_at = None
            await stream(dsn, total=60, size=20)
            await check_ledger(numbers_dsn, 60)
        assert proxy.cuts == before + 1 or number > last - 15
    assert failed < len(numbers) / 2
    await table.close()
