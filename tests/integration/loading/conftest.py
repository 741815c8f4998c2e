import asyncpg
import pytest

from seawall.checkpoint.ledger import SinkState
from seawall.postgres.loading.loader import Loader
from seawall.postgres.transaction import Transaction

BEGIN = "BEGIN; SET CONSTRAINTS ALL IMMEDIATE"


class Loading:
    """Loads batches into one table through the real loader, and tells what became of them."""

    def __init__(self, connection, table):
        self.connection, self.table = connection, table
        self.loader = Loader()

    async def load(self, records, columns=None, *, after=None, on_conflict=None):
        """The rejections by record number; the transaction is committed."""
        told = {}

        async def rejects(rejections, records):
            for rejection in rejections:
                assert rejection.index not in told, "a record was rejected twice"
                told[rejection.index] = rejection

        transaction = Transaction(self.connection, BEGIN, self.loader, rejects, 1, SinkState({}))
        await transaction.begin()
        try:
            if after is not None:
                await after(transaction)
            loaded = await transaction.load(self.table, records, columns, on_conflict=on_conflict)
        except BaseException:
            await transaction.rollback()
            raise
        await transaction.commit()
        assert loaded == len(records) - len(told)
        return told

    async def column(self, name):
        rows = await self.connection.fetch(f"SELECT {name} AS v FROM {self.table} ORDER BY 1")
        return [row["v"] for row in rows]

    async def count(self):
        return await self.connection.fetchval(f"SELECT count(*) FROM {self.table}")


@pytest.fixture
async def connection(empty_database_dsn):
    connection = await asyncpg.connect(empty_database_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def loading(connection):
    async def make(ddl, table="t"):
        await connection.execute(ddl)
        return Loading(connection, table)

    return make
