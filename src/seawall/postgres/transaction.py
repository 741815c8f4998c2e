"""The transaction of a batch, as its block sees it: an asyncpg connection with ``load``."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import anyio
import asyncpg

from seawall.checkpoint.store import Rejects, StateOfSinks
from seawall.conflict import OnConflictOption
from seawall.postgres.loading.loader import Loader
from seawall.postgres.lost import is_closed
from seawall.postgres.outbox_store import OutboxWriter

T = TypeVar("T")


class Transaction:
    """An asyncpg connection inside a batch's transaction, with ``load``.

    Every method of ``asyncpg.Connection`` is there (``execute``, ``fetch``, ``transaction`` for a
    savepoint, …). Belongs to the task of its batch; of no use after the block.

    Attributes:
        fence: the step's fencing token: grows each time that a worker opens it.
    """

    def __init__(
        self,
        connection: Any,
        begin: str,
        loader: Loader,
        rejects: Rejects,
        fence: int,
        sinks: StateOfSinks,
        schema: str = "seawall",
    ) -> None:
        self._connection, self._begin = connection, begin
        self._loader, self._rejects = loader, rejects
        self._sinks = sinks
        self._outbox = OutboxWriter(connection, schema)
        self.fence = fence
        self._untouched = True

    def __getattr__(self, name: str) -> Any:
        # Whoever asks for a method is about to use it: from now on a failed load must not restart
        # the transaction, but go back to a savepoint.
        self._untouched = False
        return getattr(self._connection, name)

    async def load(
        self,
        table: str,
        records: Iterable[Mapping[str, Any]] | Iterable[Sequence[Any]],
        columns: Sequence[str] | None = None,
        *,
        on_conflict: OnConflictOption | None = None,
    ) -> int:
        """Copy ``records`` into ``table``; the bad ones are quarantined in this transaction.

        Args:
            table: as SQL names it; with its schema where it is not in the search path.
            records: tuples in the order of the columns, or mappings by column name.
            columns: the columns to load; without them all of the table's but the generated ones
                for tuples, and the first record's keys for mappings.
            on_conflict: what becomes of a record whose key the table, or an earlier record, has:
                None to quarantine it, ``"update"`` to update the row by the primary key,
                ``"nothing"`` to pass over it, an ``OnConflict`` for everything else. The outcome
                is that of loading the records one after the other: of several with one key the
                last good one stays.

        Returns:
            How many records were loaded: all but the quarantined ones. With ``on_conflict`` this
            counts each record that inserted, updated, or rightly changed nothing.

        Raises:
            MissingTableError: no such table or column.
            InvalidConfigError: ``on_conflict`` doesn't fit the table, such as no unique index on
                the columns that it names.
            TooManyBadRecordsError: the run's share of bad records passed its tolerance.
            asyncpg.PostgresError: what is not about a record: rights, disk, connection.
        """
        given: Sequence[Any] = records if isinstance(records, Sequence) else list(records)
        rejections = await self._loader.load(_Loading(self), table, given, columns, on_conflict)
        if rejections:
            await self._rejects(rejections, given)
        return len(given) - len(rejections)

    def saved_state(self, name: str) -> Any:
        """What a sink kept under ``name`` with the step's last commit; None at first."""
        return self._sinks.saved.get(name)

    def pending_state(self, name: str) -> Any:
        """What was saved under ``name`` in this transaction, and not undone; None where nothing."""
        return self._sinks.changes.get(name)

    def save_state(self, name: str, value: Any) -> None:
        """Keep ``value`` (any JSON shape, small) under ``name`` with this batch's commit."""
        self._sinks.changes[name] = value

    async def publish(
        self,
        topic: str,
        payload: Any,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> UUID:
        """Publish a message that is committed with the batch, for a relay to deliver; its id.

        Raises:
            CodecError: the payload holds what can't come back equal.
            InvalidConfigError: a name is none.
        """
        self._untouched = False  # it may be written at any time from now on
        return await self._outbox.publish(
            topic, payload, key=key, headers=headers, idempotency_key=idempotency_key
        )

    # -- for the loader and the unit of work ---------------------------------------------------

    @property
    def connection(self) -> Any:
        """The bare connection."""
        self._untouched = False  # as above
        return self._connection

    def transaction(self) -> "Savepoint":
        """A savepoint: ``async with tx.transaction()``, as asyncpg's nested transactions."""
        self._untouched = False
        return Savepoint(self._connection, self._outbox, self._sinks)

    async def begin(self) -> None:
        """Start the transaction, with its settings, in one round trip.

        By hand, since asyncpg's own would need another one; hence also ``transaction`` above.
        """
        await self._connection.execute(self._begin)
        self._untouched = True

    async def attempt(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work``; if it fails, what it did is undone and the transaction goes on."""
        if self._untouched:
            # Nothing to keep: a restart on failure saves the two round trips of a savepoint on
            # every success.
            try:
                result = await work()
            except Exception:
                if not is_closed(self._connection):
                    await self._connection.execute("ROLLBACK")
                    await self.begin()
                raise
            self._untouched = False
            return result
        async with Savepoint(self._connection, self._outbox, self._sinks):
            return await work()

    async def flush(self) -> None:
        """Write what waits: before the position is saved."""
        await self._outbox.flush()

    async def commit(self) -> None:
        """End the transaction for good.

        Raises:
            asyncpg.InFailedSQLTransactionError: it had failed already; the server rolled it back.
        """
        if await self._connection.execute("COMMIT") != "COMMIT":
            raise asyncpg.InFailedSQLTransactionError("the transaction had failed already")

    async def rollback(self) -> None:
        await self._connection.execute("ROLLBACK")


class _Loading:
    """The transaction as the loader sees it: what it does by itself leaves a restart possible."""

    __slots__ = ("attempt", "connection")

    def __init__(self, transaction: Transaction) -> None:
        self.attempt = transaction.attempt
        self.connection = transaction._connection  # noqa: SLF001 - its other half


class Savepoint:
    """A part of a transaction that can fail alone; an exception undoes it and goes on."""

    def __init__(
        self,
        connection: Any,
        outbox: OutboxWriter | None = None,
        sinks: StateOfSinks | None = None,
    ) -> None:
        self._connection, self._outbox, self._sinks = connection, outbox, sinks
        self._take_back: Callable[[], None] | None = None

    async def start(self) -> None:
        if self._sinks is not None:
            self._take_back = self._sinks.mark()
        if self._outbox is not None:
            await self._outbox.flush()
        # One name for all: the server takes the innermost.
        await self._connection.execute("SAVEPOINT seawall")

    async def commit(self) -> None:
        if self._outbox is not None:
            await self._outbox.flush()
        await self._connection.execute("RELEASE SAVEPOINT seawall")

    async def rollback(self) -> None:
        if self._outbox is not None:
            self._outbox.discard()
        if self._take_back is not None:
            self._take_back()
        await self._connection.execute("ROLLBACK TO SAVEPOINT seawall; RELEASE SAVEPOINT seawall")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            await self.commit()
        elif not is_closed(self._connection):
            # A caught timeout goes on in the transaction: it must not find half of the work.
            with anyio.CancelScope(shield=True):
                await self.rollback()
