"""Which errors mean that the connection, and not the work, has failed."""

import contextlib
import socket
from dataclasses import dataclass
from typing import Any

import asyncpg

from seawall.errors import TransactionEndedError

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


def check_open(connection: Any, whose: str) -> None:
    """Refuse to save what belongs to a transaction that the user's own code has ended.

    Raises:
        TransactionEndedError: it has.
    """
    if not is_closed(connection) and not connection.is_in_transaction():
        raise TransactionEndedError(
            f"the transaction of {whose} was ended in its block (COMMIT or ROLLBACK): what the "
            "block wrote may stand, or be undone, without a record of it. Take that out; for a "
            "part that can be undone, use `async with tx.transaction()`"
        )


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


def keep_alive(connection: Any, seconds: float) -> None:
    """Let the kernel find out within about ``seconds`` that the other side is gone.

    Without it a statement on a connection whose host, or whose way, has vanished is waited for as
    long as the process lives: libpq asks for keepalives, asyncpg doesn't.
    """
    sock = connection._transport.get_extra_info("socket")  # noqa: SLF001
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    pause = max(1, round(seconds / 6))
    wanted = {  # by name: not every system has each
        "TCP_KEEPIDLE": max(1, round(seconds / 2)),  # a silence after which it is asked
        "TCP_KEEPINTVL": pause,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": max(1000, round(seconds * 1000)),  # for what was sent, in milliseconds
    }
    for name, value in wanted.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
