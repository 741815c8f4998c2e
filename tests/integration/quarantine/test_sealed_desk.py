"""Listing, editing, exporting and importing where payloads are encrypted, large or masked."""

import base64

import pytest

from seawall import ErrorRecoveryManager, QuarantineKeyError, RecordFilter
from seawall.postgres import pieces

ALL = RecordFilter()
KEY, OTHER = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
SECRET = {"n": 1, "name": "Ada Lovelace"}


@pytest.fixture
def make(database_dsn, connection):
    def make(dsn=database_dsn, **config):
        return ErrorRecoveryManager(dsn, config=config, pipeline_id="p")

    return make


async def test_encrypted_record_is_listed_edited_and_reprocessed(make, connection, put, loaded):
    pytest.importorskip("cryptography")
    async with make(quarantine_keys=f"a:{KEY}") as manager:
        await manager.quarantine_bad_records("r", [SECRET], "bad 'Ada Lovelace'", step="load")
        (found,) = await manager.list_quarantined_records(ALL)
        assert (found.record, found.reasons) == (SECRET, ("bad 'Ada Lovelace'",))
        await manager.edit_quarantined_record(found.record_id, {"n": 5, "name": "Ada"}, why="x")
        (found,) = await manager.list_quarantined_records(ALL)
        assert (found.record, found.edits[0].record) == ({"n": 5, "name": "Ada"}, SECRET)
        assert found.reasons == ("bad 'Ada Lovelace'",)
        for table in ("quarantined_records", "quarantine_edits"):
            text = await connection.fetchval(
                f"SELECT string_agg(t::text, '') FROM seawall.{table} t"
            )
            assert "Ada" not in text
            assert "\\x" in text
        await manager.reprocess_quarantined_records("r", processor=put)
    assert await loaded() == [5]


async def test_rotation_takes_what_edits_have_kept_along(make, connection):
    """Else the old key could never go."""
    pytest.importorskip("cryptography")
    async with make(quarantine_keys=f"a:{KEY}") as manager:
        await manager.quarantine_bad_records("r", [SECRET], "bad", step="load")
        (found,) = await manager.list_quarantined_records(ALL)
        await manager.edit_quarantined_record(found.record_id, {"n": 5}, why="x")
    async with make(quarantine_keys=f"b:{OTHER},a:{KEY}") as manager:
        rotation = await manager.rotate_quarantine_keys(size=1)
        assert (rotation.encrypted, rotation.left) == (2, 0)
        assert (await manager.rotate_quarantine_keys()).encrypted == 0
    async with make(quarantine_keys=f"b:{OTHER}") as manager:
        (found,) = await manager.list_quarantined_records(ALL)
        assert (found.record, found.edits[0].record) == ({"n": 5}, SECRET)


async def test_record_without_its_key_is_listed_as_unreadable_and_waits(make, put, outcomes):
    pytest.importorskip("cryptography")
    async with make(quarantine_keys=f"a:{KEY}") as manager:
        await manager.quarantine_bad_records("r", [SECRET], "why", step="load")
    async with make(quarantine_keys=f"b:{OTHER}") as manager:
        (found,) = await manager.list_quarantined_records(ALL)
        assert found.record is None
        assert "'a'" in found.unreadable
        for processor in (put, "loaded"):
            with pytest.raises(QuarantineKeyError):
                await manager.reprocess_quarantined_records("r", processor=processor)
    assert await outcomes() == {"pending": 1}


async def test_encrypted_records_move_to_a_database_with_another_key(
    make, test_server, tmp_path, connection
):
    pytest.importorskip("cryptography")
    import asyncio

    file = tmp_path / "records.jsonl"
    async with make(quarantine_keys=f"a:{KEY}") as manager:
        await manager.quarantine_bad_records("r", [SECRET, ("two",)], "bad", step="load")
        (first, _) = await manager.list_quarantined_records(ALL)
        await manager.edit_quarantined_record(first.record_id, {"n": 2}, why="x")
        await manager.export_quarantined_records(file, ALL)
        before = await manager.list_quarantined_records(ALL)
    dsn = await asyncio.to_thread(test_server.create)
    async with make(dsn, quarantine_keys=f"b:{OTHER}") as manager:
        assert (await manager.import_quarantined_records(file)).added == 2
        assert (await manager.import_quarantined_records(file)).unchanged == 2
        after = await manager.list_quarantined_records(ALL)
    await asyncio.to_thread(test_server.drop, dsn)
    assert after == before


async def test_large_record_is_edited_moved_and_comes_back(
    make, connection, monkeypatch, test_server, tmp_path
):
    """In pieces: those of the old payload go with it, and the edit keeps it whole."""
    import asyncio

    monkeypatch.setattr(pieces, "LARGEST", 100)
    config = {"quarantine_compress_above": 10}
    first, second = ({"n": [n] * 5, "text": f"{n}".join(map(str, range(400)))} for n in (1, 2))
    file = tmp_path / "records.jsonl"
    async with make(**config) as manager:
        await manager.quarantine_bad_records("r", [first], "bad", step="load")
        (found,) = await manager.list_quarantined_records(ALL)
        await manager.edit_quarantined_record(found.record_id, second, why="x")
        (found,) = await manager.list_quarantined_records(ALL)
        assert (found.record, found.edits[0].record) == (second, first)
        count = "SELECT count(*) FROM seawall.quarantine_payload_chunks"
        assert await connection.fetchval(count) > 1
        await manager.export_quarantined_records(file, ALL)
        dsn = await asyncio.to_thread(test_server.create)
        async with make(dsn, **config) as other:
            await other.import_quarantined_records(file)
            assert await other.list_quarantined_records(ALL) == [found]
        await asyncio.to_thread(test_server.drop, dsn)
        await manager.edit_quarantined_record(found.record_id, 1, why="small")
        assert await connection.fetchval(count) == 0


async def test_edit_where_records_are_kept_masked_is_masked_too(make, connection, put):
    async with make(quarantine_redact=True) as manager:
        await manager.quarantine_bad_records("r", [{"n": 1, "password": "hunter2"}], "bad")
        (found,) = await manager.list_quarantined_records(ALL)
        assert found.redacted
        await manager.edit_quarantined_record(found.record_id, {"password": "hunter2"}, why="x")
        (found,) = await manager.list_quarantined_records(ALL)
        assert (found.redacted, found.record) == (True, {"password": "***"})
        assert (await manager.reprocess_quarantined_records("r", processor=put)).redacted == 1
    text = await connection.fetchval(
        "SELECT string_agg(q::text, '') FROM seawall.quarantined_records q"
    )
    assert "hunter2" not in text
