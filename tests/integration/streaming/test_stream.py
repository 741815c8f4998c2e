"""The main job on a real server: loaded once, set aside once, resumed where it stopped."""

import asyncio
import contextlib

import anyio
import asyncpg
import pytest

from seawall import CheckpointError, StaleRunError, TooManyBadRecordsError
from seawall.postgres.lost import is_connection_lost

JOB = {"run_id": "r", "step": "load", "size": 10, "position": lambda r: r[0]}


async def test_stream_loads_each_row_once_and_reports(make_manager, connection, ledger, numbers):
    bad = {3, 14, 15, 92}
    async with make_manager() as manager:
        report = await manager.stream(numbers(95, bad), "numbers", **JOB)
    await ledger.check(95, bad)
    assert (report.rows_read, report.rows_loaded, report.rows_quarantined) == (95, 91, 4)
    assert report.batches == 10
    assert report.resumed_from is None
    assert report.position == 95
    (reason,) = report.quarantined_by_reason
    assert "numbers_word_check" in reason


async def test_stream_again_loads_nothing_twice_and_goes_on_with_a_longer_source(
    make_manager, connection, ledger, numbers
):
    for total in (25, 25, 40):
        async with make_manager() as manager:
            report = await manager.stream(numbers(total, {7}), "numbers", **JOB)
        await ledger.check(total, {7})
    assert report.resumed_from == 25
    assert report.rows_read == 40
    assert report.this_process.read_count == 15


async def test_stream_transform_that_raises_quarantines_the_source_record(
    make_manager, connection, ledger, numbers
):
    def transform(row):
        if row[0] % 10 == 4:
            raise ValueError("no fours")
        return {"n": row[0], "word": row[1]}

    async with make_manager() as manager:
        report = await manager.stream(numbers(30, {12}), "numbers", transform=transform, **JOB)
    await ledger.check(30, {4, 12, 14, 24})
    assert report.quarantined_by_reason["ValueError: no fours"] == 3


async def test_stream_sink_function_shares_the_transaction(
    make_manager, connection, ledger, numbers
):
    await connection.execute("CREATE TABLE log (first int, batch text)")

    async def sink(tx, batch):
        await tx.execute("INSERT INTO log VALUES ($1, $2)", batch.first_position, batch.id)
        await tx.load("numbers", batch.records)

    async with make_manager() as manager:
        await manager.stream(numbers(30, {1, 30}), sink, **JOB)
    await ledger.check(30, {1, 30})
    assert await connection.fetchval("SELECT array_agg(first ORDER BY first) FROM log") == [
        1,
        11,
        21,
    ]


async def test_stream_source_that_raises_keeps_the_batches_before_it(
    make_manager, connection, ledger, numbers
):
    def broken(after):
        for row in numbers(30)(after):
            if row[0] == 27:
                raise RuntimeError("the file is torn")
            yield row

    async with make_manager() as manager:
        with pytest.raises(RuntimeError, match="torn"):
            await manager.stream(broken, "numbers", **JOB)
        await ledger.check(20)
        await manager.stream(numbers(30), "numbers", **JOB)
    await ledger.check(30)


async def test_stream_above_its_tolerance_stops_with_the_position_intact(
    make_manager, connection, ledger, numbers
):
    bad = set(range(21, 31))
    async with make_manager() as manager:
        with pytest.raises(TooManyBadRecordsError, match="33.3% *") as caught:
            await manager.stream(numbers(60, bad), "numbers", tolerance=0.2, **JOB)
        assert (caught.value.bad_count, caught.value.read_count) == (10, 30)
        await ledger.check(20)
        report = await manager.stream(numbers(60), "numbers", tolerance=0.2, **JOB)
    await ledger.check(60)
    assert report.resumed_from == 20


async def test_stream_handler_that_fails_is_rolled_back_and_retried_whole(
    make_manager, connection, ledger, numbers
):
    failures = iter([True, True, False])

    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        if batch.first_position == 11 and next(failures):
            raise ConnectionResetError("the network hiccuped")

    async with make_manager() as manager:
        report = await manager.stream(numbers(30, {15}), sink, **JOB)
    await ledger.check(30, {15})
    assert report.retries == 2


async def test_stream_without_position_counts_records(make_manager, connection):
    async with make_manager() as manager:
        for total in (5, 12):
            report = await manager.stream(
                lambda done, total=total: [(n, "w") for n in range(1, total + 1)][done or 0 :],
                "numbers",
                run_id="r",
                size=4,
            )
    assert report.position == 12
    assert await connection.fetchval("SELECT count(*) FROM numbers") == 12


async def test_checkpoint_block_that_raises_rolls_its_batch_back(
    make_manager, connection, ledger, numbers
):
    async with make_manager() as manager:
        with pytest.raises(KeyError):
            async with manager.checkpoint("r", "load") as cp:
                async for batch in cp.batches(
                    numbers(30)(cp.position), size=10, position=lambda r: r[0]
                ):
                    async with batch.transaction() as tx:
                        await tx.load("numbers", batch.records)
                        if batch.first_position == 21:
                            raise KeyError("oops")
    await ledger.check(20)


async def test_checkpoint_batch_left_uncommitted_is_an_error(make_manager, connection, numbers):
    async with make_manager() as manager:
        with pytest.raises(CheckpointError, match="is not committed"):
            async with manager.checkpoint("r", "load") as cp:
                async for _ in cp.batches(numbers(30)(None), size=10):
                    pass


async def test_checkpoint_source_that_starts_over_is_an_error(make_manager, connection, numbers):
    async with make_manager() as manager:
        await manager.stream(numbers(10), "numbers", **JOB)
        with pytest.raises(CheckpointError, match="comes twice"):
            await manager.stream(lambda after: iter([(10, "w")]), "numbers", **JOB)


async def test_checkpoint_older_worker_can_commit_nothing(
    make_manager, connection, ledger, numbers
):
    async with make_manager() as old, make_manager() as new:
        async with old.checkpoint("r", "load") as stale:
            batches = stale.batches(numbers(30)(None), size=10, position=lambda r: r[0])
            batch = await anext(batches)
            await new.stream(numbers(30), "numbers", when_held="take", **JOB)
            with pytest.raises(StaleRunError, match="taken over"):
                async with batch.transaction() as tx:
                    await tx.execute("CREATE TABLE never (n int)")
    await ledger.check(30)
    assert await connection.fetchval("SELECT to_regclass('never')") is None


@pytest.mark.parametrize("moment", ["in the block", "in the load"])
async def test_checkpoint_cancelled_inside_a_batch_rolls_it_back(
    make_manager, connection, ledger, numbers, moment
):
    reached = asyncio.Event()

    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        if batch.first_position == 11:
            reached.set()
            if moment == "in the block":
                await asyncio.sleep(60)
            else:
                await tx.execute("SELECT pg_sleep(60)")

    async with make_manager() as manager:
        task = asyncio.create_task(manager.stream(numbers(30), sink, **JOB))
        await reached.wait()
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ledger.check(10)
        await manager.stream(numbers(30), "numbers", **JOB)
    await ledger.check(30)


async def test_checkpoint_cancelled_at_commit_finishes_it(
    make_manager, connection, ledger, numbers
):
    """A COMMIT under way is waited for: the position and the rows never part."""
    async with make_manager() as manager:
        for delay in (0, 0.0002, 0.0005, 0.001, 0.002, 0.004):
            task = asyncio.create_task(manager.stream(numbers(300), "numbers", **JOB))
            await asyncio.sleep(0.02 + delay)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            done = await ledger.loaded()
            saved = await manager.resume_from_checkpoint("r", "load")
            assert done == list(range(1, (saved.position if saved else 0) or 0 + 1)) or len(
                done
            ) == (saved.position or 0)
        await manager.stream(numbers(300), "numbers", **JOB)
    await ledger.check(300)


async def test_progress_saved_comes_back_equal(make_manager, connection):
    data = {"cursor": [1, 2.5, None, "x"], "seen": {"a": True}}
    async with make_manager() as manager:
        first = await manager.checkpoint_progress("r", "fetch", {"cursor": 0})
        assert await manager.checkpoint_progress("r", "fetch", data) == first
        saved = await manager.resume_from_checkpoint("r", "fetch")
        assert await manager.resume_from_checkpoint("r") == saved
        assert await manager.resume_from_checkpoint("other") is None
    assert saved.checkpoint_data == data
    assert saved.checkpoint_id == first


async def test_run_records_its_end_and_lends_its_ids(make_manager, connection):
    async with make_manager() as manager:
        async with manager.run("flights", release="1.2") as run:
            await manager.log_error_details(None, ValueError("x"))
        with pytest.raises(ZeroDivisionError):
            async with manager.run("flights", "named"):
                raise ZeroDivisionError("boom")
    rows = await connection.fetch(
        "SELECT run_id, status, release FROM seawall.runs ORDER BY started_at"
    )
    assert [tuple(row) for row in rows] == [
        (run.run_id, "succeeded", "1.2"),
        ("named", "failed", None),
    ]
    error = await connection.fetchrow("SELECT * FROM seawall.error_details")
    assert (error["run_id"], error["pipeline_id"]) == (run.run_id, "flights")


async def test_log_error_details_is_committed_on_return_and_masked(make_manager, connection):
    async with make_manager() as manager:
        try:
            raise ConnectionError("connection reset, password=hunter2\x00")
        except ConnectionError as error:
            ids = await asyncio.gather(
                *(
                    manager.log_error_details("r", error, {"api_key": "s3cr3t", "n": n}, step="s")
                    for n in range(50)
                )
            )
        rows = await connection.fetch("SELECT * FROM seawall.error_details")
    assert {row["error_id"] for row in rows} == set(ids)
    assert {row["error_type"] for row in rows} == {"transient"}
    assert len({row["fingerprint"] for row in rows}) == 1
    text = repr([tuple(row) for row in rows])
    assert "hunter2" not in text
    assert "s3cr3t" not in text


async def test_log_error_details_takes_any_context(make_manager, connection):
    class Broken:
        def __repr__(self):
            raise RuntimeError

    context = {"ok": 1, "object": object(), "broken": Broken(), 7: "\x00"}
    async with make_manager() as manager:
        await manager.log_error_details("r", KeyError("\ud800"), context)
    stored = await connection.fetchval("SELECT context::text FROM seawall.error_details")
    assert '"ok":1' in stored.replace(" ", "")
    assert "<object object" in stored


async def test_quarantine_bad_records_one_row_each(make_manager, connection):
    from seawall.quarantine import codec

    records = [{"n": 1, "x": b"\x00"}, ("a", None), "text\x00"]
    async with make_manager() as manager:
        set_id = await manager.quarantine_bad_records("r", records, "broken", step="s")
        other = await manager.quarantine_bad_records("r", {"n": 2}, "broken", step="s")
        rows = await connection.fetch(
            "SELECT * FROM seawall.quarantined_records WHERE quarantine_id = $1 ORDER BY record_id",
            set_id,
        )
    assert set_id != other
    assert [codec.decode(row["payload"]) for row in rows] == records


async def test_stream_batches_are_freed_without_the_garbage_collector(
    make_manager, connection, numbers
):
    """C4: what is done is let go at once; cycles would hold dozens of batches until a collection."""
    import gc

    from seawall.checkpoint import Batch

    most = 0

    async def sink(tx, batch):
        nonlocal most
        await tx.load("numbers", batch.records)
        most = max(most, sum(isinstance(each, Batch) for each in gc.get_objects()))

    async with make_manager() as manager:
        gc.collect()
        gc.disable()
        try:
            await manager.stream(numbers(300, {5, 55, 155}), sink, **JOB)
        finally:
            gc.enable()
    assert 1 <= most <= 2


async def test_checkpoint_silent_worker_loses_its_locks_after_its_lease(
    make_manager, connection, ledger, numbers
):
    """Frozen with the position's row locked: the server ends its transaction, another goes on."""

    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        await tx.execute("SELECT FROM seawall.checkpoints FOR UPDATE")
        frozen.set()
        await asyncio.sleep(3)

    frozen = asyncio.Event()
    async with make_manager(lease_seconds=1) as old, make_manager() as new:
        task = asyncio.create_task(
            old.stream(numbers(30), sink, retry_options={"max_retries": 0}, **JOB)
        )
        await frozen.wait()
        await asyncio.wait_for(new.stream(numbers(30), "numbers", when_held="take", **JOB), 10)
        assert not task.done()
        with pytest.raises(Exception) as caught:
            await task
    assert is_connection_lost(caught.value) or isinstance(caught.value, StaleRunError)
    await ledger.check(30)


async def test_transaction_savepoints_nest_and_fail_alone(
    make_manager, connection, ledger, numbers
):
    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        for inner in (ZeroDivisionError, None):
            try:
                async with tx.transaction():
                    await tx.execute("INSERT INTO numbers VALUES (1000, 'x')")
                    async with tx.transaction():
                        await tx.execute("INSERT INTO numbers VALUES (1001, 'y')")
                    with pytest.raises(asyncpg.UniqueViolationError):
                        async with tx.transaction():
                            await tx.execute("INSERT INTO numbers VALUES (1000, 'x')")
                    assert len([row async for row in tx.cursor("SELECT 1 FROM numbers")]) == 12
                    if inner or batch.first_position == 1:
                        raise ZeroDivisionError
            except ZeroDivisionError:
                assert await tx.fetchval("SELECT count(*) FROM numbers WHERE n >= 1000") == 0

    async with make_manager() as manager:
        await manager.stream(numbers(10), sink, **JOB)
    await ledger.check(10)


async def test_transaction_that_failed_inside_commits_nothing(
    make_manager, connection, ledger, numbers
):
    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        with pytest.raises(asyncpg.DivisionByZeroError):
            await tx.execute("SELECT 1 / 0")  # swallowed: the transaction is lost all the same

    async with make_manager() as manager:
        with pytest.raises(asyncpg.InFailedSQLTransactionError):
            await manager.stream(numbers(10), sink, retry_options={"max_retries": 0}, **JOB)
        await ledger.check(0)
        await manager.stream(numbers(10), "numbers", **JOB)
    await ledger.check(10)


@pytest.mark.parametrize("limit", [asyncio.timeout, anyio.fail_after])
async def test_transaction_savepoint_cut_off_by_a_timeout_is_undone(
    make_manager, connection, ledger, numbers, limit
):
    async def sink(tx, batch):
        await tx.load("numbers", batch.records)
        cut = False
        try:
            scope = limit(0.1)
            with contextlib.ExitStack() as sync:
                async with contextlib.AsyncExitStack() as stack:
                    if hasattr(scope, "__aenter__"):
                        await stack.enter_async_context(scope)
                    else:
                        sync.enter_context(scope)
                    async with tx.transaction():
                        await tx.execute("INSERT INTO numbers VALUES (1000, 'x')")
                        await tx.execute("SELECT pg_sleep(10)")
        except TimeoutError:
            cut = True
        assert cut

    async with make_manager() as manager:
        await manager.stream(numbers(10), sink, **JOB)
    await ledger.check(10)
