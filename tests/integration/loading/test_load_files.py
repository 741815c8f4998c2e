"""Files into a table: each record once, in the table or in quarantine with its reason and line."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
from datetime import date

import asyncpg
import pytest

from seawall import ErrorRecoveryManager
from seawall.errors import (
    InvalidConfigError,
    MissingTableError,
    SourceChangedError,
    SourceError,
    TooManyBadRecordsError,
)
from seawall.file_load import FileFormat
from seawall.postgres.loading import text_stage
from seawall.quarantine.record import RecordFilter

TABLE = """
CREATE TABLE parents (id text PRIMARY KEY);
INSERT INTO parents VALUES ('p'), ('q');
CREATE TABLE t (
    n int PRIMARY KEY, word varchar(5) NOT NULL, day date, parent text REFERENCES parents,
    amount numeric(6, 2) CHECK (amount >= 0)
);
"""
ALL = RecordFilter()


@pytest.fixture
async def manager(database_dsn):
    async with ErrorRecoveryManager(
        database_dsn, config={"bad_record_tolerance": 1.0}, pipeline_id="load"
    ) as manager:
        yield manager


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(TABLE)
    yield connection
    await connection.close()


def csv_of(lines):
    return "n,word,day,parent,amount\n" + "".join(f"{line}\n" for line in lines)


async def rows(connection, query="SELECT * FROM t ORDER BY n"):
    return [tuple(row) for row in await connection.fetch(query)]


async def aside(manager):
    found = await manager.list_quarantined_records(ALL)
    return {each.position[2]: each for each in found}


FAULTS = {
    "x1,w,,,": 'column "n" (integer): invalid input syntax for type integer',
    "99999999999,w,,,": 'column "n" (integer): the value is out of range for type integer',
    "2,toolong,,,": 'column "word" (character varying(5)): value too long for type character varying(5)',
    "3,,,,": 'null value in column "word" of relation "t" violates not-null constraint',
    "4,w,2013-02-30,,": 'column "day" (date): date/time field value out of range',
    "5,w,,nobody,": 'insert or update on table "t" violates foreign key constraint "t_parent_fkey"',
    "6,w,,,-1": 'new row for relation "t" violates check constraint "t_amount_check"',
    "7,w,,,99999": 'column "amount" (numeric(6,2)): numeric field overflow',
    "0,w,,,": 'duplicate key value violates unique constraint "t_pkey"',
    "8,w,,": "4 fields where 5 belong",
    '9,"w"x,,,': "',' expected after '\"'",
}


@pytest.mark.parametrize("version", [15, 18])
@pytest.mark.parametrize("size", [3, 1000])
async def test_load_of_every_fault_quarantines_those_records_with_reason_and_line(
    manager, connection, tmp_path, monkeypatch, version, size
):
    """In blocks of any size, on servers that can tell values by themselves and on those before."""
    if version < 16:
        monkeypatch.setattr(text_stage, "DOMAIN_INPUT_VERSION", 99)
    lines, expected, good = ["0,zero,,,"], {}, [(0, "zero", None, None, None)]
    for fault, reason in FAULTS.items():
        lines.append(fault)
        expected[len(lines) + 1] = reason
        n = len(lines) * 10
        lines.append(f'{n},"a""b",2013-01-01,p,1.505')
        good.append((n, 'a"b', date(2013, 1, 1), "p", pytest.approx(1.51, abs=0.001)))
    (tmp_path / "t.csv").write_text(csv_of(lines))
    report = await manager.load_files([tmp_path / "t.csv"], "t", file_format=FileFormat(rows=size))
    stream = report.stream
    counts = (stream.rows_read, stream.rows_loaded, stream.rows_quarantined)
    assert counts == (len(lines), len(good), len(expected))
    found = await aside(manager)
    assert {line: each.reason for line, each in found.items()} == expected
    assert found[3].record == {
        "n": "x1", "word": "w", "day": None, "parent": None, "amount": None,
    }  # fmt: skip
    assert found[3].reasons == (f'{expected[3]} "x1"',)
    assert [
        (row[0], row[1], row[2], row[3], row[4] and float(row[4])) for row in await rows(connection)
    ] == good


@pytest.mark.parametrize("seed", range(3))
async def test_load_gives_a_record_the_same_values_in_a_clean_block_and_in_a_dirty_one(
    manager, connection, tmp_path, seed
):
    """NULLs, quotes, escapes and casts don't depend on who else is in the block."""
    chance = random.Random(seed)
    await connection.execute("CREATE TABLE a (n int, x text, y text, z char(4), f float8, b bool)")
    await connection.execute("CREATE TABLE b (LIKE a)")
    texts = ["", '""', "NA", '"NA"', '"a,b"', '"l\nm"', '"q""q"', "sp ", "\\N", "\\t", "é", '5" x']
    lines = [
        f"{n},{chance.choice(texts)},{chance.choice(texts)},{chance.choice(['ab', 'NA', ' c'])},"
        f"{chance.choice(['1e3', 'NA', '-Infinity', '0.1'])},{chance.choice(['t', 'no', 'NA'])}"
        for n in range(200)
    ]
    head = "n,x,y,z,f,b\n"
    (tmp_path / "a.csv").write_text(head + "\n".join(lines) + "\n")
    dirty = [line for each in lines for line in (each, "bad,x,y,z,1,t")]
    (tmp_path / "b.csv").write_text(head + "\n".join(dirty) + "\n")
    form = FileFormat(null="NA", rows=50)
    clean = await manager.load_files([tmp_path / "a.csv"], "a", file_format=form)
    mixed = await manager.load_files([tmp_path / "b.csv"], "b", file_format=form)
    assert (clean.stream.rows_loaded, clean.stream.rows_quarantined) == (200, 0)
    assert (mixed.stream.rows_loaded, mixed.stream.rows_quarantined) == (200, 200)
    difference = "SELECT * FROM a EXCEPT ALL SELECT * FROM b"
    assert await connection.fetch(difference) == []


async def test_load_of_json_lines_and_gzip_fills_the_table_by_name(manager, connection, tmp_path):
    await connection.execute("CREATE TABLE j (n bigint, t text, o jsonb, f numeric, b bool)")
    lines = [
        {"n": 1, "t": 'x\t"\\', "o": {"a": [1, None]}, "f": 1.5, "b": True},
        {"n": 2, "o": None},
        {"n": "x", "t": "bad"},
        {"n": 3, "t": "a\0b"},
        {"n": 4, "t": "", "b": False},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines) + "{broken\n"
    (tmp_path / "j.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    report = await manager.load_files([tmp_path / "j.jsonl.gz"], "j")
    assert (report.stream.rows_loaded, report.stream.rows_quarantined) == (3, 3)
    assert await rows(connection, "SELECT n, t, o::text, f::float8, b FROM j ORDER BY n") == [
        (1, 'x\t"\\', '{"a": [1, null]}', 1.5, True),
        (2, None, None, None, None),
        (4, "", None, None, False),
    ]
    found = await aside(manager)
    assert found[3].record == {"n": "x", "t": "bad"}
    assert found[6].record == b"{broken"


async def test_load_of_parquet_fills_the_table_and_names_row_group_and_row(
    manager, connection, tmp_path
):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "n": pa.array(range(10), pa.int32()),
            "word": [None if n == 7 else f'w"{n}' if n else "" for n in range(10)],
            "day": pa.array([date(2013, 1, n + 1) for n in range(10)]),
            "tags": pa.array([[n, None] for n in range(10)]),
            "raw": pa.array([bytes([n, 255]) for n in range(10)]),
        }
    )
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=4)
    await connection.execute(
        "CREATE TABLE p (n int, word text NOT NULL, day date, tags jsonb, raw bytea)"
    )
    report = await manager.load_files([tmp_path / "p.parquet"], "p", file_format=FileFormat(rows=3))
    assert (report.stream.rows_loaded, report.stream.rows_quarantined) == (9, 1)
    (bad,) = await manager.list_quarantined_records(ALL)
    assert bad.position == ["p.parquet", 1, 4]
    assert bad.record["day"] == date(2013, 1, 8)
    got = await rows(connection, "SELECT n, word, day, tags::text, raw FROM p ORDER BY n LIMIT 2")
    assert got == [
        (0, "", date(2013, 1, 1), "[0, null]", b"\0\xff"),
        (1, 'w"1', date(2013, 1, 2), "[1, null]", b"\1\xff"),
    ]
    made = await manager.load_files([tmp_path / "p.parquet"], "made", create=True)
    assert made.created == {
        "n": "integer", "word": "text", "day": "date", "tags": "jsonb", "raw": "bytea",
    }  # fmt: skip
    assert made.stream.rows_loaded == 10


async def test_load_creates_the_table_and_sets_aside_what_its_types_refuse(
    manager, connection, tmp_path
):
    (tmp_path / "c.csv").write_text(
        'id,"Odd ""name""",zip,at,amount\n1,x,0123,2013-01-01 10:00,1.5\n2,,0456,,2\n'
    )
    report = await manager.load_files([tmp_path / "c.csv"], '"New"', create=True)
    assert report.created == {
        "id": "bigint", 'Odd "name"': "text", "zip": "text", "at": "timestamp",
        "amount": "numeric",
    }  # fmt: skip
    with (tmp_path / "c.csv").open("a") as file:
        file.write("three,y,1,,3\n4,z,1,,4\n")
    again = await manager.load_files([tmp_path / "c.csv"], '"New"', create=True)
    assert again.created is None
    assert again.stream.this_process.read_count == 2
    assert (again.stream.rows_loaded, again.stream.rows_quarantined) == (3, 1)
    assert await connection.fetchval('SELECT "Odd ""name""" FROM "New" WHERE id = 1') == "x"


async def test_load_with_on_conflict_upserts_and_quarantines_as_ever(manager, connection, tmp_path):
    await connection.execute("INSERT INTO t VALUES (1, 'old'), (2, 'old')")
    (tmp_path / "t.csv").write_text(csv_of(["1,new,,,", "3,x,,,", "bad,x,,,", "3,y,,p,"]))
    kept = await manager.load_files(
        [tmp_path / "t.csv"], "t", run_id="nothing", on_conflict="nothing"
    )
    assert (kept.stream.rows_loaded, kept.stream.rows_quarantined) == (3, 1)
    assert await rows(connection, "SELECT n, word FROM t ORDER BY n") == [
        (1, "old"), (2, "old"), (3, "x"),
    ]  # fmt: skip
    updated = await manager.load_files(
        [tmp_path / "t.csv"], "t", run_id="update", on_conflict="update"
    )
    assert (updated.stream.rows_loaded, updated.stream.rows_quarantined) == (3, 1)
    assert await rows(connection, "SELECT n, word, parent FROM t ORDER BY n") == [
        (1, "new", None), (2, "old", None), (3, "y", "p"),
    ]  # fmt: skip


async def test_reprocess_loads_what_a_changed_table_or_an_edit_lets_in(
    manager, connection, tmp_path
):
    path = tmp_path / "t.csv"
    path.write_text(csv_of(["1,a,,r,", "2,,,,", "x3,c,,,", "4,d", "5,e,,,"]))
    await manager.load_files([path], "t")
    found = await aside(manager)
    await connection.execute("INSERT INTO parents VALUES ('r')")
    await manager.edit_quarantined_record(
        found[4].record_id, {**found[4].record, "n": "3"}, why="a stray letter"
    )
    await manager.edit_quarantined_record(found[5].record_id, "4,d,,,", why="fields were missing")
    metrics = await manager.reprocess_file_load([path], "t")
    assert (metrics.reprocessed, metrics.failed) == (3, 1)
    assert [row[:2] for row in await rows(connection)] == [(1, "a"), (3, "c"), (4, "d"), (5, "e")]
    await connection.execute("ALTER TABLE t ALTER word DROP NOT NULL")
    metrics = await manager.reprocess_file_load([path], "t")
    assert (metrics.reprocessed, metrics.failed) == (1, 0)
    assert (2, None) in [row[:2] for row in await rows(connection)]


async def test_load_beyond_its_tolerance_stops_and_goes_on_where_it_was(
    manager, connection, tmp_path
):
    lines = [f"{n},w,,," for n in range(1, 11)] + [f"x{n},w,,," for n in range(10)]
    (tmp_path / "t.csv").write_text(csv_of(lines))
    form = FileFormat(rows=10)
    with pytest.raises(TooManyBadRecordsError):
        await manager.load_files([tmp_path / "t.csv"], "t", file_format=form, tolerance=0.1)
    assert len(await rows(connection)) == 10
    report = await manager.load_files([tmp_path / "t.csv"], "t", file_format=form, tolerance=0.5)
    assert (report.stream.rows_loaded, report.stream.rows_quarantined) == (10, 10)
    assert report.stream.this_process.read_count == 10


async def test_load_of_what_is_not_there_says_what_is_wrong(manager, connection, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(csv_of(["1,a,,,"]))
    with pytest.raises(MissingTableError, match="no table 'nowhere'"):
        await manager.load_files([path], "nowhere")
    (tmp_path / "u.csv").write_text("n,wort\n1,a\n")
    with pytest.raises(
        MissingTableError, match=r"u\.csv: .* no column 'wort'; did you mean 'word'"
    ):
        await manager.load_files([tmp_path / "u.csv"], "t")
    (tmp_path / "v.csv").write_text("n,,word\n1,,a\n")
    with pytest.raises(SourceError, match="column 2 of its header has no name"):
        await manager.load_files([tmp_path / "v.csv"], "t")
    with pytest.raises(FileNotFoundError):
        await manager.load_files([tmp_path / "none.csv"], "t")
    with pytest.raises(InvalidConfigError, match="named twice"):
        await manager.load_files([path, path], "t")
    with pytest.raises(InvalidConfigError, match="doesn't tell"):
        await manager.load_files([tmp_path / "t.dat"], "t")
    (tmp_path / "empty.csv").write_text("")
    report = await manager.load_files([tmp_path / "empty.csv"], "t", create=True)
    assert report.stream.rows_read == 0


async def test_load_without_a_header_takes_the_columns_given(manager, connection, tmp_path):
    (tmp_path / "t.tsv").write_text("a\t1\nb\t2\n")
    form = FileFormat(header=False, columns=["word", "n"])
    await manager.load_files([tmp_path / "t.tsv"], "t", file_format=form)
    assert [row[:2] for row in await rows(connection)] == [(1, "a"), (2, "b")]


async def test_load_of_a_replaced_file_under_the_same_run_is_refused(manager, connection, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(csv_of(["1,a,,,"]))
    await manager.load_files([path], "t")
    with path.open("a") as file:
        file.write("2,b,,,\n")
    grown = await manager.load_files([path], "t")
    assert grown.stream.rows_loaded == 2
    path.write_text(csv_of(["8,a,,,", "9,b,,,"]))
    with pytest.raises(SourceChangedError, match="it was replaced"):
        await manager.load_files([path], "t")
    await manager.load_files([path], "t", run_id="another")
    assert [row[0] for row in await rows(connection)] == [1, 2, 8, 9]


async def test_load_into_a_table_with_a_trigger_finds_the_bad_rows_too(
    manager, connection, tmp_path
):
    await connection.execute(
        "CREATE FUNCTION no_three() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.n = 3 THEN RAISE 'no three'; END IF; RETURN NEW; END $$; "
        "CREATE TRIGGER no_three BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no_three()"
    )
    (tmp_path / "t.csv").write_text(csv_of([f"{n},w,,," for n in range(1, 6)] + ["x,w,,,"]))
    report = await manager.load_files([tmp_path / "t.csv"], "t")
    assert report.stream.rows_quarantined == 2
    assert [row[0] for row in await rows(connection)] == [1, 2, 4, 5]
    assert {line: each.reason for line, each in (await aside(manager)).items()} == {
        4: "no three",
        7: FAULTS["x1,w,,,"],
    }


WORKER = """
import asyncio, os, sys
from seawall import ErrorRecoveryManager
from seawall.file_load import FileFormat

async def main(dsn, path, kills):
    async with ErrorRecoveryManager(dsn, config={"bad_record_tolerance": 1.0}) as manager:
        def told(progress):
            print(progress.counters.read_count, flush=True)
        await manager.load_files([path], "k", file_format=FileFormat(rows=500), on_progress=told)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_load_that_is_killed_again_and_again_loads_each_record_once(
    manager, connection, database_dsn, tmp_path
):
    await connection.execute("CREATE TABLE k (n int PRIMARY KEY, t text)")
    lines = [f"{n},{'x' * 20}" if n % 7 else f"x{n},bad" for n in range(8_000)]
    path = tmp_path / "k.csv"
    path.write_text("n,t\n" + "\n".join(lines) + "\n")
    chance = random.Random(os.environ.get("SEAWALL_SEED", "7"))
    for _ in range(2):
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, database_dsn, str(path), "1"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        for _ in range(chance.randrange(1, 8)):
            worker.stdout.readline()
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
    report = await manager.load_files([path], "k")
    bad = len([n for n in range(8_000) if n % 7 == 0])
    stream = report.stream
    assert (stream.rows_read, stream.rows_loaded, stream.rows_quarantined) == (
        8_000, 8_000 - bad, bad,
    )  # fmt: skip
    assert stream.this_process.read_count < 8_000
    assert await connection.fetchval("SELECT count(*) FROM k") == 8_000 - bad
    assert await manager.count_quarantined_records(ALL, by="status") == {"pending": bad}
