"""The transaction that a processor is given: an asyncpg connection with ``load``, and no end."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import asyncpg

from seawall.checkpoint.model import Rejection
from seawall.conflict import OnConflictOption
from seawall.errors import QuarantineError, RecordRefusedError, TransactionEndedError
from seawall.postgres.loading.loader import Loader
from seawall.postgres.lost import is_closed, terminate
from seawall.postgres.transaction import Savepoint

T = TypeVar("T")

# What can be seen of a query that ends the transaction: its first or last statement. A script that
# hides it better is found out by the savepoint that is gone.
_ENDS = re.compile(
    r"""(?isx) \A (?: \s | --[^\n]*\n | /\*.*?\*/ | ; )*
        (?: commit | end | abort | prepare \s+ transaction
            | rollback (?! \s+ (?: (?: work | transaction ) \s+ )? to\b ) ) \b
      | ; \s* (?: commit | abort | rollback ) (?: \s+ (?: work | transaction ) )? [\s;]* \Z
    """
)
_ENDED = (asyncpg.InvalidSavepointSpecificationError, asyncpg.NoActiveSQLTransactionError)


class ReprocessTransaction:
    """An asyncpg connection inside the transaction of a batch of records, with ``load``.

    Every method of ``asyncpg.Connection`` is there; ``transaction()`` is a savepoint. It can't be
    committed or rolled back: the records' outcomes belong to it. Of no use after its batch.
    """

    def __init__(self, connection: Any, loader: Loader) -> None:
        self._connection, self._loader = connection, loader
        self._ended = False
        self._marked = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    @property
    def connection(self) -> Any:
        """The bare connection.

        Raises:
            QuarantineError: the batch is over: a thread, or a task left behind, is late.
        """
        if self._ended:
            raise QuarantineError("this transaction is over: its record has its outcome by now")
        return self._connection

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        return str(await self.connection.execute(_harmless(query), *args, **options))

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        return await self.connection.fetch(_harmless(query), *args, **options)

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        return await self.connection.fetchrow(_harmless(query), *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        return await self.connection.fetchval(_harmless(query), *args, **options)

    async def load(
        self,
        table: str,
        records: Iterable[Mapping[str, Any]] | Iterable[Sequence[Any]],
        columns: Sequence[str] | None = None,
    ) -> int:
        """Copy ``records`` into ``table``; how many.

        Raises:
            RecordRefusedError: the table refuses one of them, and the record being run fails.
            MissingTableError: no such table or column.
        """
        given: Sequence[Any] = records if isinstance(records, Sequence) else list(records)
        refused = await self.try_load(table, given, columns)
        if refused:
            first = refused[0]
            raise RecordRefusedError("; ".join(first.reasons) or first.reason, first.sqlstate)
        return len(given)

    def transaction(self) -> Savepoint:
        """A savepoint: ``async with tx.transaction()``, as asyncpg's nested transactions."""
        return Savepoint(self.connection)

    # -- for the loader and the batch ----------------------------------------------------------

    async def try_load(
        self,
        table: str,
        records: Sequence[Any],
        columns: Sequence[str] | None,
        on_conflict: OnConflictOption | None = None,
    ) -> list[Rejection]:
        """Copy what can be; the rest is returned."""
        return await self._loader.load(self, table, records, columns, on_conflict)

    async def attempt(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work``; if it fails, what it did is undone and the transaction goes on."""
        async with Savepoint(self.connection):
            return await work()

    async def attempt_record(self, work: Callable[[], Awaitable[T]]) -> T:
        """The same for the next of many, which costs one round trip and not two.

        Raises:
            TransactionEndedError: the work has ended the transaction.
        """
        if not self._marked:
            await self._connection.execute("SAVEPOINT seawall_record")
            self._marked = True
        try:
            result = await work()
            await self._connection.execute(
                "RELEASE SAVEPOINT seawall_record; SAVEPOINT seawall_record"
            )
        except _ENDED as error:
            await self._undo_record(error)
            raise
        except Exception as error:
            if not is_closed(self._connection):
                await self._undo_record(error)
            raise
        return result

    async def _undo_record(self, error: Exception) -> None:
        try:
            await self._connection.execute("ROLLBACK TO SAVEPOINT seawall_record")
        except _ENDED:
            raise TransactionEndedError(
                "the processor has ended the transaction (COMMIT or ROLLBACK) that its record's "
                "outcome belongs to: what it wrote for this batch may stand without an outcome. "
                "Take that out of the processor; for a part that can be undone, use "
                "`async with tx.transaction()`"
            ) from error
        except Exception:
            # What the record wrote can't be told from what others did: none of it may stand.
            terminate(self._connection)
            raise

    def end(self) -> None:
        """The batch is over: whoever still holds this can do nothing with it."""
        self._ended = True


def _harmless(query: str) -> str:
    if _ENDS.search(query):
        raise QuarantineError(
            f"{query.strip():.40}: a processor can't end the transaction, to which its record's "
            "outcome belongs; use `async with tx.transaction()` for a part that can be undone"
        )
    return query
