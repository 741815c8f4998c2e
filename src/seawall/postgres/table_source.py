"""Rows of a table or a query of any PostgreSQL as a source."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import anyio
import asyncpg

from seawall.classification import ErrorType, default_classifier
from seawall.config import Range
from seawall.errors import InvalidConfigError, MissingTableError, SourceError
from seawall.postgres.database import Database
from seawall.postgres.lost import is_closed, is_connection_lost, terminate
from seawall.postgres.paging import RESOLVE, Paging
from seawall.retry import RetryPolicy, call

_Connect = Callable[[], AbstractAsyncContextManager[Any]]
_ROWS, _SECONDS = Range(int, 1), Range(float, low_open=True)
# What comes back from a stored position as it was, and compares in Python as in the server.
_KEY_TYPES = (bool, int, float, str, bytes, Decimal, date, datetime, time, UUID)


def is_passing(error: BaseException) -> bool:
    """Whether asking again may help: a lost connection, a restart, a conflict on a standby."""
    if is_connection_lost(error):
        return True
    is_server_error = isinstance(error, asyncpg.PostgresError | TimeoutError)
    return is_server_error and default_classifier.classify(error) is ErrorType.TRANSIENT


_RETRY = RetryPolicy(
    max_retries=8, initial_delay=0.2, max_delay=10, retry_on=is_passing, name="TableSource"
)


class TableSource:
    """Rows of a table or query in the order of a unique key, as dicts: a ``RecordSource``.

    Each page is a query of its own, for the rows behind the last key, in a short read-only
    transaction: nothing is held open between pages, and a page that fails on a lost connection, a
    restart or a timeout is asked for again on a new connection, from the last key. What that means
    for a table that is written to meanwhile: each page sees what is committed when it is asked for,
    so rows inserted behind the last key are read, and those inserted before it are not, by this
    reading nor by a later one. A key that grows with the commits is safe; one from a sequence is
    given out before its commit, so that a slow transaction's row may come late: read only rows old
    enough (``query="SELECT … WHERE created_at < now() - interval '10 minutes'"``).

    With ``snapshot`` one server-side cursor reads all as it was at the start. It holds a
    transaction open that long, which keeps vacuum from its work, and a lost connection ends the
    reading; the next goes on behind the last position, in a snapshot of its own.

    A position is the key's value, or the list of them where the key has several columns. Pages are
    read from an index where the table has one on the key's columns in this order.

    Args:
        database: a DSN (one connection is opened for each reading), a pool, or a started
            ``Database``.
        table: as SQL names it; with its schema where it is not in the search path.
        query: in place of ``table``: one SELECT, which may have parameters ($1, …).
        args: the query's parameters.
        key: the columns that tell the rows apart, ascending. Their values may not be NULL: that is
            asked for at the start of a reading unless the table's own NOT NULL says so, which reads
            the table once where no index helps.
        page: rows asked for at a time, all of them in memory at once.
        page_timeout: seconds for a page; None: as long as the server lets it.
        snapshot: read all in one transaction.
        retry: how often a page is asked for again, and after what wait.

    Values are given as asyncpg has them, but UUIDs as Python's own; cast in a query what can't be
    quarantined (ranges, network addresses, …).

    Raises:
        InvalidConfigError: an option is out of range or contradicts another.

    May be read from many times, and by several tasks at once.
    """

    def __init__(
        self,
        database: "str | asyncpg.Pool[Any] | Database",
        table: str | None = None,
        *,
        query: str | None = None,
        args: Sequence[Any] = (),
        key: Sequence[str] = ("id",),
        page: int = 10_000,
        page_timeout: float | None = None,
        snapshot: bool = False,
        retry: RetryPolicy = _RETRY,
    ) -> None:
        if (table is None) == (query is None):
            raise InvalidConfigError(f"table={table!r}, query={query!r}: give one of them")
        if table is not None and args:
            raise InvalidConfigError(f"args={args!r}: are for query=, a table takes none")
        _ROWS.check("page", page)
        if page_timeout is not None:
            _SECONDS.check("page_timeout", page_timeout)
        self._opened = _opener(database)
        self._table, self._query, self._args = table, query, tuple(args)
        self._key = _checked_key(key)
        self._page, self._page_timeout, self._snapshot = page, page_timeout, snapshot
        self._retry = retry

    def __repr__(self) -> str:
        return f"TableSource({self._name}, key={self._key})"

    @property
    def _name(self) -> str:
        return self._table or f"query {' '.join((self._query or '').split())[:60]!r}"

    async def chunks(self, after: Any) -> AsyncIterator[Sequence[tuple[Any, Any]]]:
        """The rows behind the key ``after`` (None: all), a page at a time; see ``RecordSource``.

        Raises:
            InvalidConfigError: ``after`` is no such key; a column comes twice, or the key has a
                type that makes no position.
            MissingTableError: there is no such table.
            SourceError: the key has a NULL or is not unique; a snapshot's connection was lost.
            asyncpg.PostgresError, OSError: the server refuses the query (no such column, …), or
                can't be reached after all retries.
        """
        last = self._behind(after)
        async with self._opened() as connect:
            paging = await call(self._retry, self._planned, connect)
            if self._snapshot:
                async for chunk in self._in_one(connect, paging, last):
                    yield chunk
                return
            while True:
                rows = await call(self._retry, self._fetched, connect, paging, last)
                positioned = self._positioned(rows)
                if positioned:
                    yield positioned[: self._page]
                if len(rows) <= self._page:
                    return
                last = self._behind(positioned[self._page - 1][0])

    def fraction(self, position: Any) -> float | None:  # noqa: ARG002 - the protocol's
        """None: counting the rows would cost as much as reading them."""
        return None

    def _behind(self, after: Any) -> tuple[Any, ...]:
        """The key's values in ``after``; none at the start."""
        if after is None:
            return ()
        values = tuple(after) if isinstance(after, list | tuple) else (after,)
        if len(values) != len(self._key):
            raise InvalidConfigError(
                f"position {after!r} of {self._name}: must be a value each for {list(self._key)}"
            )
        return values

    async def _planned(self, connect: _Connect) -> Paging:
        # In a transaction: asyncpg's prepare alone would leave the server within one.
        async with connect() as connection, connection.transaction(readonly=True):
            nullable: Sequence[str] = self._key
            if self._query is not None:
                paging = Paging.of_query(self._query, self._key, len(self._args))
            else:
                row = await connection.fetchrow(RESOLVE, self._table, list(self._key))
                if row is None:
                    raise MissingTableError(
                        f"no table {self._table!r}: name it as SQL does, with its schema where it "
                        "is not in the search path"
                    )
                paging, nullable = Paging(row["name"], self._key), row["nullable"]
            statement = await connection.prepare(paging.rows(behind=False, limit=0))
            self._check_columns([each.name for each in statement.get_attributes()])
            if nullable and await connection.fetchval(paging.has_nulls(), *self._args):
                raise self._null_key()
            return paging

    def _check_columns(self, names: Sequence[str]) -> None:
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InvalidConfigError(
                f"{self._name} gives {twice} twice: name the columns apart with AS"
            )

    async def _fetched(
        self, connect: _Connect, paging: Paging, last: tuple[Any, ...]
    ) -> list[dict[str, Any]]:
        """A page and, where there is more, one row of the next: it may have the same key."""
        text = paging.rows(behind=bool(last), limit=self._page + 1)
        # The transaction keeps preparing and fetching together behind a transaction pooler.
        async with connect() as connection, connection.transaction(readonly=True):
            statement = await connection.prepare(text, timeout=self._page_timeout)
            rows = await statement.fetch(*self._args, *last, timeout=self._page_timeout)
            return _dicts(rows, statement)

    async def _in_one(
        self, connect: _Connect, paging: Paging, last: tuple[Any, ...]
    ) -> AsyncIterator[Sequence[tuple[Any, Any]]]:
        text = paging.rows(behind=bool(last), limit=None)
        before: list[tuple[Any, Any]] = []
        try:
            async with (
                connect() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                # Between two pages the batches are loaded, however long that takes.
                await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                statement = await connection.prepare(text, timeout=self._page_timeout)
                cursor = await statement.cursor(*self._args, *last, timeout=self._page_timeout)
                while rows := await cursor.fetch(self._page, timeout=self._page_timeout):
                    chunk = self._positioned(_dicts(rows, statement), before)
                    yield chunk
                    before = chunk[-1:]
        except Exception as error:
            if not is_connection_lost(error):
                raise
            raise SourceError(
                f"{self._name}: the connection was lost, and the snapshot with it. Start the step "
                "again: it goes on behind its position, in a snapshot of its own"
            ) from error

    def _positioned(
        self, rows: list[dict[str, Any]], before: Sequence[tuple[Any, Any]] = ()
    ) -> list[tuple[Any, Any]]:
        """The rows with their positions, which must differ from one to the next."""
        key = self._key
        last = before[0][0] if before else None
        positioned = []
        for row in rows:
            position = row[key[0]] if len(key) == 1 else [row[name] for name in key]
            if position is None or (len(key) > 1 and None in position):
                raise self._null_key()
            if position == last:
                raise SourceError(
                    f"{self._name}: two rows have the key {list(key)} = {position!r}. It must tell "
                    "rows apart: add a column to it"
                )
            last = position
            positioned.append((position, row))
        if positioned:
            self._check_types(last)
        return positioned

    def _check_types(self, position: Any) -> None:
        for name, value in zip(self._key, self._behind(position), strict=True):
            if type(value) not in _KEY_TYPES:
                raise InvalidConfigError(
                    f"key column {name!r} of {self._name} is a {type(value).__name__}, which is no "
                    "position: cast it in a query, to text or a number"
                )

    def _null_key(self) -> SourceError:
        return SourceError(
            f"{self._name}: rows with a NULL in the key {list(self._key)} have no place in its "
            "order, and would be left out. Read a query without them (WHERE … IS NOT NULL), or "
            "with coalesce()"
        )


def _checked_key(key: Sequence[str]) -> tuple[str, ...]:
    if isinstance(key, str) or not key or not all(isinstance(name, str) for name in key):
        raise InvalidConfigError(f"key={key!r}: must be a list of columns, as ('id',)")
    for name in key:
        if name.lower().endswith((" desc", " asc")):
            raise InvalidConfigError(
                f"key={key!r}: must be columns, read in ascending order; positions have to grow"
            )
    if len(set(key)) < len(key):
        raise InvalidConfigError(f"key={key!r}: a column comes twice")
    return tuple(key)


def _dicts(rows: Sequence[Any], statement: Any) -> list[dict[str, Any]]:
    """Rows as dicts of values that can be stored: asyncpg's own UUID type can't."""
    dicts = [dict(row) for row in rows]
    for attribute in statement.get_attributes():
        if attribute.type.name == "uuid":
            name = attribute.name
            for row in dicts:
                if isinstance(row[name], UUID):  # a codec of the user's own may give another
                    row[name] = UUID(int=row[name].int)
    return dicts


class _OwnConnection:
    """One connection, opened when it is needed, and anew when it was lost."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Any = None

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        if self._connection is None or is_closed(self._connection):
            self._connection = await asyncpg.connect(
                self._dsn, timeout=10, server_settings={"application_name": "seawall source"}
            )
        try:
            yield self._connection
        except Exception as error:
            if is_connection_lost(error):
                self._drop()
            raise

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            terminate(connection)

    async def aclose(self) -> None:
        # All that was asked for is read: how the server takes the farewell is nobody's matter.
        with anyio.move_on_after(5, shield=True), contextlib.suppress(Exception):
            if self._connection is not None and not is_closed(self._connection):
                await self._connection.close()
                self._connection = None
        self._drop()


def _opener(database: object) -> Callable[[], AbstractAsyncContextManager[_Connect]]:
    """What gives a reading its way to connections, and closes what it opened itself."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[_Connect]:
        if isinstance(database, Database | asyncpg.Pool):
            yield database.acquire
            return
        own = _OwnConnection(str(database))
        try:
            yield own.acquire
        finally:
            await own.aclose()

    is_dsn = isinstance(database, str) and database.startswith(("postgresql://", "postgres://"))
    if not is_dsn and not isinstance(database, Database | asyncpg.Pool):
        shown = "(another text)" if isinstance(database, str) else repr(database)
        raise InvalidConfigError(
            f"database={shown}: must be a DSN (postgresql://…), an asyncpg pool or a Database"
        )
    return opened
