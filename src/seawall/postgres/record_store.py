"""The recorder's rows: one COPY a table, one commit for all."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from seawall.postgres import copying
from seawall.postgres.database import Database
from seawall.postgres.loading.faults import is_about_a_record
from seawall.postgres.lost import is_connection_lost
from seawall.postgres.names import quote

Rows = list[tuple[str, tuple[Any, ...]]]


class PostgresRecordStore:
    """The ``RecordStore`` over one database, and where a journal's rows go.

    Args:
        columns: each table's columns, in the order of its rows.
    """

    def __init__(self, database: Database, columns: Mapping[str, Sequence[str]]) -> None:
        self._database, self._columns = database, columns

    async def write(self, rows: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        by_table: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for table, row in rows:
            by_table[table].append(row)
        async with self._database.acquire() as connection, connection.transaction():
            for table, records in by_table.items():
                schema, columns = self._database.schema, self._columns[table]
                await copying.copy(connection, schema, table, columns, records)

    async def replay(self, rows: Rows) -> Rows:
        """Write rows that may be there already; those that the server refuses."""
        async with self._database.acquire() as connection:
            try:
                async with connection.transaction():
                    await self._insert(connection, rows)
            except Exception as error:
                if not is_about_a_record(error):
                    raise
            else:
                return []
            refused: Rows = []
            async with connection.transaction():
                for row in rows:
                    try:
                        async with connection.transaction():
                            await self._insert(connection, [row])
                    except Exception as error:
                        if not is_about_a_record(error):
                            raise
                        refused.append(row)
            return refused

    async def _insert(self, connection: Any, rows: Rows) -> None:
        by_table: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for table, row in rows:
            by_table[table].append(row)
        for table, records in by_table.items():
            columns = self._columns[table]
            places = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
            names = ", ".join(map(quote, columns))
            query = (
                f"INSERT INTO {quote(self._database.schema)}.{quote(table)} ({names}) "
                f"VALUES ({places}) ON CONFLICT DO NOTHING"
            )
            await connection.executemany(query, records)

    def is_out_of_reach(self, error: Exception) -> bool:
        return is_connection_lost(error)

    def is_about_a_row(self, error: Exception) -> bool:
        return is_about_a_record(error)
