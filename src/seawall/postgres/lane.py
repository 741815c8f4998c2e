"""The connections that a step's batches run on, and the transaction of one batch."""

import weakref
from collections.abc import Sequence
from typing import Any, Protocol

from seawall.checkpoint.model import Progress, Rejection, StepState
from seawall.checkpoint.store import CommitUnknownError, Outcome, Rejects, StateOfSinks
from seawall.errors import StaleRunError
from seawall.postgres.database import Database
from seawall.postgres.loading.loader import Loader
from seawall.postgres.lost import check_open, is_closed, is_connection_lost, terminate
from seawall.postgres.transaction import Transaction


class LaneOwner(Protocol):
    """What a lane needs of its session."""

    database: Database
    state: StepState
    begin: str

    async def quarantine(
        self,
        connection: Any,
        batch_id: str,
        rejections: Sequence[Rejection],
        payloads: Sequence[Any],
        positions: Sequence[Any],
    ) -> None: ...
    async def save(self, connection: Any, progress: Progress) -> None: ...
    def saved(self) -> None: ...
    async def lost(self, connection: Any = None) -> StaleRunError | None: ...


class PostgresLane:
    """One connection of a step, replaced when it breaks, and what its loads have met."""

    def __init__(self, session: LaneOwner, connection: Any) -> None:
        self._session, self._connection = session, connection
        self._loader = Loader()
        # Weakly: it knows its batch, whose records are to be freed as soon as it is done.
        self._unit: weakref.ref[PostgresUnitOfWork] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no batch is at work."""
        unit = None if self._unit is None else self._unit()
        return unit is None or unit.outcome != "open"

    async def begin(
        self, batch_id: str, rejects: Rejects, sinks: StateOfSinks
    ) -> "PostgresUnitOfWork":
        session, connection = self._session, await self.usable()
        transaction = Transaction(
            connection,
            session.begin,
            self._loader,
            rejects,
            session.state.fence,
            sinks,
            session.database.schema,
        )
        try:
            await transaction.begin()
        except BaseException:
            # Begun or not: a next one on this connection would be a mere savepoint of it.
            terminate(connection)
            raise
        unit = PostgresUnitOfWork(session, transaction, batch_id)
        self._unit = weakref.ref(unit)
        return unit

    async def usable(self) -> Any:
        """The lane's connection; a new one in the place of one that broke."""
        connection, database = self._connection, self._session.database
        if connection is not None and (is_closed(connection) or connection.is_in_transaction()):
            self._connection = None
            terminate(connection)
            await database.release(connection)
        if self._connection is None:
            self._connection = await database.connect()
        return self._connection

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._session.database.release(connection)


class PostgresUnitOfWork:
    """One batch's transaction on a lane's connection."""

    def __init__(self, session: LaneOwner, transaction: Transaction, batch_id: str) -> None:
        self._session, self._batch_id = session, batch_id
        self.transaction = transaction
        self.outcome: Outcome = "open"
        self.lost: StaleRunError | None = None

    async def quarantine(
        self, rejections: Sequence[Rejection], payloads: Sequence[Any], positions: Sequence[Any]
    ) -> None:
        await self._session.quarantine(
            self.transaction.connection, self._batch_id, rejections, payloads, positions
        )

    async def commit(self, progress: Progress) -> None:
        try:
            check_open(self.transaction.connection, f"batch {self._batch_id}")
            await self.transaction.flush()
            await self._session.save(self.transaction.connection, progress)
        except BaseException:
            await self.rollback()
            raise
        try:
            await self.transaction.commit()
        except Exception as error:
            if is_connection_lost(error):
                self._unknown()
                raise CommitUnknownError(str(error)) from error
            await self.rollback()
            raise
        except BaseException:  # cut off by its time limit: nobody else cancels it
            self._unknown()
            raise CommitUnknownError from TimeoutError("COMMIT was not answered in time")
        self.outcome = "committed"
        self._session.saved()

    def _unknown(self) -> None:
        self.outcome = "unknown"
        terminate(self.transaction.connection)

    async def rollback(self) -> None:
        self.outcome = "rolled back"
        connection = self.transaction.connection
        if is_closed(connection):
            # Perhaps by whoever has taken the step over.
            self.lost = await self._session.lost()
            return
        try:
            await self.transaction.rollback()
            self.lost = await self._session.lost(connection)
        except BaseException as error:
            # Whatever state it is in, ending the connection rolls back.
            terminate(connection)
            if not isinstance(error, Exception):  # cut off by its time limit
                raise
