"""Reprocessing while others reprocess, edit, give up, kill, cut and freeze."""

import asyncio
import os
import random
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from seawall import ErrorRecoveryManager, QuarantineError, RecordFilter, TransactionEndedError
from support.proxy import Proxy, target_of, through

CONFIG = {"initial_delay": 0.01, "max_delay": 0.2, "max_retries": 8, "connect_timeout": 5}
WORKER = [sys.executable, str(Path(__file__).parents[2] / "support" / "reprocess_worker.py")]


def records(count):
    return [{"n": n} for n in range(count)]


async def start(dsn, size, kind):
    worker = await asyncio.create_subprocess_exec(
        *WORKER, dsn, str(size), kind, stdout=asyncio.subprocess.PIPE
    )
    assert await worker.stdout.readline() == b"open\n"
    return worker


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("kind", "count", "size"), [("function", 1_500, 50), ("table", 6_000, 500)]
)
async def test_processes_killed_in_the_middle_reprocess_each_record_once(
    manager, connection, database_dsn, loaded, outcomes, kind, count, size
):
    """Q2: three at a time, killed at random moments; what is in the table is what has an outcome."""
    seed = int(os.environ.get("SEAWALL_SEED", random.randrange(1 << 30)))
    print("seed", seed)
    moments = random.Random(seed)
    await manager.quarantine_bad_records("r", records(count), "why", step="load")
    for _ in range(4):
        workers = await asyncio.gather(*(start(database_dsn, size, kind) for _ in range(3)))
        if kind == "function":  # all of them are in the middle of a batch
            for worker in workers:
                for _ in range(moments.randrange(1, size)):
                    await worker.stdout.readline()
        else:
            await asyncio.sleep(moments.uniform(0, 0.1))
        for worker in workers:
            if worker.returncode is None:
                worker.send_signal(signal.SIGKILL)
        await asyncio.gather(*(worker.communicate() for worker in workers))
    done = await loaded()
    assert len(done) == len(set(done))
    status = await outcomes()
    # A killed worker's server process may still be at work: its locks are waited for.
    await connection.execute("SELECT FROM seawall.quarantined_records FOR UPDATE")
    await manager.reprocess_quarantined_records("r", processor="loaded")
    assert await loaded() == list(range(count))
    assert await outcomes() == {"reprocessed": count}, status
    traces = await connection.fetchval(
        "SELECT count(*) FROM seawall.quarantine_attempts WHERE outcome = 'reprocessed'"
    )
    assert traces == count
    assert await connection.fetchval("SELECT max(attempts) FROM seawall.quarantined_records") == 1


async def test_all_at_once_leave_each_record_with_one_outcome(
    manager, connection, database_dsn, loaded
):
    """Two reprocessors, somebody who gives up, somebody who edits: no record is in two places."""
    await manager.quarantine_bad_records("r", records(300), "why", step="load")
    found = await manager.list_quarantined_records(RecordFilter(), limit=1000)
    edited = []

    async def slowly(tx, record):
        await tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])
        await asyncio.sleep(0.001)

    async def edit(manager):
        for each in reversed(found[::7]):
            try:
                await manager.edit_quarantined_record(
                    each.record_id, {"n": each.record["n"] + 1000}, why="up"
                )
            except QuarantineError:
                continue
            edited.append(each.record["n"])

    async def give_up(manager):
        for each in reversed(found[::5]):
            await manager.discard_quarantined_records(
                "r", why="not wanted", record_ids=[each.record_id]
            )

    async with AsyncExitStack() as stack:
        first, second, third = [
            await stack.enter_async_context(ErrorRecoveryManager(database_dsn)) for _ in range(3)
        ]
        await asyncio.gather(
            first.reprocess_quarantined_records("r", processor=slowly, size=7),
            second.reprocess_quarantined_records("r", processor=slowly, size=11),
            edit(third),
            give_up(third),
        )
        await manager.reprocess_quarantined_records("r", processor=slowly)
    after = await manager.list_quarantined_records(RecordFilter(), limit=1000)
    assert {each.status for each in after} == {"reprocessed", "discarded"}
    kept = sorted(each.record["n"] for each in after if each.status == "reprocessed")
    assert await loaded() == kept
    assert sorted(each.record["n"] % 1000 for each in after) == list(range(300))
    for each in after:
        assert [past.outcome for past in each.history] == [each.status]
        assert len(each.edits) == (each.record["n"] >= 1000)
    assert edited
    assert sum(len(each.edits) for each in after) == len(edited)


@pytest.mark.parametrize(
    "query", ["COMMIT", "  rollback;", "-- a\nEND", "/* b */ abort", "SELECT 1; COMMIT;"]
)
async def test_query_that_ends_the_transaction_is_refused(manager, loaded, outcomes, query):
    """The record fails; the others of its batch are as safe as before."""
    await manager.quarantine_bad_records("r", records(3), "why", step="load")

    async def processor(tx, record):
        await tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])
        if record["n"] == 1:
            await tx.execute(query)

    metrics = await manager.reprocess_quarantined_records("r", processor=processor)
    assert (metrics.reprocessed, metrics.failed) == (2, 1)
    assert "can't end the transaction" in next(iter(metrics.failures))
    assert await loaded() == [0, 2]
    assert await outcomes() == {"reprocessed": 2, "failed": 1}


async def test_savepoints_and_blocks_of_the_users_own_are_no_end(manager, loaded):
    await manager.quarantine_bad_records("r", records(1), "why", step="load")

    async def processor(tx, record):
        await tx.execute("SAVEPOINT mine; INSERT INTO loaded (n) VALUES (9)")
        await tx.execute("ROLLBACK TO SAVEPOINT mine")
        await tx.execute("rollback transaction to mine")
        await tx.execute("DO $$ BEGIN INSERT INTO loaded (n) VALUES (1); END $$")
        await tx.execute("INSERT INTO loaded (n, worker) VALUES (2, 'x; commit y')")

    assert (await manager.reprocess_quarantined_records("r", processor=processor)).reprocessed == 1
    assert await loaded() == [1, 2]


@pytest.mark.parametrize("again", ["", "; BEGIN", "; BEGIN; SELECT 1"])
async def test_hidden_commit_is_found_out_and_said(manager, connection, outcomes, again):
    await manager.quarantine_bad_records("r", records(3), "why", step="load")

    async def processor(tx, record):
        if record["n"] == 1:
            await tx.connection.execute(f"COMMIT{again}")

    with pytest.raises(TransactionEndedError, match="ended the transaction") as caught:
        await manager.reprocess_quarantined_records("r", processor=processor)
    assert any("step 'load'" in note for note in caught.value.__notes__)
    assert await outcomes() == {"pending": 3}


async def test_swallowed_database_error_fails_its_record(manager, loaded, outcomes):
    """The transaction is broken from there on, whatever the processor thinks."""
    await manager.quarantine_bad_records("r", records(3), "why", step="load")

    async def processor(tx, record):
        await tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])
        if record["n"] == 1:
            try:
                await tx.execute("SELECT 1/0")
            except asyncpg.DivisionByZeroError:
                pass

    metrics = await manager.reprocess_quarantined_records("r", processor=processor)
    assert (metrics.reprocessed, metrics.failed) == (2, 1)
    assert await loaded() == [0, 2]


async def test_processor_that_hangs_fails_its_record_only(manager, loaded, outcomes):
    """In Python, and in the server past its own statement timeout."""
    await manager.quarantine_bad_records("r", records(4), "why", step="load")

    async def processor(tx, record):
        await tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])
        if record["n"] == 1:
            await asyncio.Event().wait()
        if record["n"] == 2:
            await tx.execute("SET LOCAL statement_timeout = '50ms'")
            await tx.execute("SELECT pg_sleep(60)")
        if record["n"] == 3:
            await tx.execute("SELECT pg_sleep(60)")

    metrics = await manager.reprocess_quarantined_records(
        "r", processor=processor, attempt_timeout=0.3
    )
    assert (metrics.reprocessed, metrics.failed) == (1, 3)
    assert await loaded() == [0]
    assert await outcomes() == {"reprocessed": 1, "failed": 3}


async def test_frozen_reprocessor_holds_its_records_for_its_lease_only(
    database_dsn, connection, loaded
):
    """The server ends its transaction; another one takes the records; the thawed one gets none."""
    import time

    config = {**CONFIG, "lease_seconds": 1}
    async with ErrorRecoveryManager(database_dsn, config=config) as manager:
        await manager.quarantine_bad_records("r", records(3), "why", step="load")
        calls = []

        async def processor(tx, record):
            calls.append(record["n"])
            await tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])
            if len(calls) == 2:
                time.sleep(1.5)  # the whole process stands still
            await tx.execute("SELECT 1")

        metrics = await manager.reprocess_quarantined_records("r", processor=processor)
    assert metrics.reprocessed == 3
    assert calls == [0, 1, 0, 1, 2]  # the batch was rolled back and run again
    assert await loaded() == [0, 1, 2]


@pytest.fixture
async def proxy(database_dsn):
    proxy = Proxy(target_of(database_dsn))
    await proxy.__aenter__()
    yield proxy
    await proxy.__aexit__(None, None, None)


@pytest.mark.parametrize("cut", ["commit-lost", "commit-answer"])
@pytest.mark.parametrize("bad", [False, True])
async def test_commit_whose_answer_was_lost_is_asked_for(
    database_dsn, connection, loaded, outcomes, proxy, cut, bad
):
    """Whichever side of the cut it fell on: each record is run with effect once, and counted."""
    async with ErrorRecoveryManager(database_dsn) as direct:
        await direct.quarantine_bad_records("r", records(20), "why", step="load")
    calls = []

    async def processor(tx, record):
        calls.append(record["n"])
        await tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])
        if bad and record["n"] % 2:
            raise ValueError("odd")
        if len(calls) == 5:
            proxy.cut_on = cut

    dsn = through(database_dsn, proxy.port)
    async with ErrorRecoveryManager(dsn, config=CONFIG) as manager:
        metrics = await manager.reprocess_quarantined_records("r", processor=processor, size=10)
    assert proxy.cuts == 1
    good = list(range(0, 20, 2)) if bad else list(range(20))
    assert await loaded() == good
    assert (metrics.taken, metrics.reprocessed) == (20, len(good))
    assert len(calls) == (20 if cut == "commit-answer" else 30)
    assert await connection.fetchval("SELECT count(*) FROM seawall.quarantine_attempts") == 20
    assert await connection.fetchval("SELECT max(attempts) FROM seawall.quarantined_records") == 1


async def test_connection_cut_in_a_batch_runs_the_batch_again(
    database_dsn, connection, loaded, proxy
):
    async with ErrorRecoveryManager(database_dsn) as direct:
        await direct.quarantine_bad_records("r", records(40), "why", step="load")
    cuts = {7, 25}

    async def processor(tx, record):
        if record["n"] in cuts:
            cuts.remove(record["n"])
            proxy.cut_all()
        await tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])

    dsn = through(database_dsn, proxy.port)
    async with ErrorRecoveryManager(dsn, config=CONFIG) as manager:
        metrics = await manager.reprocess_quarantined_records("r", processor=processor, size=10)
    assert not cuts
    assert (metrics.taken, metrics.reprocessed, metrics.failed) == (40, 40, 0)
    assert await loaded() == list(range(40))


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_cancelled_processor_leaves_its_batch_pending_and_the_pool_usable(
    database_dsn, connection, loaded, outcomes, put, kind
):
    import threading

    began, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def processor(tx, record):
        await put(tx, record)
        began.set()
        await tx.execute("SELECT pg_sleep(60)")

    def in_thread(tx, record):
        tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])
        loop.call_soon_threadsafe(began.set)
        go.wait(10)

    config = {**CONFIG, "pool_size": 2}
    async with ErrorRecoveryManager(database_dsn, config=config) as manager:
        await manager.quarantine_bad_records("r", records(3), "why", step="load")
        for _ in range(4):
            began.clear()
            task = asyncio.ensure_future(
                manager.reprocess_quarantined_records(
                    "r", processor=processor if kind == "async" else in_thread
                )
            )
            await began.wait()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        go.set()
        assert await loaded() == []
        assert await outcomes() == {"pending": 3}
        assert (await manager.reprocess_quarantined_records("r", processor=put)).reprocessed == 3


async def test_edit_of_a_record_that_is_held_waits_for_its_outcome(
    manager, database_dsn, connection
):
    await manager.quarantine_bad_records("r", records(2), "why", step="load")
    (first, _) = await manager.list_quarantined_records(RecordFilter())
    held, go = asyncio.Event(), asyncio.Event()

    async def processor(tx, record):
        held.set()
        await go.wait()

    run = asyncio.ensure_future(manager.reprocess_quarantined_records("r", processor=processor))
    await held.wait()
    assert await manager.discard_quarantined_records("r", why="passed by") == 0
    edit = asyncio.ensure_future(
        manager.edit_quarantined_record(first.record_id, {"n": 5}, why="late")
    )
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while not await connection.fetchval(waiting):
        await asyncio.sleep(0.01)
    go.set()
    await run
    with pytest.raises(QuarantineError, match="is reprocessed"):
        await edit


async def test_edit_gives_up_on_a_record_that_is_held_for_long(manager, connection):
    from seawall.postgres.record_change_store import PostgresRecordChangeStore
    from seawall.quarantine.payload import PLAIN

    await manager.quarantine_bad_records("r", records(1), "why", step="load")
    (found,) = await manager.list_quarantined_records(RecordFilter())
    store = PostgresRecordChangeStore(manager.database, PLAIN, lock_seconds=0.05)
    async with connection.transaction():
        await connection.execute("SELECT FROM seawall.quarantined_records FOR UPDATE")
        with pytest.raises(QuarantineError, match="is being reprocessed"):
            await store.edit(found.record_id, "1", "ann", "why")
    await store.edit(found.record_id, "1", "ann", "why")


async def test_thread_that_hangs_in_the_server_is_cut_off_and_fails_its_record(
    manager, loaded, outcomes
):
    await manager.quarantine_bad_records("r", records(3), "why", step="load")

    def processor(tx, record):
        tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])
        if record["n"] == 1:
            tx.execute("SELECT pg_sleep(60)")

    metrics = await manager.reprocess_quarantined_records(
        "r", processor=processor, attempt_timeout=0.3
    )
    assert (metrics.reprocessed, metrics.failed) == (2, 1)
    assert await loaded() == [0, 2]
    assert await outcomes() == {"reprocessed": 2, "failed": 1}


async def test_task_left_behind_on_the_connection_lets_no_half_record_stand(
    manager, connection, loaded, outcomes
):
    """What can't be undone under a statement that still runs goes with the batch, which runs again."""
    await manager.quarantine_bad_records("r", records(3), "why", step="load")
    left = []

    async def processor(tx, record):
        await tx.execute("INSERT INTO loaded (n) VALUES ($1)", record["n"])
        if record["n"] == 1 and not left:
            left.append(asyncio.ensure_future(tx.execute("SELECT pg_sleep(1)")))
            await asyncio.sleep(0)
            raise ValueError("leaves a task behind")

    metrics = await manager.reprocess_quarantined_records("r", processor=processor)
    (error,) = await asyncio.gather(*left, return_exceptions=True)
    assert isinstance(error, Exception)
    assert metrics.reprocessed == 3
    assert await loaded() == [0, 1, 2]


async def test_many_records_with_one_that_cannot_be_stored_set_none_aside(manager, outcomes):
    from seawall import CodecError

    with pytest.raises(CodecError, match="object"):
        await manager.quarantine_bad_records("r", [*records(2_000), object()], "why")
    assert await outcomes() == {}
    await manager.quarantine_bad_records("r", records(2_000), "why")
    assert await outcomes() == {"pending": 2_000}


async def test_processor_that_cancels_itself_fails_its_record_alone(manager, put, loaded, outcomes):
    """It would end the whole reprocessing, and the next one at the same record."""
    await manager.quarantine_bad_records("r", records(4), "why")

    async def cancelling(tx, record):
        await put(tx, record)
        if record["n"] == 2:
            raise asyncio.CancelledError

    metrics = await manager.reprocess_quarantined_records("r", processor=cancelling)
    assert (metrics.reprocessed, metrics.failed) == (3, 1)
    assert await loaded() == [0, 1, 3]
    assert await outcomes() == {"reprocessed": 3, "failed": 1}
