"""Which errors mean that the connection, and not the work, has failed."""

import contextlib
from dataclasses import dataclass
from typing import Any

import asyncpg

# asyncpg shows a lost connection as many types; InternalClientError is its "cannot switch to
# state" when the socket dies in the middle of a COPY.
_LOST: tuple[type[BaseException], ...] = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
)


def is_connection_lost(error: BaseException) -> bool:
    """Whether the server or the way to it is gone, so that a new connection may work."""
    # asyncpg's client-side DataError is an InterfaceError too, but is about a value.
    return isinstance(error, _LOST) and not isinstance(error, ValueError)


def is_closed(connection: Any) -> bool:
    """Whether the connection is of no more use."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        # A pool takes a broken connection back by itself; what is left can't even be asked.
        return True


def terminate(connection: Any) -> None:
    """End the connection without a word; the server rolls back what was open."""
    with contextlib.suppress(asyncpg.InterfaceError):
        connection.terminate()


@dataclass(frozen=True, slots=True)
class _WakesWriters:
    """Equal to another one of the same connection, so that it is called once."""

    protocol: Any

    def __call__(self, _connection: object) -> None:
        self.protocol.resume_writing()


def wake_writers(connection: Any) -> None:
    """Let a COPY that waits for room to send see that the connection is gone.

    asyncpg's waits for the transport to say that it may write again, and that of a lost connection
    never does: the worker would hang for good, and keep its lease. Woken, it comes to the error.
    """
    connection.add_termination_listener(_WakesWriters(connection._protocol))  # noqa: SLF001
