"""The examples of docs/checkpoints.md run as they stand there."""

import re
from pathlib import Path

import asyncpg
import pytest

DOCS = Path(__file__).parents[2] / "docs" / "checkpoints.md"
CODE = "\n".join(re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL))


def csv_text(numbers):
    return "id,total\n" + "".join(f"{n},{n * 10 if n != 3 else -1}\n" for n in numbers)


@pytest.fixture
async def example(database_dsn, tmp_path, monkeypatch):
    """The names that the examples define, and a connection to look at what they did."""
    monkeypatch.chdir(tmp_path)
    Path("orders.csv").write_text(csv_text(range(1, 8)))
    for part in range(2):
        Path(f"part-{part}.csv").write_text(csv_text(range(10 + part * 5, 15 + part * 5)))
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, total int NOT NULL CHECK (total >= 0))"
    )
    names = {"DSN": database_dsn}
    exec(CODE, names)
    async with names["manager"]:
        yield names, connection
    await connection.close()


async def ids(connection):
    return [row["id"] for row in await connection.fetch("SELECT id FROM orders ORDER BY id")]


async def test_docs_job_and_blocks_load_each_order_once(example):
    names, connection = example
    report = await names["job"]()
    assert (report.rows_loaded, report.rows_quarantined) == (6, 1)
    report = await names["blocks"]()
    assert report.rows_loaded == 6
    assert await ids(connection) == [1, 2, 4, 5, 6, 7]
    assert await connection.fetchval("SELECT count(*) FROM seawall.outbox_messages") == 4


async def test_docs_partitions_are_shared(example):
    names, connection = example
    reports = await names["shared"]()
    assert [each.rows_loaded for each in reports.values()] == [5, 5]
    assert await ids(connection) == list(range(10, 20))


async def test_docs_other_sinks_get_every_batch(example):
    names, connection = example
    sent = []

    async def send(key, records):
        sent.append((key, [record["id"] for record in records]))
        return [place for place, record in enumerate(records) if record["total"] < 0]

    await names["elsewhere"](send)
    assert [records for _, records in sent] == [[1, 2], [3, 4], [5, 6], [7]]
    assert await connection.fetchval("SELECT count(*) FROM seawall.quarantined_records") == 1
    (file,) = Path("out").glob("part-*.jsonl")
    assert len(file.read_text().splitlines()) == 7


async def test_docs_stop_says_where_it_goes_on(example):
    names, connection = example
    assert "enough" in await names["until_told"]()
    assert await ids(connection) == [1, 2]
    assert len(names["STRATEGIES"]) == 5
    assert names["tolerance"].count == 10_000
