"""Messages of a batch commit with it, once; a run whose checkpoint's worker vanished is abandoned."""

import contextlib

import pytest

from seawall import InvalidConfigError, Tolerance
from seawall.errors import TransactionEndedError

JOB = {"run_id": "r", "step": "load", "size": 10, "position": lambda r: r[0]}
TOPICS = "SELECT payload #>> '{}' AS p FROM seawall.outbox_messages ORDER BY sequence"


async def test_publish_in_a_batch_commits_with_it_once(make_manager, connection, ledger, numbers):
    failures = iter([True, False, False])

    async def sink(tx, batch):
        await tx.publish("loaded", batch.first_position)
        await tx.load("numbers", batch.records)  # bad rows: the transaction is begun again
        if batch.first_position == 11 and next(failures):
            raise ConnectionResetError("the network hiccuped")

    async with make_manager() as manager:
        await manager.stream(numbers(30, {5, 25}), sink, **JOB)
    await ledger.check(30, {5, 25})
    assert [row["p"] for row in await connection.fetch(TOPICS)] == ["1", "11", "21"]


async def test_publish_in_a_savepoint_is_undone_with_it(make_manager, connection, numbers):
    async def sink(tx, batch):
        await tx.publish("t", "before")
        for outcome in (ZeroDivisionError, None):
            try:
                async with tx.transaction():
                    await tx.publish("t", f"inside {outcome}")
                    if outcome:
                        raise outcome
            except ZeroDivisionError:
                pass
        await tx.publish("t", "after")

    async with make_manager() as manager:
        await manager.stream(numbers(5), sink, **JOB)
    published = [row["p"] for row in await connection.fetch(TOPICS)]
    assert published == ["before", "inside None", "after"]


@pytest.mark.parametrize("left", ["in order", "without a word"])
async def test_run_of_a_checkpoint_is_abandoned_when_its_lease_has_run_out(
    make_manager, connection, numbers, left
):
    async with make_manager() as manager:
        await manager.stream(numbers(5), "numbers", **JOB)
        assert await manager.abandon_lost_runs() == []
        if left == "without a word":
            await connection.execute(
                "INSERT INTO seawall.checkpoint_leases (checkpoint_id, fence, owner, lease_until) "
                "SELECT checkpoint_id, fence, 'h:1', now() - interval '1 s' FROM seawall.checkpoints"
            )
        abandoned = await manager.abandon_lost_runs()
    assert abandoned == (["r"] if left == "without a word" else [])


async def test_load_undone_by_a_savepoint_counts_nothing(make_manager, connection):
    """The rows that were set aside are gone with it: the counters must say so too."""

    async def twice(tx, batch):
        with contextlib.suppress(LookupError):
            async with tx.transaction():
                await tx.publish("t", "undone")
                await tx.load("numbers", batch.records)
                raise LookupError
        await tx.load("numbers", batch.records)
        await tx.publish("t", batch.records[0][0])

    rows = [(n, "bad" if n % 4 == 0 else "w") for n in range(20)]
    async with make_manager() as manager:
        report = await manager.stream(
            lambda _: rows, twice, run_id="r", size=5, position=lambda row: row[0],
            tolerance=Tolerance(count=5),
        )  # fmt: skip
    kept = await connection.fetchval("SELECT count(*) FROM seawall.quarantined_records")
    assert (report.rows_loaded, report.rows_quarantined, kept) == (15, 5, 5)
    said = await connection.fetch(
        "SELECT payload::text FROM seawall.outbox_messages ORDER BY sequence"
    )
    assert [row[0] for row in said] == ["0", "5", "10", "15"]


@pytest.mark.parametrize("name", ["key", "idempotency_key"])
async def test_publish_name_that_no_table_holds_is_refused_at_once(make_manager, connection, name):
    """And not by the server at the commit, which would fail the whole batch."""

    async def publish(tx, batch):
        with pytest.raises(InvalidConfigError, match=f"{name}="):
            await tx.publish("t", 1, **{name: "\ud800"})

    async with make_manager() as manager:
        await manager.stream(lambda _: [1], publish, run_id="r", position=lambda n: n)


@pytest.mark.parametrize("ending", ["ROLLBACK", "COMMIT"])
async def test_batch_whose_block_ends_its_transaction_is_refused(make_manager, connection, ending):
    """Rolled back, its rows would be gone, and its position saved all the same."""
    calls = []

    async def sink(tx, batch):
        calls.append(batch.id)
        await tx.load("numbers", batch.records)
        await tx.execute(ending)

    async with make_manager() as manager:
        with pytest.raises(TransactionEndedError, match="was ended in its block"):
            await manager.stream(lambda _: [(1, "w")], sink, **JOB)
        assert (await manager.resume_from_checkpoint("r", "load")).position is None
    assert len(calls) == 1


async def test_rows_written_by_the_bare_connection_survive_a_load_with_bad_rows(
    make_manager, connection
):
    async def sink(tx, batch):
        query = "INSERT INTO numbers VALUES (100 + $1, 'x')"
        await tx.connection.execute(query, batch.records[0][0])
        await tx.load("numbers", batch.records)

    rows = [(n, "bad" if n % 4 == 0 else "w") for n in range(10)]
    async with make_manager() as manager:
        await manager.stream(lambda _: rows, sink, run_id="r", size=5, position=lambda row: row[0])
    assert await connection.fetchval("SELECT count(*) FROM numbers WHERE n >= 100") == 2
