"""EmbeddedServer: start it if it doesn't run, attach if it does, start it again if it died."""

import os
import subprocess
import sys
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote as url_quote

import anyio
import anyio.to_thread
import asyncpg
import msgspec

from seawall.clock import MACHINE_CLOCK
from seawall.errors import EmbeddedServerError
from seawall.postgres.embedded import binaries as wheel
from seawall.postgres.embedded.cluster import Cluster, Instance, default_root, server_account
from seawall.postgres.embedded.locks import EXCLUSIVE, SHARED, lock, try_lock, wait_or_give_up

# Given on the command line: a stale postgresql.auto.conf can't undo them, nor open a port.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "io_method": "sync",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",  # /dev/shm is small in containers
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "server-%a.log",  # seven files, each begun anew: no growth without end
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
}

_KEEPER = Path(__file__).with_name("keeper.py")

_NOT_READY = (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError)

_clients: "weakref.WeakSet[EmbeddedServer]" = weakref.WeakSet()


_SURE_AFTER = 3  # looks at which another client was there


class EmbeddedServer:
    """One cluster under ``root``, shared by all processes of its owner.

    Args:
        root: the cluster's folder; the user's data folder without one.
        idle_stop: seconds after the last client at which the server is stopped.
        start_timeout: seconds to wait for a server that recovers from a crash.
        run_as: for root: the user whom the server runs as (``postgres``, else ``nobody``).
        bin_dir: other binaries than the installed wheel's.

    ``start`` may be called by many tasks and processes at once.
    """

    def __init__(
        self,
        root: Path | str | None = None,
        *,
        idle_stop: float = 1.0,
        start_timeout: float = 600.0,
        run_as: str | None = None,
        bin_dir: Path | None = None,
    ) -> None:
        self.root = Path(root).absolute() if root is not None else default_root()
        self._cluster = Cluster(self.root)
        self._idle_stop, self._start_timeout = idle_stop, start_timeout
        self._run_as, self._bin_dir = run_as, bin_dir
        self._client_lock: int | None = None
        self._instance: Instance | None = None
        self._last_error: BaseException | None = None
        _clients.add(self)

    async def start(self) -> Self:
        """Make the cluster if there is none, start the server if none runs, attach if one does.

        Call it again after a lost connection: it brings a server that died back.

        Raises:
            EmbeddedServerError: it can't be started; says why, and what to do.
        """
        if os.name == "nt":
            raise EmbeddedServerError(
                "the embedded PostgreSQL needs unix sockets: give the DSN of a server (SEAWALL_DSN)"
            )
        give_up_at = MACHINE_CLOCK.monotonic() + self._start_timeout
        await anyio.to_thread.run_sync(self._cluster.prepare)
        if self._client_lock is None:
            # Waits while a keeper is shutting the server down.
            self._enter(await self._lock("clients.lock", SHARED, give_up_at))
        boot = await self._lock("boot.lock", EXCLUSIVE, give_up_at)
        try:
            if not await self._attach():
                await self._boot(give_up_at)
        finally:
            os.close(boot)
        return self

    def _why(self) -> str:
        return f"the server in {self.root} is not ready ({self._last_error!r})"

    async def _lock(self, name: str, how: int, give_up_at: float) -> int:
        return await lock(self.root / name, how, give_up_at=give_up_at, pause=0.02, why=self._why)

    async def _attach(self) -> bool:
        """Whether a server answers: a real connection says so, not a pid file."""
        self._instance = self._cluster.instance()
        if self._instance is None:
            return False
        try:
            connection = await asyncpg.connect(**self.connect_kwargs(), timeout=10)
        except asyncpg.TooManyConnectionsError:
            return True
        except _NOT_READY as error:
            self._last_error = error
            return False
        await connection.close()
        return True

    async def _boot(self, give_up_at: float) -> None:
        while (server_lock := try_lock(self.root / "server.lock", EXCLUSIVE)) is None:
            # Starting, recovering, or processes of a killed server that are still ending.
            if await self._attach():
                return
            await wait_or_give_up(give_up_at, 0.05, self._why)
        try:
            await anyio.to_thread.run_sync(self._launch, server_lock)
        finally:
            os.close(server_lock)
        while not await self._attach():
            if not self._alive():
                raise EmbeddedServerError(
                    f"PostgreSQL did not start; see {self._cluster.data / 'log'} and "
                    f"{self.root / 'keeper.log'}: {self._keeper_log()[-400:]}"
                )
            await wait_or_give_up(give_up_at, 0.02, self._why)

    def _alive(self) -> bool:
        """Whether the keeper is starting the server, or a process of it lives."""
        fd = try_lock(self.root / "server.lock", EXCLUSIVE)
        if fd is None:
            return True
        os.close(fd)
        return False

    def _launch(self, server_lock: int) -> None:
        """Start the keeper, and by it the server; only under ``server.lock``."""
        cluster, account = self._cluster, server_account(self._run_as)
        binaries = self._bin_dir or wheel.find()
        if account is not None:
            cluster.open_to(account)
            if not account.reaches(binaries / "postgres"):
                binaries = wheel.copied(binaries, self.root)
        if cluster.data_version() is None:
            cluster.initialise(binaries, account, server_lock)
        version = cluster.check_version(binaries)
        instance = cluster.instance()
        if instance is None:
            raise EmbeddedServerError(f"{self.root / 'instance.json'} is gone: restore it")
        if not Path(instance.socket_dir).is_dir():  # /tmp was cleaned
            folder = str(cluster.socket_dir(account))
            instance = msgspec.structs.replace(instance, socket_dir=folder)
            cluster.write(instance)
        cluster.clear_leftovers(instance)
        conf = {
            "argv": _command(binaries, cluster.data, instance, version),
            "root": str(self.root),
            "lock": server_lock,
            "account": [account.uid, account.gid] if account else None,
            "idle": self._idle_stop,
        }
        with (self.root / "keeper.log").open("wb") as log:
            subprocess.run(  # noqa: S603 - our own module
                [sys.executable, "-I", str(_KEEPER), msgspec.json.encode(conf).decode()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(server_lock,),
                start_new_session=True,
                cwd="/",
                check=True,
            )

    def _keeper_log(self) -> str:
        return (self.root / "keeper.log").read_text(errors="replace")

    def connect_kwargs(self) -> dict[str, Any]:
        """Arguments for ``asyncpg.connect``."""
        if self._instance is None:
            raise EmbeddedServerError("the embedded server is not started")
        instance = self._instance
        return {
            "host": instance.socket_dir,
            "port": instance.port,
            "user": instance.user,
            "password": instance.password,
            "database": "postgres",
        }

    def dsn(self, database: str = "postgres") -> str:
        """A DSN for psql, asyncpg and others of the same user; it holds the password."""
        kwargs = self.connect_kwargs()
        return (
            f"postgresql://{kwargs['user']}:{url_quote(kwargs['password'])}@/{url_quote(database)}"
            f"?host={url_quote(kwargs['host'], safe='')}&port={kwargs['port']}"
        )

    async def aclose(self, *, wait: bool = False) -> None:
        """Stop being a client; the keeper ends the server soon after the last one.

        Args:
            wait: return only when the server has ended, if we were its last client.
        """
        self._leave()
        if wait:
            await self._wait_for_end()

    async def _wait_for_end(self) -> None:
        in_use = 0
        while True:
            if self._is_free("server.lock"):
                return
            # Seen again and again: for a moment it also looks so when the keeper has a look itself.
            in_use = 0 if self._is_free("clients.lock") or self._stopping() else in_use + 1
            if in_use >= _SURE_AFTER:
                return
            await MACHINE_CLOCK.sleep(0.05)

    def _is_free(self, name: str) -> bool:
        fd = try_lock(self.root / name, EXCLUSIVE)
        if fd is not None:
            os.close(fd)
        return fd is not None

    def _stopping(self) -> bool:
        # The keeper holds clients.lock exclusively while it stops the server: then not even a
        # shared lock can be had. With another client it can.
        fd = try_lock(self.root / "clients.lock", SHARED)
        if fd is None:
            return True
        os.close(fd)
        return False

    def _enter(self, fd: int) -> None:
        if self._client_lock is None:
            self._client_lock = fd
        else:  # another task of ours was faster
            os.close(fd)

    def _leave(self) -> None:
        fd, self._client_lock = self._client_lock, None
        if fd is not None:
            os.close(fd)

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _command(binaries: Path, data: Path, instance: Instance, version: int) -> list[str]:
    folder = instance.socket_dir.replace('"', '""')
    settings = {**_SETTINGS, "unix_socket_directories": f'"{folder}"'}
    if version < 18:
        del settings["io_method"]
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(binaries / "postgres"), "-D", str(data), *flags]


def _after_fork() -> None:
    # A forked child has the parent's lock open too: while it lived, the server would.
    for client in list(_clients):
        client._leave()  # noqa: SLF001 - this module's own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
