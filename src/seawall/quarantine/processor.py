"""What a quarantined record is run through: a function of the user's, or a table to load it into.

Either turns the records of a batch into attempts, one each.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import anyio
import anyio.from_thread
import anyio.lowlevel

from seawall.classification import Classifier
from seawall.classification.reading import text_of
from seawall.clock import is_being_cancelled
from seawall.conflict import OnConflictOption
from seawall.errors import (
    CodecError,
    DiscardRecordError,
    InvalidConfigError,
    QuarantineError,
    QuarantineKeyError,
    RecordRefusedError,
    TransactionEndedError,
)
from seawall.masking import Masker, default_masker
from seawall.operation import as_coroutine_function, is_async
from seawall.quarantine.payload import Owner, Stored
from seawall.quarantine.record import RecordStatus
from seawall.text import recordable


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """A table to load records into whose values are texts for the server's types to read.

    Attributes:
        table: as SQL names it.
        row_of: a record as a dict; raises ``RecordRefusedError`` where it is none.
        block_of: dicts of the same keys as what ``tx.load`` takes for a block.
        on_conflict: as ``tx.load`` has it.
    """

    table: str
    row_of: Callable[[Any], dict[str, Any]]
    block_of: Callable[[Sequence[dict[str, Any]]], Sequence[Any]]
    on_conflict: OnConflictOption | None = None


# async (tx, record), a plain function of the same that runs in a thread, or a table's name.
Processor = Callable[[Any, Any], object] | str | TextTable


@dataclass(frozen=True, slots=True)
class Discard:
    """Returned by a processor to give its record up; what it wrote for it stays.

    ``raise DiscardRecordError(why)`` does the same and undoes what it wrote.
    """

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenRecord:
    """A record that this reprocessor holds.

    Attributes:
        stored: how it is stored.
    """

    record_id: UUID
    run_id: str
    step: str
    stored: Stored

    @property
    def owner(self) -> Owner:
        """What its payload is bound to."""
        return (self.record_id, self.run_id, self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One record's outcome: ``reprocessed``, ``failed`` or ``discarded``, and why."""

    record_id: UUID
    outcome: str
    error_type: str | None = None
    exception_type: str | None = None
    message: str | None = None
    sqlstate: str | None = None


class Refusal(Protocol):
    """Why a table refuses a record."""

    @property
    def index(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def reasons(self) -> tuple[str, ...]: ...
    @property
    def sqlstate(self) -> str | None: ...
    @property
    def exception_type(self) -> str | None: ...


class ReprocessBatch(Protocol):
    """Records held in one transaction."""

    records: list[TakenRecord]
    transaction: Any

    async def record(self, taken: TakenRecord) -> Any:
        """Bring a record back: one at a time, since it may be large.

        Raises:
            CodecError: it can't be read.
            QuarantineKeyError: its key is not here: it waits, and its batch with it.
        """
        ...

    async def attempt(self, work: Callable[[], Awaitable[object]]) -> object:
        """Run one record's part of the transaction, which can fail alone.

        Raises:
            TransactionEndedError: the work has ended the transaction.
        """
        ...

    async def load(
        self,
        table: str,
        records: Sequence[Any],
        columns: Sequence[str] | None,
        on_conflict: OnConflictOption | None = None,
    ) -> Sequence[Refusal]:
        """Copy records into a table, but for those that it returns.

        Raises:
            MissingTableError: there is no such table, or column.
        """
        ...

    async def find(self, table: str) -> None:
        """Do nothing if there is such a table.

        Raises:
            MissingTableError: there is none.
        """
        ...

    def is_lost(self) -> bool:
        """Whether the connection, and the transaction with it, is gone."""
        ...


class Failures:
    """Turns what went wrong with a record into its attempt, secrets masked."""

    def __init__(self, classifier: Classifier, masker: Masker = default_masker) -> None:
        self._classifier, self._masker = classifier, masker

    def of(self, taken: TakenRecord, error: Exception) -> Attempt:
        data = isinstance(error, CodecError | RecordRefusedError)
        sqlstate = getattr(error, "sqlstate", None)
        return Attempt(
            record_id=taken.record_id,
            outcome=RecordStatus.FAILED,
            error_type="data" if data else self._classifier.classify(error).value,
            exception_type=type(error).__qualname__,
            message=recordable(text_of(error), self._masker),
            sqlstate=sqlstate if isinstance(sqlstate, str) else None,
        )

    def refused(self, taken: TakenRecord, refusal: Refusal) -> Attempt:
        told = refusal.reasons[0] if refusal.reasons else refusal.reason
        return Attempt(
            record_id=taken.record_id,
            outcome=RecordStatus.FAILED,
            error_type="data",
            exception_type=(refusal.exception_type or "RecordRefusedError").rpartition(".")[2],
            message=recordable(told, self._masker),
            sqlstate=refusal.sqlstate,
        )

    def given_up(self, taken: TakenRecord, why: str) -> Attempt:
        return Attempt(
            record_id=taken.record_id,
            outcome=RecordStatus.DISCARDED,
            message=recordable(why, self._masker),
        )


def done(taken: TakenRecord) -> Attempt:
    return Attempt(record_id=taken.record_id, outcome=RecordStatus.REPROCESSED)


class EachRecord:
    """Calls a function with each record, each in a part of the transaction that can fail alone.

    Args:
        function: ``async (tx, record)``, or plain: then in a worker thread, with a ``tx`` whose
            ``execute``, ``executemany``, ``fetch``, ``fetchrow``, ``fetchval`` and ``load`` wait.
        seconds: for one record; it fails then. A plain function's thread ends by itself.
    """

    def __init__(
        self, function: Callable[[Any, Any], object], failures: Failures, seconds: float
    ) -> None:
        self._blocking = not is_async(function)
        self._function = as_coroutine_function(function)
        self._failures, self._seconds = failures, seconds

    async def __call__(self, batch: ReprocessBatch) -> list[Attempt]:
        return [await self._attempt(batch, taken) for taken in batch.records]

    async def _attempt(self, batch: ReprocessBatch, taken: TakenRecord) -> Attempt:
        try:
            record = await batch.record(taken)
            result = await batch.attempt(lambda: self._call(batch.transaction, record))
        except QuarantineKeyError:
            raise  # nothing is wrong with the record
        except TransactionEndedError as error:
            error.add_note(f"it was run for record {taken.record_id} of step {taken.step!r}")
            raise
        except DiscardRecordError as error:
            return self._failures.given_up(taken, str(error))
        except Exception as error:
            if batch.is_lost():
                raise ConnectionResetError("the batch's connection died") from error
            return self._failures.of(taken, error)
        if isinstance(result, Discard):
            return self._failures.given_up(taken, result.why)
        return done(taken)

    async def _call(self, transaction: Any, record: Any) -> object:
        with anyio.move_on_after(self._seconds) as limit:
            if not self._blocking:
                try:
                    return await self._function(transaction, record)
                except asyncio.CancelledError as error:
                    if is_being_cancelled():
                        raise
                    # The function's own doing: it would stop all records, at each new try.
                    raise QuarantineError("the processor cancelled itself") from error
            handed = ThreadTransaction(transaction)
            try:
                return await self._function(handed, record)
            finally:
                await handed.end()
        if limit.cancelled_caught:
            raise TimeoutError(f"not done within attempt_timeout={self._seconds:g} s")
        return None


class ThreadTransaction:
    """The batch's transaction for a plain function: its methods run in the event loop, and wait."""

    def __init__(self, transaction: Any) -> None:
        self._transaction = transaction
        self._ended = False
        self._scope: anyio.CancelScope | None = None
        self._idle = anyio.Event()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in {"execute", "executemany", "fetch", "fetchrow", "fetchval", "load"}:
            raise AttributeError(f"{name!r} needs an async processor")
        return functools.partial(anyio.from_thread.run, self._run, name)

    async def _run(self, name: str, *args: Any) -> Any:
        with anyio.CancelScope() as scope:
            if self._ended:
                scope.cancel()
            self._scope, self._idle = scope, anyio.Event()
            try:
                await anyio.lowlevel.checkpoint_if_cancelled()
                return await getattr(self._transaction, name)(*args)
            finally:
                self._scope = None
                self._idle.set()
        raise QuarantineError("this transaction is over: its record has its outcome by now")

    async def end(self) -> None:
        """Refuse what the thread still tries; what it has begun is cancelled first."""
        self._ended = True
        if self._scope is not None:
            self._scope.cancel()
            with anyio.CancelScope(shield=True):
                await self._idle.wait()


Runner = Callable[[ReprocessBatch], Awaitable[list[Attempt]]]


def check_processor(processor: object) -> None:
    """Refuse what can't be a processor.

    Raises:
        InvalidConfigError: it is neither a function nor a table's name.
    """
    if isinstance(processor, TextTable):
        return
    if isinstance(processor, str):
        if processor:
            return
    elif callable(processor):
        try:
            as_coroutine_function(processor)
        except TypeError as error:
            raise InvalidConfigError(f"processor={processor!r:.80}: {error}") from None
        return
    raise InvalidConfigError(
        f"processor={processor!r:.80}: must be a function (tx, record) or a table's name"
    )


def is_table(processor: Processor) -> bool:
    return isinstance(processor, str | TextTable)


def shapes(records: Mapping[str, int]) -> str:
    """``'load' (3 records), 'clean' (1 record)``."""
    return ", ".join(
        f"{step!r} ({count:,} record{'' if count == 1 else 's'})" for step, count in records.items()
    )
