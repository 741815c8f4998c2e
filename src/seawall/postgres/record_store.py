"""The recorder's rows: one COPY a table, one commit for all."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg

from seawall.postgres import copying
from seawall.postgres.database import Database
from seawall.postgres.loading.faults import is_about_a_record
from seawall.postgres.lost import is_connection_lost
from seawall.postgres.names import quote

Rows = list[tuple[str, tuple[Any, ...]]]

# The server is there, but takes nothing: its disk or memory is full, it is going down, a standby
# has taken its address. The rows are as good later.
_NOT_NOW = ("53", "57", "58")
_READ_ONLY = "25006"
_UNKNOWN_NAMES = ("42P01", "42703")  # a table or column of another release

TYPES = """
SELECT a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_attribute a
WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped
"""


class PostgresRecordStore:
    """The ``RecordStore`` over one database, and where a journal's rows go.

    Args:
        columns: each table's columns, in the order of its rows. New ones go to the end: rows of
            the last release may wait in a journal.
    """

    def __init__(self, database: Database, columns: Mapping[str, Sequence[str]]) -> None:
        self._database, self._columns = database, columns
        self._queries: dict[tuple[str, int], str] = {}

    async def write(self, rows: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        by_table: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        for table, row in rows:
            by_table[table].append(row)
        async with self._database.acquire() as connection:
            if len(by_table) == 1:  # one COPY is a transaction by itself: two round trips less
                await self._copy(connection, by_table)
            else:
                async with connection.transaction():
                    await self._copy(connection, by_table)

    async def _copy(
        self, connection: Any, by_table: Mapping[str, Sequence[tuple[Any, ...]]]
    ) -> None:
        schema = self._database.schema
        for table, records in by_table.items():
            await copying.copy(connection, schema, table, self._columns[table], records)

    async def replay(self, rows: Rows) -> Rows:
        """Write rows that may be there already; those that the server refuses."""
        async with self._database.acquire() as connection:
            try:
                async with connection.transaction():
                    await self._insert(connection, rows)
            except Exception as error:
                if not self._is_refusal(error):
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
                        if not self._is_refusal(error):
                            raise
                        refused.append(row)
            return refused

    async def _insert(self, connection: Any, rows: Rows) -> None:
        alike: dict[tuple[str, int], list[tuple[Any, ...]]] = defaultdict(list)
        for table, row in rows:
            alike[table, len(row)].append(row)
        for (table, width), records in alike.items():
            query = await self._replaying(connection, table, width)
            texts = [[copying.text_of(value) for value in values] for values in _turned(records)]
            await connection.execute(query, *texts)

    async def _replaying(self, connection: Any, table: str, width: int) -> str:
        """Everything goes as text: no codec that the user gave the connection is in the way."""
        query = self._queries.get((table, width))
        if query is None:
            columns = self._columns.get(table, ())
            if not 0 < width <= len(columns):
                raise LookupError(f"a row of {width} values is none of {table}")
            columns = columns[:width]  # of the release before: new ones come at the end
            name = f"{quote(self._database.schema)}.{quote(table)}"
            types = {row["column"]: row["type"] for row in await connection.fetch(TYPES, name)}
            names = ", ".join(map(quote, columns))
            arrays = ", ".join(f"${place}::text[]" for place in range(1, width + 1))
            values = ", ".join(f"r.{quote(each)}::{types[each]}" for each in columns)
            query = (
                f"INSERT INTO {name} ({names}) SELECT {values} "
                f"FROM unnest({arrays}) AS r ({names}) ON CONFLICT DO NOTHING"
            )
            self._queries[table, width] = query
        return query

    def is_out_of_reach(self, error: Exception) -> bool:
        if isinstance(error, asyncpg.PostgresError) and not is_connection_lost(error):
            state = error.sqlstate or ""
            return state[:2] in _NOT_NOW or state == _READ_ONLY
        return is_connection_lost(error)

    def _is_refusal(self, error: Exception) -> bool:
        """Whether the row is at fault, so that others may be written."""
        if self.is_out_of_reach(error):
            return False
        unknown = getattr(error, "sqlstate", None) in _UNKNOWN_NAMES
        return unknown or isinstance(error, LookupError) or is_about_a_record(error)

    def is_about_a_row(self, error: Exception) -> bool:
        return is_about_a_record(error) and not self.is_out_of_reach(error)


def _turned(records: Iterable[Sequence[Any]]) -> Iterable[Sequence[Any]]:
    return zip(*records, strict=True)
