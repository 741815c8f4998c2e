"""pydantic and pandera: what they refuse is quarantined row by row, with every reason."""

from collections import Counter

import asyncpg
import pandas as pd
import pandera.pandas as pa
import pytest
from pydantic import BaseModel, Field

from seawall import ErrorRecoveryManager, InvalidRecordError, RecordFilter
from seawall.errors import CheckpointError
from seawall.integrations.pandera import bad_rows, check_batch
from seawall.integrations.pydantic import validated


class Order(BaseModel):
    id: int
    total: float = Field(ge=0)
    customer: str = Field(min_length=1)


ORDERS = [
    {"id": 1, "total": 10, "customer": "a"},
    {"id": 2, "total": -1, "customer": ""},
    {"id": 3, "total": -7, "customer": "c"},
    {"id": "four", "total": 1, "customer": "d"},
    {"id": 5, "total": 5, "customer": "e"},
]

SCHEMA = pa.DataFrameSchema(
    {"id": pa.Column(int), "total": pa.Column(int, pa.Check.ge(0)), "customer": pa.Column(str)},
    checks=pa.Check(lambda frame: frame["id"] != 5, name="id isn't five"),
)


@pytest.fixture
async def manager(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("CREATE TABLE orders (id int, total float8, customer text)")
    await connection.close()
    async with ErrorRecoveryManager(database_dsn) as manager:
        yield manager


async def loaded(manager):
    async with manager.database.acquire() as connection:
        return [row["id"] for row in await connection.fetch("SELECT id FROM orders ORDER BY id")]


async def test_pydantic_refuses_are_quarantined_with_every_reason(manager):
    report = await manager.stream(
        lambda _: ORDERS, "orders", run_id="r", size=2, transform=validated(Order)
    )
    assert (report.rows_loaded, report.rows_quarantined) == (2, 3)
    assert report.quarantined_by_reason == {
        "total: Input should be greater than or equal to 0": 2,
        "id: Input should be a valid integer, unable to parse string as an integer": 1,
    }
    bad = await manager.list_quarantined_records(RecordFilter(run_id="r"))
    assert bad[0].record == ORDERS[1]
    assert len(bad[0].reasons) == 2
    assert bad[0].column_name == "total"
    assert await loaded(manager) == [1, 5]


async def test_pandera_refuses_are_quarantined_with_the_batch(manager):
    records = [{**order, "id": n} for n, order in enumerate(ORDERS, 1)]
    async with manager.checkpoint("r", "load", size=3) as cp:
        async for batch in cp.batches(records, position=lambda row: row["id"]):
            check_batch(SCHEMA, batch)
            async with batch.transaction() as tx:
                await tx.load("orders", batch.records)
        report = await cp.report()
    assert (report.rows_loaded, report.rows_quarantined) == (2, 3)
    bad = await manager.list_quarantined_records(RecordFilter(run_id="r"))
    assert Counter(each.reason for each in bad) == {
        "total: greater_than_or_equal_to(0)": 2, "id isn't five": 1,
    }  # fmt: skip
    assert [each.position for each in bad] == [2, 3, 5]
    assert await loaded(manager) == [1, 4]


async def test_pandera_missing_column_is_nobodys_row():
    with pytest.raises(InvalidRecordError, match="column_in_dataframe: total"):
        bad_rows(SCHEMA, pd.DataFrame({"id": [1], "customer": ["a"]}))


async def test_batch_reject_and_the_database_refuse_together(manager):
    """What is rejected before the block, and what the table refuses in it, keep their positions."""
    async with manager.database.acquire() as connection:
        await connection.execute("ALTER TABLE orders ADD CHECK (total < 30)")
    records = [{"id": n, "total": n * 10, "customer": "x"} for n in range(1, 6)]
    async with manager.checkpoint("r", "load", size=5) as cp:
        async for batch in cp.batches(records, position=lambda row: row["id"]):
            with pytest.raises(CheckpointError, match="5 records"):
                batch.reject({7: "no such record"})
            batch.reject({0: ["first", "second"]})
            assert [row["id"] for row in batch.records] == [2, 3, 4, 5]
            batch.reject({1: "third"})
            async with batch.transaction() as tx:
                await tx.load("orders", batch.records)
            with pytest.raises(CheckpointError, match="committed"):
                batch.reject({0: "late"})
    bad = await manager.list_quarantined_records(RecordFilter(run_id="r"))
    assert {each.position: each.reasons[0] for each in bad if each.position in (1, 3)} == {
        1: "first", 3: "third",
    }  # fmt: skip
    assert sorted(each.position for each in bad) == [1, 3, 4, 5]
    assert await loaded(manager) == [2]


def test_invalid_record_error_needs_a_reason():
    with pytest.raises(TypeError, match="one reason"):
        InvalidRecordError()
