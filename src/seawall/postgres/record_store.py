"""The recorder's rows: one COPY a table, one commit for all."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from seawall.postgres import copying
from seawall.postgres.database import Database
from seawall.postgres.loading.faults import is_about_a_record


class PostgresRecordStore:
    """The ``RecordStore`` over one database.

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

    def is_about_a_row(self, error: Exception) -> bool:
        return is_about_a_record(error)
