"""Files of records: JSONL loses nothing, CSV can be edited by people, neither is half a file."""

import asyncio
import csv
import json
import os
import stat
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seawall import ErrorRecoveryManager, InvalidConfigError, QuarantineError, RecordFilter
from support.records import SCALARS, same

ALL = RecordFilter()
RICH = {
    "name": "=cmd|' /C calc'!A0",
    "n": -5,
    "price": Decimal("1.10"),
    "when": datetime(2013, 1, 1, 5, 15, tzinfo=UTC),
    "day": date(2013, 1, 1),
    "key": UUID(int=7),
    "ok": True,
    "share": 0.1,
    "nothing": None,
    "parts": [1, {"a": b"\x00"}],
    "quote": "'=1",
    "empty": "",
    "lines": "a\r\nb",
    "wide": "＝1",
    "nul": "a\x00b",
}


@pytest.fixture
async def other(test_server):
    """A manager on another database."""
    dsn = await asyncio.to_thread(test_server.create)
    async with ErrorRecoveryManager(dsn, pipeline_id="p") as manager:
        yield manager
    await asyncio.to_thread(test_server.drop, dsn)


def read_csv(file):
    with file.open(encoding="utf-8-sig", newline="") as source:
        return list(csv.DictReader(source))


async def everything(manager):
    async with manager.database.acquire() as connection:
        return [
            [tuple(row) for row in await connection.fetch(query)]
            for query in (
                "SELECT * FROM seawall.quarantined_records ORDER BY record_id",
                "SELECT * FROM seawall.quarantine_attempts ORDER BY attempt_id",
                "SELECT * FROM seawall.quarantine_edits ORDER BY edit_id",
            )
        ]


async def with_a_past(manager, put):
    """Records of every status, with attempts and edits."""
    rows = [RICH, (1, "two"), "text", {"n": 1}, {"n": 2}, {"n": "x"}]
    await manager.quarantine_bad_records("r", rows, "why\nnot", step="load", positions=range(6))
    await manager.reprocess_quarantined_records("r", processor=put)
    found = await manager.list_quarantined_records(ALL)
    await manager.edit_quarantined_record(found[-1].record_id, {"n": 3}, why="typo", actor="ann")
    await manager.discard_quarantined_records(
        "r", why="no mapping", record_ids=[found[2].record_id]
    )


async def test_jsonl_brings_everything_into_another_database_once(manager, other, put, tmp_path):
    await with_a_past(manager, put)
    file = tmp_path / "records.jsonl"
    assert await manager.export_quarantined_records(file, ALL) == 6
    report = await other.import_quarantined_records(file)
    assert (report.read, report.added) == (6, 6)
    assert await everything(other) == await everything(manager)
    again = await other.import_quarantined_records(file)
    assert (again.added, again.edited, again.unchanged) == (0, 0, 6)
    assert await everything(other) == await everything(manager)
    growth = await other.quarantine_growth()
    assert growth.backlog == (await manager.quarantine_growth()).backlog


async def test_export_takes_filters_and_pages(manager, tmp_path):
    await manager.quarantine_bad_records("r", [{"n": n} for n in range(1203)], "a")
    await manager.quarantine_bad_records("r", [{"n": 5}], "b")
    file = tmp_path / "records.jsonl"
    assert await manager.export_quarantined_records(file, RecordFilter(reason="a")) == 1203
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["payload"]["n"] for line in lines] == list(range(1203))


async def test_file_is_private_and_whole_or_not_there(manager, tmp_path, monkeypatch):
    await manager.quarantine_bad_records("r", [{"n": 1}], "a")
    file = tmp_path / "records.jsonl"
    file.write_text("the old one")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(OSError, match="full"):
            await manager.export_quarantined_records(file, ALL)
    assert file.read_text() == "the old one"
    assert os.listdir(tmp_path) == ["records.jsonl"]
    await manager.export_quarantined_records(file, ALL)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["records.jsonl"]


async def test_masked_export_shows_no_secret_and_is_not_imported(manager, other, tmp_path):
    secret = {"n": 1, "password": "hunter2", "note": "postgres://u:hunter2@h/d"}
    await manager.quarantine_bad_records("r", [secret, ("password=hunter2",)], "password=hunter2")
    (found, _) = await manager.list_quarantined_records(ALL)
    await manager.edit_quarantined_record(found.record_id, {"n": 2}, why="x")
    for name in ("records.jsonl", "records.csv"):
        file = tmp_path / name
        await manager.export_quarantined_records(file, ALL, masked=True)
        assert "hunter2" not in file.read_text()
        with pytest.raises(QuarantineError, match="masked"):
            await manager.import_quarantined_records(file)
    assert await everything(other) == [[], [], []]


async def test_edited_jsonl_sets_the_payload_and_keeps_the_original(manager, tmp_path, put, loaded):
    await manager.quarantine_bad_records("r", [{"n": "x"}, {"n": 2}], "a", step="load")
    file = tmp_path / "records.jsonl"
    await manager.export_quarantined_records(file, ALL)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[0]["payload"]["n"] = 1
    file.write_text("\n".join(json.dumps(line, indent=None) for line in lines))
    report = await manager.import_quarantined_records(file, actor="ann")
    assert (report.edited, report.unchanged) == (1, 1)
    first, second = await manager.list_quarantined_records(ALL)
    assert (first.record, second.record) == ({"n": 1}, {"n": 2})
    assert (first.edits[0].record, first.edits[0].actor) == ({"n": "x"}, "ann")
    assert "records.jsonl" in first.edits[0].why
    assert (await manager.import_quarantined_records(file)).unchanged == 2
    assert len((await manager.list_quarantined_records(ALL))[0].edits) == 1
    await manager.reprocess_quarantined_records("r", processor=put)
    assert await loaded() == [1, 2]


async def test_file_never_undoes_an_edit_made_since_nor_touches_settled_records(
    manager, tmp_path, put
):
    await manager.quarantine_bad_records("r", [{"n": n} for n in range(3)], "a", step="load")
    file = tmp_path / "records.jsonl"
    await manager.export_quarantined_records(file, ALL)
    stale = tmp_path / "stale.jsonl"
    stale.write_bytes(file.read_bytes())
    found = await manager.list_quarantined_records(ALL)
    await manager.edit_quarantined_record(found[0].record_id, {"n": 10}, why="since")
    await manager.discard_quarantined_records("r", why="x", record_ids=[found[1].record_id])
    file.write_text(file.read_text().replace('"payload":{"n":', '"payload":{"n":9'))
    report = await manager.import_quarantined_records(file)
    assert (report.conflicts, report.settled, report.edited) == (1, 1, 1)
    assert (await manager.import_quarantined_records(stale)).edited == 0
    records = await manager.list_quarantined_records(ALL)
    assert [each.record["n"] for each in records] == [10, 1, 92]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "line 3"),
        ('{"seawall": 1}', "line 3"),
        ("[]", "line 3"),
        ('{"$new":1}', "newer version"),
    ],
)
async def test_line_that_cannot_be_read_is_named(manager, tmp_path, text, word):
    await manager.quarantine_bad_records("r", [{"n": 1}, {"n": 2}, {"n": 3}], "a")
    file = tmp_path / "records.jsonl"
    await manager.export_quarantined_records(file, ALL)
    lines = file.read_text().splitlines()
    lines[2] = lines[2].replace('"payload":{"n":3}', f'"payload":{text}') if "$" in text else text
    file.write_text("\n".join(lines))
    with pytest.raises(QuarantineError, match=word):
        await manager.import_quarantined_records(file)


async def test_csv_has_a_column_a_field_and_runs_no_formula(manager, tmp_path):
    await manager.quarantine_bad_records("r", [RICH, {"other": 1}, (1, "=2")], "=why")
    file = tmp_path / "records.csv"
    assert await manager.export_quarantined_records(file, ALL) == 3
    rows = read_csv(file)
    assert rows[0]["record.name"] == "'=cmd|' /C calc'!A0"
    assert (rows[0]["record.n"], rows[0]["record.price"]) == ("-5", "1.10")
    assert rows[0]["record.when"] == "2013-01-01T05:15:00+00:00"
    assert (rows[0]["reason"], rows[1]["record.other"], rows[1]["record.n"]) == ("'=why", "1", "")
    assert json.loads(rows[2]["payload"]) == {"$tuple": [1, "=2"]}
    for row in rows:
        for cell in row.values():
            assert cell[:1] not in {"=", "+", "@", "\t", "\r", "＝"}


async def test_csv_left_alone_changes_nothing(manager, tmp_path):
    await manager.quarantine_bad_records("r", [RICH, {"x": "007"}, (1, "=2"), "text"], "why")
    before = await everything(manager)
    file = tmp_path / "records.csv"
    await manager.export_quarantined_records(file, ALL)
    report = await manager.import_quarantined_records(file)
    assert (report.read, report.unchanged) == (4, 4)
    assert await everything(manager) == before


async def test_csv_edited_by_a_person_sets_values_of_the_old_types(manager, tmp_path):
    await manager.quarantine_bad_records("r", [RICH, (1, "=2")], "why")
    file = tmp_path / "records.csv"
    await manager.export_quarantined_records(file, ALL)
    with file.open(encoding="utf-8-sig", newline="") as source:
        reader = csv.DictReader(source)
        names, rows = reader.fieldnames, list(reader)
    changes = {
        "name": "'-x", "n": "7", "price": "2.50", "when": "2014-01-01T00:00:00+00:00",
        "ok": "FALSE", "nothing": "12", "share": "0.5", "empty": "007", "parts": "[2]",
    }  # fmt: skip
    rows[0] |= {f"record.{name}": cell for name, cell in changes.items()}
    rows[1]["payload"] = '{"$tuple":[1,"two"]}'
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, names, delimiter=",")
        writer.writeheader()
        writer.writerows(rows)
    report = await manager.import_quarantined_records(file)
    assert report.edited == 2
    first, second = await manager.list_quarantined_records(ALL)
    assert first.record == RICH | {
        "name": "-x", "n": 7, "price": Decimal("2.50"), "when": datetime(2014, 1, 1, tzinfo=UTC),
        "ok": False, "nothing": 12, "share": 0.5, "empty": "007", "parts": [2],
    }  # fmt: skip
    assert second.record == (1, "two")


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("record.n", "many", "column 'n': 'many' can't be read as int"),
        ("record_id", "x", "record_id 'x' is none"),
        ("payload", "{", "no JSON"),
    ],
)
async def test_csv_cell_that_cannot_be_read_is_named(manager, tmp_path, old, new, word):
    await manager.quarantine_bad_records("r", [{"n": 1}], "why")
    file = tmp_path / "records.csv"
    await manager.export_quarantined_records(file, ALL)
    rows = read_csv(file)
    rows[0][old] = new
    with file.open("w", newline="") as target:
        writer = csv.DictWriter(target, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(QuarantineError, match=word):
        await manager.import_quarantined_records(file)


async def test_csv_adds_no_record_and_lacks_no_column(manager, other, tmp_path):
    await manager.quarantine_bad_records("r", [{"n": 1}], "why")
    file = tmp_path / "records.csv"
    await manager.export_quarantined_records(file, ALL)
    assert (await other.import_quarantined_records(file)).unknown == 1
    file.write_text("a,b\n1,2\n")
    with pytest.raises(QuarantineError, match="lacks the column record_id, digest"):
        await other.import_quarantined_records(file)
    with pytest.raises(InvalidConfigError, match="must be jsonl or csv"):
        await other.export_quarantined_records(tmp_path / "x.xlsx", ALL)


RECORDS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(
            st.text(st.characters(exclude_categories=()), max_size=8), inner, max_size=4
        ),
    ),
    max_leaves=8,
)


class TwoDatabases:
    """Two managers in an event loop that outlives hypothesis' examples."""

    def __init__(self, first, second):
        self.runner = asyncio.Runner()
        self.managers = [ErrorRecoveryManager(dsn) for dsn in (first, second)]
        self.dsns = (first, second)

    def __enter__(self):
        for manager in self.managers:
            self.runner.run(manager.start())
        return self

    def __exit__(self, *exc):
        for manager in self.managers:
            self.runner.run(manager.aclose())
        self.runner.close()

    async def carried(self, records, file):
        first, second = self.managers
        for manager in self.managers:
            async with manager.database.acquire() as connection:
                await connection.execute("TRUNCATE seawall.quarantined_records CASCADE")
        await first.quarantine_bad_records("r", list(records), "why", positions=records)
        await first.export_quarantined_records(file, ALL)
        await second.import_quarantined_records(file)
        await second.import_quarantined_records(file)
        assert await everything(second) == await everything(first)
        return await second.list_quarantined_records(ALL)


@pytest.fixture
def two(test_server):
    dsns = [test_server.create(), test_server.create()]
    with TwoDatabases(*dsns) as databases:
        yield databases
    for dsn in dsns:
        test_server.drop(dsn)


@pytest.mark.timeout(120)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(records=st.lists(RECORDS, min_size=1, max_size=5))
def test_jsonl_round_trip_gives_equal_records_and_metadata(two, tmp_path, records):
    found = two.runner.run(two.carried(records, tmp_path / "records.jsonl"))
    assert len(found) == len(records)
    for each, record in zip(found, records, strict=True):
        assert same(each.record, record)
        assert same(each.position, record)


def test_second_database_is_another_one(two):
    assert two.dsns[0] != two.dsns[1]


@pytest.mark.parametrize(
    "name", ["a\ud800", "n\x00ul", "cr\rlf\n", "=cmd", "", "record.x", "record_id"]
)
async def test_csv_of_any_field_name_comes_back_unchanged(manager, tmp_path, name):
    """A lone surrogate can't be written: under another name it would be taken for a new field."""
    await manager.quarantine_bad_records("r", [{name: "x", "v": 1}, {"other": 2}], "why")
    assert await manager.export_quarantined_records(tmp_path / "all.csv", ALL) == 2
    assert (await manager.import_quarantined_records(tmp_path / "all.csv")).unchanged == 2


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
async def test_masked_export_hides_what_people_wrote_too(manager, tmp_path, kind):
    said = "password=hunter2hunter2"
    await manager.quarantine_bad_records("r", [{"password": "hunter2hunter2", said: 1}], said)
    (record,) = await manager.list_quarantined_records(ALL)
    await manager.edit_quarantined_record(record.record_id, {said: said.encode()}, why=said)
    await manager.discard_quarantined_records("r", why=said)
    file = tmp_path / f"all.{kind}"
    await manager.export_quarantined_records(file, ALL, masked=True)
    assert "hunter2" not in file.read_text()
