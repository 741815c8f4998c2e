"""`stream` into files, upserts and another database; from files that know their positions."""

import contextlib

import asyncpg
import msgspec
import pytest

from seawall import (
    CheckpointStrategy,
    CsvSource,
    ErrorRecoveryManager,
    FileSink,
    InvalidConfigError,
    JsonLinesSource,
    OnConflict,
    RecordFilter,
    TableSource,
    committed_files,
)


def csv_file(tmp_path, total, bad=()):
    path = tmp_path / "in.csv"
    lines = [f"{n},{'bad' if n in bad else 'w'}" for n in range(1, total + 1)]
    path.write_text("\n".join(["n,word", *lines]) + "\n")
    return path


def typed(row):
    return {"n": int(row["n"]), "word": row["word"]}


def written(folder):
    return [
        int(line)
        for path in committed_files(folder, suffix=".txt")
        for line in path.read_text().split()
    ]


async def test_stream_csv_into_table_quarantines_lines_with_their_bytes(
    make_manager, connection, tmp_path
):
    path = csv_file(tmp_path, 50, {7})
    with path.open("ab") as file:
        file.write(b"51,x,too many\n52,w\n")
    async with make_manager() as manager:
        for _ in range(2):
            report = await manager.stream(
                CsvSource(path), "numbers", run_id="r", size=10, transform=typed
            )
    assert (report.rows_read, report.rows_loaded, report.rows_quarantined) == (52, 50, 2)
    assert report.this_process.read_count == 0
    payloads = await connection.fetch(
        "SELECT payload::text AS p FROM seawall.quarantined_records ORDER BY record_id"
    )
    from seawall.quarantine import codec

    assert [codec.decode(row["p"]) for row in payloads] == [
        {"n": "7", "word": "bad"},
        b"51,x,too many\n",
    ]


@pytest.mark.parametrize("stopped_at", [None, 25])
async def test_stream_into_files_holds_each_record_once(
    make_manager, connection, numbers, tmp_path, stopped_at
):
    def source(after):
        for row in numbers(60)(after):
            if stopped_at is not None and row[0] == stopped_at:
                raise RuntimeError("torn")
            yield row[0]

    def sink():
        return FileSink(
            tmp_path / "out", suffix=".txt", encode=lambda n: b"%d\n" % n, max_records=17
        )

    job = {"run_id": "r", "size": 10, "position": lambda n: n}
    async with make_manager() as manager:
        if stopped_at is not None:
            with pytest.raises(RuntimeError, match="torn"):
                await manager.stream(source, sink(), **job)
            stopped_at = None
        await manager.stream(source, sink(), **job)
        assert written(tmp_path / "out") == list(range(1, 61))
        await manager.stream(source, sink(), **job)
    assert written(tmp_path / "out") == list(range(1, 61))


async def test_stream_into_files_refuses_batches_side_by_side(make_manager, tmp_path):
    async with make_manager() as manager:
        with pytest.raises(InvalidConfigError, match="concurrency=2: FileSink"):
            await manager.stream(lambda after: [1], FileSink(tmp_path), run_id="r", concurrency=2)


async def test_stream_upserts_with_on_conflict(make_manager, connection):
    async with make_manager() as manager:
        for step, word in (("a", "old"), ("b", "new")):
            await manager.stream(
                lambda after, word=word: [(n, word) for n in range(1, 21)][after or 0 :],
                "numbers",
                run_id="r",
                step=step,
                size=6,
                on_conflict=OnConflict(columns=["n"], where="numbers.n > 10"),
            )
    rows = await connection.fetch("SELECT word, count(*) AS c FROM numbers GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in rows] == [("new", 10), ("old", 10)]


async def test_stream_into_another_database_keeps_the_checkpoint_there(
    make_manager, connection, numbers, empty_database_dsn
):
    there = await asyncpg.connect(empty_database_dsn)
    await there.execute(
        "CREATE TABLE numbers (n int PRIMARY KEY, word text NOT NULL CHECK (word <> 'bad'))"
    )
    async with make_manager() as manager:
        for total in (30, 50):
            report = await manager.stream(
                numbers(total, {4}), "numbers", run_id="r", size=10,
                position=lambda row: row[0], database=empty_database_dsn,
            )  # fmt: skip
    assert report.resumed_from == 30
    assert await there.fetchval("SELECT count(*) FROM numbers") == 49
    assert await there.fetchval("SELECT count(*) FROM seawall.quarantined_records") == 1
    assert await there.fetchval("SELECT (position #>> '{}')::int FROM seawall.checkpoints") == 50
    assert await there.fetchval("SELECT count(*) FROM seawall.checkpoint_leases") == 0
    await there.close()
    assert await connection.fetchval("SELECT count(*) FROM seawall.checkpoints") == 0


async def test_stream_json_lines_side_by_side(make_manager, connection, ledger, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(f'{{"n": {n}, "word": "w"}}\n' for n in range(1, 301)))
    async with make_manager() as manager:
        report = await manager.stream(
            JsonLinesSource(path), "numbers", run_id="r", size=7, concurrency=4
        )
    assert report.rows_loaded == 300
    assert await ledger.loaded() == list(range(1, 301))
    assert isinstance(manager, ErrorRecoveryManager)


async def test_file_sink_two_under_one_name_in_a_step_are_refused(make_manager, tmp_path):
    """Each would go by the other's length, and cut its own committed records off."""
    async with (
        make_manager() as manager,
        FileSink(tmp_path / "a") as a,
        FileSink(tmp_path / "b") as b,
    ):

        async def both(tx, batch):
            await a.write(tx, batch.records)
            await b.write(tx, batch.records[:1])

        with pytest.raises(InvalidConfigError, match="the name 'part'"):
            await manager.stream(
                lambda after: range((after or 0) + 1, 20), both, run_id="r", position=lambda n: n
            )


async def test_file_sink_two_names_in_a_step_keep_their_own_records(make_manager, tmp_path):
    async with make_manager() as manager, manager.checkpoint("r", "s") as cp:
        low, high = (FileSink(tmp_path / name, name=name) for name in ("low", "high"))
        async with low, high:
            async for batch in cp.batches(range(40), size=10, position=lambda n: n):
                async with batch.transaction() as tx:
                    await low.write(tx, [n for n in batch.records if n % 10 < 7])
                    await high.write(tx, [n for n in batch.records if n % 10 >= 7])
            for sink in (low, high):
                await sink.finish(cp)
    texts = [
        path.read_text().split()
        for name in ("low", "high")
        for path in committed_files(tmp_path / name, name=name)
    ]
    assert texts == [
        [str(n) for n in range(40) if n % 10 < 7],
        [str(n) for n in range(40) if n % 10 >= 7],
    ]


@pytest.mark.parametrize("max_records", [None, 1, 4])
async def test_file_sink_in_a_savepoint_that_is_undone_leaves_nothing(
    make_manager, tmp_path, max_records
):
    """The savepoint takes back the rows; the file's lines go with them."""
    async with make_manager() as manager, manager.checkpoint("r", "s") as cp:
        async with FileSink(tmp_path, max_records=max_records) as sink:
            async for batch in cp.batches(range(40), size=10, position=lambda n: n):
                async with batch.transaction() as tx:
                    for n in batch.records:
                        with contextlib.suppress(LookupError):
                            async with tx.transaction():
                                await sink.write(tx, [n])
                                if n % 3 == 0:
                                    raise LookupError
            await sink.finish(cp)
    lines = [line for path in committed_files(tmp_path) for line in path.read_text().split()]
    assert lines == [str(n) for n in range(40) if n % 3]


class Line(msgspec.Struct):
    n: int
    word: str


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_stream_typed_records_that_fail_are_set_aside(
    make_manager, connection, tmp_path, concurrency
):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(f'{{"n": {n}, "word": "w"}}\n' if n % 5 else "{\n" for n in range(40)))

    def checked(line):
        if line.n % 7 == 0:
            raise ValueError("seven")
        return msgspec.structs.asdict(line)

    job = {"run_id": "r", "size": 6, "transform": checked, "concurrency": concurrency}
    async with make_manager() as manager:
        report = await manager.stream(JsonLinesSource(path, type=Line), "numbers", **job)
        records = [e.record for e in await manager.list_quarantined_records(RecordFilter())]
    assert (report.rows_read, report.rows_quarantined) == (40, 12)
    assert sorted(each["n"] for each in records if each != b"{\n") == [7, 14, 21, 28]


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_stream_whole_batches_of_a_record_source_are_its_chunks(
    make_manager, connection, database_dsn, concurrency
):
    """Its pairs of position and record must not be taken for batches of two records."""
    await connection.execute(
        "CREATE TABLE codes AS SELECT 'k' || n AS id, n FROM generate_series(0, 8) n"
    )
    batches = []

    async def sink(tx, batch):
        batches.append(sorted(row["n"] for row in batch.records))

    async with make_manager() as manager:
        report = await manager.stream(
            TableSource(database_dsn, "codes", page=4),
            sink,
            run_id="r",
            strategy=CheckpointStrategy.every_batch(),
            concurrency=concurrency,
        )
    assert sorted(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    assert (report.rows_loaded, report.batches, report.position) == (9, 3, "k8")
