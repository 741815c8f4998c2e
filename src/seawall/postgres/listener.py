"""One connection of its own that hears notifications, is checked, and made anew when lost."""

import logging
from collections.abc import Callable
from typing import Any

import anyio
import asyncpg

from seawall.clock import MACHINE_CLOCK, Clock
from seawall.postgres.database import Database
from seawall.postgres.lost import is_closed, terminate

_logger = logging.getLogger("seawall.postgres")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_MORE_TRIES = 4
_READ_COMMITTED = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED"


class Listener:
    """A dedicated connection: LISTEN, and short queries that must not wait for the pool.

    A query that takes longer than ``patience`` means a lost connection: it is cut, made anew, and
    the caller gets ``ConnectionError``. Belongs to one event loop.

    Args:
        database: whose server it connects to.
        channels: what it listens to.
        dsn: another way to the same database, where the usual one leads through a transaction
            pooler, which passes no notifications on.
        patience: seconds that a query may take.
        keepalive: seconds of silence after which the connection is checked.
    """

    def __init__(
        self,
        database: Database,
        *channels: str,
        dsn: str | None = None,
        patience: float = 2.0,
        keepalive: float = 5.0,
        clock: Clock = MACHINE_CLOCK,
    ) -> None:
        self._database, self._channels, self._dsn = database, channels, dsn
        self._patience, self._keepalive, self._clock = patience, keepalive, clock
        self._connection: Any = None
        self._lock = anyio.Lock()
        self._ended = anyio.Event()

    async def run(
        self,
        hear: Callable[[str, str], None],
        connected: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        """Stay connected until cancelled.

        Args:
            hear: given each notification's channel and payload.
            connected: called whenever the connection stands and listens.
            lost: called whenever it is gone.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._open(hear)
            except Exception as error:
                _logger.warning("can't listen to %s: %s", self._database.describe(), error)
                lost()
                await self._clock.sleep(pause)
                pause = min(_LONGEST_PAUSE, 2 * pause)
                continue
            pause = _FIRST_PAUSE
            connected()
            try:
                await self._check_until_it_ends()
            finally:
                connection, self._connection = self._connection, None
                terminate(connection)
                lost()
            _logger.warning("the connection to %s was lost", self._database.describe())

    async def fetchval(self, query: str, *args: Any) -> Any:
        """A query's one value.

        Raises:
            ConnectionError: there is no connection, or it was lost before the answer.
        """
        rows = await self.fetch(query, *args)
        return rows[0][0]

    async def fetch(self, query: str, *args: Any) -> Any:
        """A query's rows; one that lost a race for locks is run again."""
        async with self._lock:
            connection = self._connection
            if connection is None:
                raise ConnectionError("not connected")
            try:
                with anyio.fail_after(self._patience):
                    return await self._tried(connection, query, args)
            except TimeoutError as error:
                self._end(connection)
                raise ConnectionError(f"no answer within {self._patience:g} s") from error
            except Exception as error:
                if not is_closed(connection):
                    raise
                self._end(connection)
                raise ConnectionError(f"the connection was lost: {error}") from error
            except BaseException:
                # Cancelled in mid-query: what the connection would say next is nobody's.
                self._end(connection)
                raise

    async def _tried(self, connection: Any, query: str, args: tuple[Any, ...]) -> Any:
        for _ in range(_MORE_TRIES):
            try:
                return await connection.fetch(query, *args)
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
                continue
        return await connection.fetch(query, *args)

    async def _open(self, hear: Callable[[str, str], None]) -> None:
        connection = await self._database.connect_alone(self._dsn)
        try:
            ended = self._ended = anyio.Event()
            connection.add_termination_listener(lambda _: ended.set())
            with anyio.fail_after(self._patience):
                # What is run here locks its row and reads it then, whatever the database's default.
                await connection.execute(_READ_COMMITTED)
                for channel in self._channels:
                    await connection.add_listener(channel, lambda *args: hear(args[2], args[3]))
        except BaseException:
            terminate(connection)
            raise
        self._connection = connection

    async def _check_until_it_ends(self) -> None:
        while not self._ended.is_set():
            with anyio.move_on_after(self._keepalive):
                await self._ended.wait()
                return
            try:
                await self.fetch("SELECT 1")
            except ConnectionError:
                return
            except Exception as error:  # the server is going down, or the session was ended
                _logger.debug("the check of the listening connection failed: %r", error)
                return

    def _end(self, connection: Any) -> None:
        terminate(connection)
        self._ended.set()
