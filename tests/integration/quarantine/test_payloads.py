"""Stored payloads on the server: sealed, in pieces, under rotating keys; nothing is lost."""

import asyncio
import base64
import random
from datetime import timedelta

import asyncpg
import pandas as pd
import polars as pl
import pytest
from pandas.testing import assert_frame_equal as assert_pandas
from polars.testing import assert_frame_equal as assert_polars

from seawall import (
    ErrorRecoveryManager,
    InvalidConfigError,
    PayloadTooLargeError,
    QuarantineKeyError,
    RecordFilter,
)
from seawall.checkpoint.model import Rejection, StepKey
from seawall.postgres import payload_store, pieces, quarantine_store
from seawall.quarantine.encryption import ENVIRONMENT
from seawall.quarantine.frames import frame_of
from seawall.quarantine.payload import PLAIN

OLD, NEW = (f"{name}:{base64.b64encode(name.encode() * 32)[:43].decode()}=" for name in ("o", "n"))
RECORDS = [{"n": n, "name": f"Ada {n}", "raw": b"\x00\xff"} for n in range(12)]


@pytest.fixture
async def connection(database_dsn, monkeypatch):
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


@pytest.fixture
def make_manager(database_dsn, connection):
    return lambda **config: ErrorRecoveryManager(database_dsn, config=config)


async def reprocessed(manager, run_id="r", **options):
    seen = []

    async def keep(tx, record):
        seen.append(record)

    metrics = await manager.reprocess_quarantined_records(run_id, processor=keep, **options)
    return seen, metrics


def noise(size):
    """Text that compresses to no less than half."""
    return random.Random(1).randbytes(size // 2).hex()


@pytest.mark.parametrize(
    "config",
    [{}, {"quarantine_compress_above": 0}, {"quarantine_keys": OLD}]
    + [{"quarantine_keys": OLD, "quarantine_compress_above": 0}],
    ids=["plain", "compressed", "encrypted", "both"],
)
@pytest.mark.parametrize("largest", [None, 20], ids=["whole", "in pieces"])
async def test_records_of_each_form_come_back_equal(
    make_manager, connection, config, largest, monkeypatch
):
    if largest is not None:
        monkeypatch.setattr(pieces, "LARGEST", largest)
    async with make_manager(**config) as manager:
        await manager.quarantine_bad_records("r", RECORDS, "bad", step="s")
        if largest is not None and config:
            count = "SELECT count(*) FROM seawall.quarantine_payload_chunks"
            assert await connection.fetchval(count) > len(RECORDS)
        seen, metrics = await reprocessed(manager)
    assert seen == RECORDS
    assert metrics.reprocessed == len(RECORDS)


async def test_record_of_many_megabytes_comes_back_equal(make_manager, connection):
    record = {"text": noise(40 * 2**20)}
    async with make_manager() as manager:
        await manager.quarantine_bad_records("r", [record, {"n": 1}], "bad")
        largest = await connection.fetchval(
            "SELECT max(length(data)) FROM seawall.quarantine_payload_chunks"
        )
        seen, _ = await reprocessed(manager)
    assert seen == [record, {"n": 1}]
    assert largest == pieces.LARGEST


async def test_record_nested_deep_fails_nobody(make_manager):
    deep = "bottom"
    for _ in range(20_000):
        deep = {"in": [deep]}
    async with make_manager() as manager:
        await manager.quarantine_bad_records("r", [{"n": 1}, deep, {"n": 2}], "bad")
        seen, _ = await reprocessed(manager)
    assert (seen[0], seen[2]) == ({"n": 1}, {"n": 2})
    depth, deep = 0, seen[1]
    while deep != "bottom":
        depth, deep = depth + 1, deep["in"][0]
    assert depth == 20_000


async def test_record_above_the_largest_writes_nothing_and_says_why(make_manager, connection):
    async with make_manager(quarantine_max_bytes=1000) as manager:
        with pytest.raises(PayloadTooLargeError, match="quarantine_max_bytes=1,000"):
            await manager.quarantine_bad_records("r", [{"n": 1}, {"text": "x" * 2000}], "bad")
    assert await connection.fetchval("SELECT count(*) FROM seawall.quarantined_records") == 0


async def test_keys_of_the_environment_encrypt(make_manager, connection, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, OLD)
    async with make_manager() as manager:
        await manager.quarantine_bad_records("r", RECORDS, "bad 'Ada'", step="s")
    row = await connection.fetchrow("SELECT * FROM seawall.quarantined_records")
    assert row["key_id"] == "o"
    assert row["payload"] is None
    assert b"Ada" not in row["sealed"]
    assert "Ada" not in str(dict(row))


async def test_rows_encrypted_without_the_key_are_listed_but_not_opened(make_manager, connection):
    """Reprocessing raises, names the key, and leaves every record as it was."""
    async with make_manager(quarantine_keys=OLD) as manager:
        await manager.quarantine_bad_records("r", RECORDS, "bad", step="s")
    async with make_manager() as manager:
        with pytest.raises(QuarantineKeyError, match="'o' is needed"):
            await reprocessed(manager)
    async with make_manager(quarantine_keys=NEW) as manager:
        with pytest.raises(QuarantineKeyError, match="'o' is needed"):
            await reprocessed(manager)
    rows = await connection.fetch(
        "SELECT status, reason, attempts FROM seawall.quarantined_records"
    )
    assert {tuple(row) for row in rows} == {("pending", "bad", 0)}
    async with make_manager(quarantine_keys=f"{NEW},{OLD}") as manager:
        seen, _ = await reprocessed(manager)
    assert seen == RECORDS


async def test_altered_record_fails_alone(make_manager, connection):
    async with make_manager(quarantine_keys=OLD) as manager:
        await manager.quarantine_bad_records("r", RECORDS[:3], "bad", step="s")
        await connection.execute(
            "UPDATE seawall.quarantined_records q SET sealed = o.sealed "
            "FROM (SELECT sealed, record_id FROM seawall.quarantined_records "
            "ORDER BY record_id LIMIT 1) o WHERE q.record_id <> o.record_id"
        )
        seen, metrics = await reprocessed(manager)
        rotation = await manager.rotate_quarantine_keys()
    assert seen == RECORDS[:1]
    assert metrics.failed == 2
    assert "another record's" in next(iter(metrics.failures))
    assert (rotation.encrypted, rotation.left) == (0, 0)


@pytest.mark.parametrize("largest", [None, 20], ids=["whole", "in pieces"])
async def test_rotation_encrypts_old_and_plain_records_under_the_new_key(
    make_manager, connection, largest, monkeypatch
):
    if largest is not None:
        monkeypatch.setattr(pieces, "LARGEST", largest)
    async with make_manager() as manager:
        await manager.quarantine_bad_records("r", RECORDS[:4], "bad 'Ada'", step="s")
    async with make_manager(quarantine_keys=OLD, quarantine_compress_above=0) as manager:
        await manager.quarantine_bad_records("r", RECORDS[4:], "bad", step="s")
    async with make_manager(quarantine_redact=True) as manager:
        await manager.quarantine_bad_records("r", [{"password": "x"}], "bad")
    async with make_manager(quarantine_keys=f"{NEW},{OLD}") as manager:
        rotation = await manager.rotate_quarantine_keys(size=5)
        assert (rotation.key_id, rotation.encrypted, rotation.left) == ("n", 12, 0)
        assert (await manager.rotate_quarantine_keys()).encrypted == 0
    rows = await connection.fetch(
        "SELECT key_id, reasons, reason FROM seawall.quarantined_records WHERE NOT redacted"
    )
    assert {tuple(row) for row in rows} == {("n", None, "bad"), ("n", None, "bad '…'")}
    async with make_manager(quarantine_keys=NEW) as manager:
        seen, metrics = await reprocessed(manager)
    assert seen == RECORDS
    assert metrics.redacted == 1


async def test_rotation_without_the_old_key_leaves_all_as_it_was(make_manager, connection):
    async with make_manager(quarantine_keys=OLD) as manager:
        await manager.quarantine_bad_records("r", RECORDS, "bad")
    async with make_manager(quarantine_keys=NEW) as manager:
        with pytest.raises(QuarantineKeyError, match="'o' is needed"):
            await manager.rotate_quarantine_keys()
    async with make_manager() as manager:
        with pytest.raises(InvalidConfigError, match="there is no key to encrypt with"):
            await manager.rotate_quarantine_keys()
    async with make_manager(quarantine_keys=OLD) as manager:
        assert (await reprocessed(manager))[0] == RECORDS


async def test_rotation_passes_by_what_is_held_and_what_is_altered(make_manager, connection):
    async with make_manager(quarantine_keys=OLD) as manager:
        await manager.quarantine_bad_records("r", RECORDS, "bad")
    ids = [
        row["record_id"]
        for row in await connection.fetch(
            "SELECT record_id FROM seawall.quarantined_records ORDER BY record_id"
        )
    ]
    await connection.execute(
        "UPDATE seawall.quarantined_records SET sealed = sealed || '\\x00' WHERE record_id = $1",
        ids[5],
    )
    async with make_manager(quarantine_keys=f"{NEW},{OLD}") as manager:
        async with connection.transaction():
            await connection.execute(
                "SELECT 1 FROM seawall.quarantined_records WHERE record_id = $1 FOR UPDATE", ids[0]
            )
            rotation = await manager.rotate_quarantine_keys(size=3)
        assert (rotation.encrypted, rotation.left, rotation.unreadable) == (10, 2, (ids[5],))
        again = await manager.rotate_quarantine_keys()
    assert (again.encrypted, again.left) == (1, 1)


async def test_rotations_at_the_same_time_share_the_work(make_manager):
    records = [{"n": n} for n in range(200)]
    async with make_manager(quarantine_keys=OLD) as manager:
        await manager.quarantine_bad_records("r", records, "bad")
    async with make_manager(quarantine_keys=f"{NEW},{OLD}") as manager:
        done = await asyncio.gather(*(manager.rotate_quarantine_keys(size=7) for _ in range(3)))
        assert sum(each.encrypted for each in done) == 200
        assert (await reprocessed(manager))[0] == records


async def test_redacted_records_are_stored_masked_and_left_alone(make_manager, connection):
    config = {"quarantine_redact": True, "mask_keys": ["name"]}
    async with make_manager(**config) as manager:
        await manager.quarantine_bad_records("r", RECORDS, "bad name=Ada", step="s")
        seen, metrics = await reprocessed(manager)
    assert seen == []
    assert metrics.redacted == len(RECORDS)
    row = await connection.fetchrow("SELECT * FROM seawall.quarantined_records ORDER BY record_id")
    assert row["redacted"]
    assert "Ada" not in str(dict(row))
    assert PLAIN.open(payload_store.stored(row), payload_store.owner(row)) == {
        "n": 0,
        "name": "***",
        "raw": b"\x00\xff",
    }


async def test_errors_are_masked_as_the_config_says(make_manager, connection):
    config = {"mask_keys": ["name"], "mask_emails": True, "mask_patterns": [r"CUST-\d+"]}
    function = {"mask_function": lambda text: text.replace("Springfield", "***")}
    async with make_manager(**config, **function) as manager:
        try:
            raise ValueError("name=Ada, ada@example.com, CUST-77, Springfield")
        except ValueError as error:
            await manager.log_error_details("r", error, {"name": "Ada", "city": "Springfield"})
    row = await connection.fetchrow("SELECT * FROM seawall.error_details")
    assert row["message"] == "name=***, ***, ***, ***"
    for secret in ("=Ada", '"Ada"', "ada@example.com", "CUST-7", "***Springfield"):
        assert secret not in row["context"] + row["message"]
    assert "Springfield" not in row["context"]


async def test_retries_and_failed_reprocessing_are_masked_as_the_config_says(
    make_manager, connection
):
    async def fail(*_):
        raise TimeoutError("CUST-77 timed out")

    async with make_manager(mask_patterns=[r"CUST-\d+"]) as manager:
        with pytest.raises(TimeoutError):
            await manager.execute_with_retry(fail, max_retries=1, initial_delay=0.001)
        await manager.quarantine_bad_records("r", RECORDS[:1], "CUST-78 is unknown")
        await manager.reprocess_quarantined_records("r", processor=fail)
    for column, table in [
        ("message", "retry_attempts"),
        ("message", "quarantine_attempts"),
        ("reason", "quarantined_records"),
    ]:
        told = await connection.fetchval(f"SELECT string_agg({column}, ' ') FROM seawall.{table}")
        assert "***" in told
        assert "CUST" not in told


@pytest.mark.parametrize("config", [{"quarantine_keys": OLD}, {"quarantine_redact": True}])
async def test_stream_sets_bad_rows_aside_as_the_config_says(make_manager, connection, config):
    await connection.execute("CREATE TABLE people (n int PRIMARY KEY, password text NOT NULL)")

    async with make_manager(**config) as manager:
        await manager.stream(
            lambda after: [
                {"n": 1, "password": "hunter2", "x": 1},
                {"n": 1, "password": "hunter3"},
            ],
            "people",
            transform=lambda row: {key: row[key] for key in ("n", "password")},
            run_id="r",
            step="s",
            position=lambda row: row["password"][-1],
        )
    row = await connection.fetchrow("SELECT * FROM seawall.quarantined_records")
    assert "hunter" not in str(dict(row))


async def test_stream_stops_at_a_record_above_the_largest_with_its_position_intact(
    make_manager, connection
):
    """Nothing of its batch is there; with a higher bound the run goes on."""
    await connection.execute("CREATE TABLE words (n int PRIMARY KEY, word varchar(5))")
    rows = [(1, "a"), (2, "b"), (3, "x" * 5_000), (4, "d")]

    async def stream(manager):
        return await manager.stream(
            lambda after: [row for row in rows if after is None or row[0] > after],
            "words",
            run_id="r",
            step="s",
            size=2,
            position=lambda row: row[0],
        )

    async with make_manager(quarantine_max_bytes=1000, max_retries=0) as manager:
        with pytest.raises(PayloadTooLargeError):
            await stream(manager)
    assert await connection.fetchval("SELECT count(*) FROM words") == 2
    async with make_manager() as manager:
        report = await stream(manager)
        assert report.resumed_from == 2
        seen, _ = await reprocessed(manager)
    assert seen == [rows[2]]
    assert await connection.fetchval("SELECT count(*) FROM words") == 3


async def test_pieces_are_deleted_with_their_record(make_manager, connection, monkeypatch):
    monkeypatch.setattr(pieces, "LARGEST", 20)
    async with make_manager(quarantine_keys=OLD) as manager:
        await manager.quarantine_bad_records("r", RECORDS, "bad")
    await connection.execute("DELETE FROM seawall.quarantined_records")
    count = "SELECT count(*) FROM seawall.quarantine_payload_chunks"
    assert await connection.fetchval(count) == 0


async def test_missing_piece_is_an_error_of_its_record_alone(make_manager, connection, monkeypatch):
    monkeypatch.setattr(pieces, "LARGEST", 20)
    async with make_manager(quarantine_keys=OLD) as manager:
        await manager.quarantine_bad_records("r", RECORDS[:1], "bad")
        await connection.execute("DELETE FROM seawall.quarantine_payload_chunks WHERE chunk = 1")
        _, metrics = await reprocessed(manager)
    assert metrics.failed == 1
    assert "piece 1 of its payload is missing" in next(iter(metrics.failures))


async def test_rows_written_in_a_transaction_that_fails_are_gone_with_their_pieces(
    connection, monkeypatch
):
    monkeypatch.setattr(pieces, "LARGEST", 20)
    rows = quarantine_store.rows(
        "p", StepKey("r", "s"), "b", [Rejection(index=0, reason="bad")], ["x" * 99_999], [1]
    )
    with pytest.raises(ZeroDivisionError):
        async with connection.transaction():
            await quarantine_store.write(connection, "seawall", rows)
            count = "SELECT count(*) FROM seawall.quarantine_payload_chunks"
            assert await connection.fetchval(count) > 1
            raise ZeroDivisionError
    for table in ("quarantined_records", "quarantine_payload_chunks"):
        assert await connection.fetchval(f"SELECT count(*) FROM seawall.{table}") == 0


@pytest.mark.parametrize("config", [{}, {"quarantine_keys": OLD}], ids=["plain", "encrypted"])
async def test_frame_is_set_aside_row_by_row_and_comes_back(make_manager, connection, config):
    frame = pd.DataFrame(
        {
            "n": pd.Series([1, pd.NA, 3], dtype="Int64"),
            "at": pd.date_range("2013-01-01", periods=3, tz="Europe/Berlin"),
            "kind": pd.Categorical(["b", "a", None]),
        }
    ).set_index(pd.Index([10, 11, 17], name="row"))
    table = pl.DataFrame({"n": [1, None], "in": [[1.5], None]})
    async with make_manager(**config) as manager:
        await manager.quarantine_bad_records("pandas", frame, "bad", positions=[10, 11, 17])
        await manager.quarantine_bad_records("polars", table, "bad")
        assert await connection.fetchval("SELECT count(*) FROM seawall.quarantined_records") == 5
        first, _ = await reprocessed(manager, "pandas")
        second, _ = await reprocessed(manager, "polars")
    assert first[0]["n"] == 1
    assert_pandas(frame_of(first), frame, check_freq=False)
    assert_polars(frame_of(second), table)


async def test_rotation_encrypts_what_edits_kept_before_there_was_a_key(make_manager, connection):
    """The payload before an edit is as secret as the one behind it."""
    async with make_manager() as manager:
        await manager.quarantine_bad_records("r", [{"secret": "before"}], "why")
        (record,) = await manager.list_quarantined_records(RecordFilter())
        await manager.edit_quarantined_record(record.record_id, {"secret": "after"}, why="typo")
    async with make_manager(quarantine_keys=OLD) as manager:
        assert (await manager.rotate_quarantine_keys()).left == 0
        plain = "SELECT count(payload) FROM seawall.quarantine_edits"
        assert await connection.fetchval(plain) == 0
        (record,) = await manager.list_quarantined_records(RecordFilter())
    assert record.record == {"secret": "after"}
    assert record.edits[0].record == {"secret": "before"}


async def test_rotation_takes_masked_records_that_are_encrypted_along(make_manager, tmp_path):
    """They came by an import; with `left` at 0 nothing may need the old key."""
    file = tmp_path / "masked.jsonl"
    async with make_manager(quarantine_redact=True) as manager:
        await manager.quarantine_bad_records("r", [{"password": "x"}, {"b": 1}], "why")
        await manager.export_quarantined_records(file, RecordFilter())
        await manager.discard_quarantined_records("r", why="to be imported")
        await manager.purge_quarantined_records(older_than=timedelta())
    async with make_manager(quarantine_keys=OLD) as manager:
        assert (await manager.import_quarantined_records(file)).added == 2
        _, second = await manager.list_quarantined_records(RecordFilter())
        await manager.edit_quarantined_record(second.record_id, {"b": 2}, why="typo")
    async with make_manager(quarantine_keys=f"{NEW},{OLD}") as manager:
        assert (await manager.rotate_quarantine_keys()).left == 0
    async with make_manager(quarantine_keys=NEW) as manager:
        first, second = await manager.list_quarantined_records(RecordFilter())
    assert (first.record, first.redacted) == ({"password": "***"}, True)
    assert second.edits[0].record == {"b": 1}
