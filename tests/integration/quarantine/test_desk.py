"""Quarantined records looked at, counted, edited, given up, purged; and the figures of growth."""

from datetime import UTC, datetime, timedelta

import pytest

from seawall import ErrorType, InvalidConfigError, QuarantineError, RecordFilter

SECRET = {"n": 1, "password": "hunter2"}


async def keys(manager, **which):
    found = await manager.list_quarantined_records(RecordFilter(**which), limit=1000)
    return [each.record["n"] for each in found]


async def test_list_pages_go_by_key_and_end(manager):
    await manager.quarantine_bad_records(
        "r", [{"n": n} for n in range(25)], "why", step="load", positions=range(25)
    )
    seen, after = [], None
    while page := await manager.list_quarantined_records(
        RecordFilter(run_id="r"), after=after, limit=10
    ):
        seen += page
        after = page[-1].record_id
    assert [each.record["n"] for each in seen] == list(range(25))
    assert [each.position for each in seen] == list(range(25))
    assert {(each.status, each.attempts, each.reasons) for each in seen} == {
        ("pending", 0, ("why",))
    }


async def test_every_filter_chooses_its_records(manager, connection, put):
    started = await connection.fetchval("SELECT now()")
    await manager.quarantine_bad_records("r", [{"n": 1}], "50% off: a", step="load")
    await manager.quarantine_bad_records(
        "r", [{"n": 2}], "50x off: b", ErrorType.SYSTEM, step="load"
    )
    between = await connection.fetchval("SELECT clock_timestamp()")
    await manager.quarantine_bad_records("q", [{"n": 3}], "50% off: c", step="clean")
    await connection.execute(
        "UPDATE seawall.quarantined_records SET sqlstate = '23505', constraint_name = 'k', "
        "partition = 4 WHERE step = 'clean'"
    )
    await manager.reprocess_quarantined_records("r", processor=put, limit=1)
    assert await keys(manager) == [1, 2, 3]
    assert await keys(manager, run_id="r") == [1, 2]
    assert await keys(manager, pipeline_id="p") == [1, 2, 3]
    assert await keys(manager, pipeline_id="other") == []
    assert await keys(manager, step="clean") == [3]
    assert await keys(manager, partition=4) == [3]
    assert await keys(manager, reason="50% off: a") == [1]
    assert await keys(manager, reason_prefix="50% off") == [1, 3]
    assert await keys(manager, reason_like="50_ off%") == [1, 2, 3]
    assert await keys(manager, error_type=ErrorType.SYSTEM) == [2]
    assert await keys(manager, sqlstate="23505", constraint_name="k") == [3]
    assert await keys(manager, status="reprocessed") == [1]
    assert await keys(manager, status=("pending", "failed")) == [2, 3]
    assert await keys(manager, attempts_at_least=1) == [1]
    assert await keys(manager, attempts_below=1) == [2, 3]
    assert await keys(manager, after=started, before=between) == [1, 2]
    assert await keys(manager, after=between) == [3]
    (first, *_) = await manager.list_quarantined_records(RecordFilter())
    assert await keys(manager, record_ids=[first.record_id]) == [1]
    assert await keys(manager, quarantine_id=first.quarantine_id) == [1]


@pytest.mark.parametrize(
    ("which", "word"),
    [
        ({"status": "quarantined"}, "pending, reprocessed"),
        ({"after": datetime(2026, 1, 1)}, "time zone"),
        ({"attempts_below": -1}, "attempts_below"),
        ({"record_ids": ["x"]}, "UUID"),
        ({"reason_like": "50\\"}, "reason_like"),
    ],
)
def test_filter_that_can_match_nothing_is_refused(which, word):
    with pytest.raises(InvalidConfigError, match=word):
        RecordFilter(**which)


async def test_count_by_reason_step_and_status(manager, put):
    await manager.quarantine_bad_records("r", [{"n": n} for n in range(3)], "a", step="load")
    await manager.quarantine_bad_records("r", [{"n": 9}], "b", step="clean")
    await manager.reprocess_quarantined_records("r", processor=put, step="clean")
    which = RecordFilter(run_id="r")
    assert await manager.count_quarantined_records(which) == {"a": 3, "b": 1}
    assert await manager.count_quarantined_records(which, "step") == {"load": 3, "clean": 1}
    assert await manager.count_quarantined_records(which, "status") == {
        "pending": 3, "reprocessed": 1,
    }  # fmt: skip
    assert await manager.count_quarantined_records(which, "sqlstate") == {None: 4}
    with pytest.raises(InvalidConfigError, match="by='payload'"):
        await manager.count_quarantined_records(which, "payload")


async def test_record_is_whole_but_shown_masked(manager):
    """Q3: what is shown is masked, what is read is not."""
    await manager.quarantine_bad_records("r", [SECRET], "token=abcdef1234567890 is bad")
    (found,) = await manager.list_quarantined_records(RecordFilter(run_id="r"))
    assert found.record == SECRET
    await manager.edit_quarantined_record(found.record_id, {"n": 2}, why="new", actor="ann")
    (found,) = await manager.list_quarantined_records(RecordFilter(run_id="r"))
    for shown in (repr(found), found.preview(), repr(found.edits), str(found.masked())):
        assert "hunter2" not in shown
        assert "abcdef1234567890" not in shown
    assert found.edits[0].record == SECRET
    assert found.masked().edits[0].record["password"] == "***"


async def test_record_that_cannot_be_read_is_listed_beside_the_others(manager, connection):
    await manager.quarantine_bad_records("r", [{"n": 1}, {"n": 2}], "why")
    await connection.execute(
        """UPDATE seawall.quarantined_records SET payload = '{"$new": 1}'
        WHERE payload ->> 'n' = '1'"""
    )
    first, second = await manager.list_quarantined_records(RecordFilter(run_id="r"))
    assert (first.record, second.record) == (None, {"n": 2})
    assert "newer version" in first.unreadable
    assert "newer version" in first.preview()


async def test_edit_keeps_the_original_and_a_trace_and_is_reprocessed(manager, put, loaded):
    await manager.quarantine_bad_records("r", [{"n": "x"}], "why", step="load")
    failed = await manager.reprocess_quarantined_records("r", processor=put)
    assert failed.failed == 1
    (found,) = await manager.list_quarantined_records(RecordFilter(run_id="r"))
    assert (found.status, found.attempts) == ("failed", 1)
    await manager.edit_quarantined_record(found.record_id, {"n": 7}, why="a typo", actor="ann")
    (found,) = await manager.list_quarantined_records(RecordFilter(run_id="r"))
    assert (found.record, found.status, found.attempts) == ({"n": 7}, "pending", 1)
    (edit,) = found.edits
    assert (edit.record, edit.actor, edit.why) == ({"n": "x"}, "ann", "a typo")
    assert [each.outcome for each in found.history] == ["failed"]
    await manager.reprocess_quarantined_records("r", processor=put)
    assert await loaded() == [7]
    with pytest.raises(QuarantineError, match="is reprocessed"):
        await manager.edit_quarantined_record(found.record_id, {"n": 8}, why="again")
    with pytest.raises(QuarantineError, match="no quarantined record"):
        await manager.edit_quarantined_record(found.quarantine_id, {"n": 8}, why="again")


async def test_edit_makes_a_masked_record_whole(manager, connection, put, loaded):
    await manager.quarantine_bad_records("r", [{"n": 1}], "why", step="load")
    await connection.execute("UPDATE seawall.quarantined_records SET redacted = true")
    (found,) = await manager.list_quarantined_records(RecordFilter())
    await manager.edit_quarantined_record(found.record_id, {"n": 5}, why="from the source")
    assert (await manager.reprocess_quarantined_records("r", processor=put)).reprocessed == 1
    assert await loaded() == [5]


async def test_discard_takes_filters_and_never_a_settled_record(manager, put, outcomes):
    await manager.quarantine_bad_records("r", [{"n": n} for n in range(4)], "a", step="load")
    await manager.quarantine_bad_records("r", [{"n": 9}], "b", step="load")
    await manager.reprocess_quarantined_records("r", processor=put, limit=1)
    assert await manager.discard_quarantined_records("r", why="old", reason="a", actor="ann") == 3
    assert await outcomes() == {"reprocessed": 1, "discarded": 3, "pending": 1}
    with pytest.raises(InvalidConfigError, match="only pending and failed"):
        await manager.discard_quarantined_records("r", why="old", status="reprocessed")
    with pytest.raises(InvalidConfigError, match="why"):
        await manager.discard_quarantined_records("r", why=" ")


async def test_purge_deletes_settled_records_only_and_says_who(manager, connection, put, outcomes):
    await manager.quarantine_bad_records("r", [{"n": n} for n in range(7)], "why", step="load")
    await manager.reprocess_quarantined_records("r", processor=put, limit=3)
    await manager.discard_quarantined_records("r", why="x", status="pending", reason="none such")
    await connection.execute(
        "UPDATE seawall.quarantined_records SET updated_at = now() - interval '8 days' "
        "WHERE record_id IN (SELECT record_id FROM seawall.quarantined_records "
        "ORDER BY status DESC, record_id LIMIT 5)"
    )
    week = timedelta(days=7)
    assert await manager.purge_quarantined_records(older_than=week, actor="ann") == 3
    assert await outcomes() == {"pending": 4}
    assert await connection.fetchval("SELECT count(*) FROM seawall.quarantine_attempts") == 0
    row = await connection.fetchrow("SELECT * FROM seawall.quarantine_purges")
    assert (row["actor"], row["records"]) == ("ann", 3)
    assert row["ended_at"] is not None
    assert '"status":["reprocessed","discarded"]' in row["which"]
    assert await manager.purge_quarantined_records(older_than=timedelta(0)) == 0
    with pytest.raises(InvalidConfigError, match="only reprocessed and discarded"):
        await manager.purge_quarantined_records(older_than=week, statuses=["pending"])
    for wrong in (timedelta(-1), datetime(2026, 1, 1)):
        with pytest.raises(InvalidConfigError, match="older_than"):
            await manager.purge_quarantined_records(older_than=wrong)


async def test_growth_counts_days_reasons_and_the_backlog(manager, connection, put):
    await manager.quarantine_bad_records("r", [{"n": n} for n in range(5)], "a", step="load")
    await manager.quarantine_bad_records("r", [{"n": 7}], "b", step="load")
    (oldest, *_) = await manager.list_quarantined_records(RecordFilter(reason="b"))
    await manager.reprocess_quarantined_records("r", processor=put, reason="a", limit=4)
    await manager.discard_quarantined_records("r", why="x", reason="a")
    today = (await connection.fetchval("SELECT now()")).astimezone(UTC).date()
    growth = await manager.quarantine_growth()
    assert [(d.day, d.reason, d.set_aside, d.settled) for d in growth.days] == [
        (today, "a", 5, 5),
        (today, "b", 1, 0),
    ]
    assert (growth.backlog, growth.backlog_by_reason) == (1, {"b": 1})
    assert growth.oldest_open == oldest.quarantined_at
    assert growth.bytes > 8192
    await manager.purge_quarantined_records(older_than=timedelta(0))
    assert (await manager.quarantine_growth()).days == growth.days
    await connection.execute("DELETE FROM seawall.quarantined_records")
    empty = await manager.quarantine_growth()
    assert (empty.backlog, empty.oldest_open) == (0, None)
    assert (await manager.quarantine_growth("other")).days == ()


async def test_growth_counts_what_a_rolled_back_batch_set_aside_as_nothing(
    manager, connection, database_dsn
):
    await manager.quarantine_bad_records("r", [{"n": 1}], "a")
    async with manager.database.acquire() as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("DELETE FROM seawall.quarantined_records")
        await transaction.rollback()
    assert (await manager.quarantine_growth()).backlog == 1


async def test_status_of_older_migrations_becomes_pending(empty_database_dsn):
    """Migration 0006 on a database with records in it."""
    import asyncpg

    from seawall.postgres import migrate as module

    connection = await asyncpg.connect(empty_database_dsn)
    try:
        steps = [step for step in module.migrations() if int(step.name[:4]) <= 4]
        async with connection.transaction():
            await connection.execute("CREATE SCHEMA seawall; SET LOCAL search_path TO seawall")
            for step in steps:
                await connection.execute(step.sql)
            await connection.execute(
                "INSERT INTO quarantined_records (record_id, quarantine_id, run_id, pipeline_id, "
                "step, payload, error_type, reason, status) SELECT gen_random_uuid(), "
                "gen_random_uuid(), 'r', 'p', 's', '{}', 'data', 'why', s "
                "FROM unnest('{quarantined,reprocessing,failed,reprocessed}'::text[]) s"
            )
            (mine,) = [step for step in module.migrations() if step.name.startswith("0006")]
            await connection.execute(mine.sql)
            rows = await connection.fetch("SELECT status FROM quarantined_records ORDER BY 1")
            counts = await connection.fetchrow(
                "SELECT sum(set_aside) AS aside, sum(settled) AS settled FROM quarantine_counts"
            )
    finally:
        await connection.close()
    assert [row["status"] for row in rows] == ["failed", "pending", "pending", "reprocessed"]
    assert (counts["aside"], counts["settled"]) == (4, 1)
