"""The way to PostgreSQL: a DSN, a pool of the user's own, or the embedded server."""

import contextlib
import logging
import os
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

import anyio
import asyncpg

from seawall.config import RecoveryConfig
from seawall.errors import (
    DatabaseUnavailableError,
    InvalidConfigError,
    NotStartedError,
    SeawallError,
    UnsupportedServerError,
)
from seawall.postgres.lost import is_connection_lost, keep_alive, terminate, wake_writers
from seawall.postgres.migrate import OLDEST_VERSION, migrate

if TYPE_CHECKING:
    from seawall.postgres.embedded import EmbeddedServer

_logger = logging.getLogger("seawall.postgres")

EMBEDDED_SCHEME = "embedded"
_SMALLEST_POOL = 2  # one for the listener, one for everybody else


class Database:
    """A pool of connections to one PostgreSQL, made on first need and mended when it breaks.

    Args:
        target: a DSN, a pool of the user's own (left open at the end), ``embedded:///folder``, or
            None for ``SEAWALL_DSN``, else the embedded server in the user's data folder.
        schema: where seawall's own tables are.

    May be shared between the tasks of one event loop.
    """

    def __init__(
        self,
        target: "str | asyncpg.Pool[Any] | None",
        *,
        config: RecoveryConfig,
        schema: str = "seawall",
    ) -> None:
        self._config, self.schema = config, schema
        self._own_pool: asyncpg.Pool[Any] | None = None
        self._pool: asyncpg.Pool[Any] | None = None
        self._server: EmbeddedServer | None = None  # imported when used: few workers need it
        self._dsn: str | None = None
        self._target = target
        if isinstance(target, str):
            self._choose(target)
        elif target is None:
            pass  # chosen at the start: a manager that never needs a database asks for none
        elif isinstance(target, asyncpg.Pool):
            self._own_pool = target
        else:
            raise InvalidConfigError(
                f"dsn={target!r}: must be a DSN (postgresql://…), an asyncpg pool, or None"
            )

    def _choose_default(self) -> None:
        if dsn := os.environ.get("SEAWALL_DSN"):
            self._choose(dsn)
            return
        if self._config.require_dsn:
            raise InvalidConfigError(
                "require_dsn=True, but there is no DSN: pass one or set SEAWALL_DSN"
            )
        from seawall.postgres.embedded import EmbeddedServer, default_root

        warnings.warn(
            f"no DSN given: using the embedded PostgreSQL in {default_root()}; workers on other "
            "hosts would each get their own. Pass a DSN, or set SEAWALL_DSN, to share one",
            UserWarning,
            stacklevel=4,
        )
        self._server = EmbeddedServer()

    def _choose(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        if parts.scheme == EMBEDDED_SCHEME:
            from seawall.postgres.embedded import EmbeddedServer

            folder = unquote(parts.path)
            self._server = EmbeddedServer(Path(folder) if folder.strip("/") else None)
        elif parts.scheme in ("postgresql", "postgres"):
            self._dsn = dsn
        else:
            raise InvalidConfigError(
                f"dsn={_masked(dsn)!r}: must begin with postgresql:// or embedded:///"
            )

    @property
    def pool_size(self) -> int:
        """Connections that the pool may have."""
        return self._config.pool_size if self._own_pool is None else self._own_pool.get_max_size()

    @property
    def connections(self) -> tuple[int, int] | None:
        """Connections in use, and how many there may be; None before the start."""
        pool = self._pool
        if pool is None:
            return None
        return pool.get_size() - pool.get_idle_size(), pool.get_max_size()

    @property
    def folder(self) -> Path | None:
        """Where the embedded server's data are; None for another server."""
        return None if self._server is None else self._server.root

    @property
    def embedded(self) -> bool:
        """Whether the server is the embedded one."""
        return self._server is not None

    async def start(self, *, migrated: bool = True) -> None:
        """Connect, check the server's version and, with ``migrated``, apply the migrations.

        Raises:
            DatabaseUnavailableError: the server can't be reached.
            UnsupportedServerError: it is older than PostgreSQL 15.
            MigrationError: the schema can't be brought up to date.
        """
        if self._pool is not None:
            return
        if self._target is None and self._server is None and self._dsn is None:
            self._choose_default()
        try:
            self._pool = self._own_pool or await self._connect()
            async with self.acquire() as connection:
                version = connection.get_server_version()
                if version.major < OLDEST_VERSION:
                    raise UnsupportedServerError(
                        f"{self.describe()} is PostgreSQL {version.major}.{version.minor}; seawall "
                        f"needs {OLDEST_VERSION} or newer: upgrade it, or pass another DSN"
                    )
                if migrated:
                    await migrate(connection, self.schema)
        except BaseException:
            await self.aclose()
            raise

    async def _connect(self) -> "asyncpg.Pool[Any]":
        if self._server is not None:
            await self._server.start()
        try:
            return await asyncpg.create_pool(
                **self._options(),
                min_size=1,
                max_size=self._config.pool_size,
                timeout=self._config.connect_timeout,
                server_settings={"application_name": "seawall"},
                init=self._prepare,
            )
        except Exception as error:
            raise self._explain(error) from error

    async def _prepare(self, connection: Any) -> None:
        """A new connection of our own pool: a lost one must be noticed."""
        wake_writers(connection)
        keep_alive(connection, self._config.lease_seconds)

    def _options(self) -> dict[str, Any]:
        return {"dsn": self._dsn} if self._server is None else self._server.connect_kwargs()

    async def connect_alone(self, dsn: str | None = None) -> Any:
        """A connection outside the pool, to be terminated by the caller; nothing is waited for.

        Of a pool of the user's own it is a member, held for as long as it lives.

        Args:
            dsn: another way to the same database.
        """
        seconds = self._config.connect_timeout
        if dsn is None and self._own_pool is not None:
            if self._own_pool.get_max_size() < _SMALLEST_POOL:
                raise ConnectionError(
                    "the given pool has one connection, which a listener would take for good: give "
                    "it two, or pass listen_dsn"
                )
            return await self._own_pool.acquire(timeout=seconds)
        return await asyncpg.connect(
            **({"dsn": dsn} if dsn is not None else self._options()),
            timeout=seconds,
            server_settings={"application_name": "seawall listener"},
        )

    def _explain(self, error: Exception) -> SeawallError:
        where = self.describe()
        refused = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
        if isinstance(error, refused):
            return InvalidConfigError(f"{where} refuses the DSN: {error}")
        if isinstance(error, asyncpg.ClientConfigurationError | ValueError):
            return InvalidConfigError(f"the DSN {where} can't be used: {error}")
        what = str(error) or type(error).__name__
        if isinstance(error, TimeoutError):
            what = (
                f"no connection within {self._config.connect_timeout:g} s; the server is slow to "
                f"answer, or all {self._config.pool_size} connections (pool_size) are in use"
            )
        return DatabaseUnavailableError(
            f"can't connect to {where}: {what}. Check that the server runs and that host, port and "
            "network are right"
        )

    def describe(self) -> str:
        """The server's address for people, without its password."""
        if self._server is not None:
            return "the embedded PostgreSQL"
        return "the given pool" if self._dsn is None else _masked(self._dsn)

    async def connect(self) -> Any:
        """A connection of the pool, checked out until ``release``; a dead server is waited for.

        Raises:
            NotStartedError: the database isn't started.
            DatabaseUnavailableError: the server can't be reached.
        """
        connection = await self._acquired()
        if self._own_pool is not None:
            wake_writers(connection)  # those of our own pool were prepared when they were made
        return connection

    async def _acquired(self) -> Any:
        if self._pool is None:
            raise NotStartedError(
                "the database is not started: do this inside `async with manager:`"
            )
        try:
            return await self._pool.acquire(timeout=self._config.connect_timeout)
        except Exception as error:
            if not is_connection_lost(error):
                raise self._explain(error) from error
            if self._server is None or isinstance(error, asyncpg.TooManyConnectionsError):
                raise self._explain(error) from error
        # The embedded server has died: whoever needs it next starts it again.
        await self._server.start()
        try:
            return await self._pool.acquire(timeout=self._config.connect_timeout)
        except Exception as error:
            raise self._explain(error) from error

    async def release(self, connection: Any) -> None:
        """Give a connection of ``connect`` back; one that is broken is thrown away."""
        if self._pool is not None:
            with contextlib.suppress(Exception):  # the pool drops what it can't reset
                await self._pool.release(connection, timeout=5)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        """A connection for the block."""
        connection = await self.connect()
        try:
            yield connection
        finally:
            with anyio.CancelScope(shield=True):
                await self.release(connection)

    @asynccontextmanager
    async def spare(self) -> AsyncIterator[Any]:
        """A connection for the block, beside the pool where all of its own are at work.

        For what must not wait for a batch to end. A pool of the user's own is waited for all the
        same: it alone knows the way.
        """
        pool = self._pool
        if pool is None or pool is self._own_pool or not _is_exhausted(pool):
            async with self.acquire() as connection:
                yield connection
            return
        alone = await self.connect_alone()
        try:
            yield alone
        finally:
            terminate(alone)

    async def aclose(self) -> None:
        """Close what this object opened; a pool of the user's own stays open."""
        pool, self._pool = self._pool, None
        if pool is not None and self._own_pool is None:
            try:
                with anyio.fail_after(10):
                    await pool.close()
            except TimeoutError:
                pool.terminate()
        if self._server is not None:
            await self._server.aclose()


def _is_exhausted(pool: "asyncpg.Pool[Any]") -> bool:
    return not pool.get_idle_size() and pool.get_size() >= pool.get_max_size()


def _masked(dsn: str) -> str:
    try:
        parts = urlsplit(dsn)
        if parts.password is None:
            return dsn
        user, host = parts.netloc.rsplit("@", 1)
        return urlunsplit(parts._replace(netloc=f"{user.split(':', 1)[0]}:***@{host}"))
    except ValueError:
        return "(unreadable DSN)"
