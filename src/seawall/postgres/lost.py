"""Which errors mean that the connection, and not the work, has failed."""

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
