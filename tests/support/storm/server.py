"""The storm's server: killed and started again, its disk filled, its connections refused."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import uuid
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from seawall.errors import EmbeddedServerError
from seawall.postgres.embedded import EmbeddedServer, stop
from support.database import open_folder

_MEGABYTE = 1 << 20
DISK = 24  # megabytes
ROLE, PASSWORD = "storm_worker", "storm"

# Where no small disk can be mounted: the same error, from a trigger.
_NO_DISK = """
CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM faults WHERE name = 'disk full') THEN
        RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER disk_full BEFORE INSERT ON numbers EXECUTE FUNCTION disk_full();
"""

_TABLES = """
CREATE TABLE numbers (
    partition int NOT NULL,
    n int NOT NULL,
    word text NOT NULL CONSTRAINT word_check CHECK (word <> 'bad'){key}
){tablespace};
CREATE TABLE commits (partition int, fence bigint, first int, last int);
CREATE TABLE faults (name text);
"""


class StormServer:
    """An embedded server with a small disk for the sink's table (where we may mount one)."""

    def __init__(self):
        self.folder = open_folder()
        self.root = self.folder / "server"
        self._embedded = EmbeddedServer(self.root)
        self._disk = self.folder / "disk"
        self._starting = asyncio.Lock()
        self._duty = None
        self.real_disk = False

    async def start(self):
        await self._embedded.start()
        admin = await self._connect("postgres")
        await admin.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        await admin.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
        await admin.execute(f"CREATE DATABASE storm OWNER {ROLE}")
        await admin.close()
        await stop(self.root)
        await self._embedded.start()
        self.real_disk = self._mount()
        if self.real_disk:
            await self.execute(f"CREATE TABLESPACE small OWNER {ROLE} LOCATION '{self._disk}'")
        self._duty = asyncio.ensure_future(self._on_duty())

    async def _on_duty(self):
        """Start a server that has ended, as any service would be: recovery fails on a full disk."""
        while True:
            await asyncio.sleep(0.3)
            async with self._starting:
                try:
                    await (await self._connect()).close()
                except OSError:
                    with contextlib.suppress(EmbeddedServerError):
                        await self._embedded.start()
                except (asyncpg.PostgresError, asyncpg.InterfaceError):
                    pass  # it is there, and recovering

    def _mount(self):
        self._disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", str(self._disk)]
        try:
            mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False
        if mounted:
            owner = (self.root / "pgdata").stat()
            os.chown(self._disk, owner.st_uid, owner.st_gid)
        return mounted

    async def make_tables(self, *, keyed):
        """New, empty tables; ``keyed``: a row that is loaded twice waits for the first one's end."""
        await self.execute(
            "DROP TABLE IF EXISTS numbers, commits, faults; DROP FUNCTION IF EXISTS disk_full; "
            "DROP SCHEMA IF EXISTS seawall CASCADE"
        )
        worker = await asyncpg.connect(self.worker_dsn)
        try:
            await worker.execute(
                _TABLES.format(
                    key=", PRIMARY KEY (partition, n)" if keyed else "",
                    tablespace=" TABLESPACE small" if self.real_disk else "",
                )
            )
            if not self.real_disk:
                await worker.execute(_NO_DISK)
        finally:
            await worker.close()

    @property
    def dsn(self):
        return self._embedded.dsn("storm")

    @property
    def worker_dsn(self):
        """As a role that is no superuser: its connections can be limited."""
        parts = urlsplit(self.dsn)
        return urlunsplit(parts._replace(netloc=f"{ROLE}:{PASSWORD}@"))

    async def _connect(self, database="storm"):
        return await asyncpg.connect(self._embedded.dsn(database), timeout=10)

    async def fetch(self, query, *args):
        """Ask the server, as often as it takes."""
        while True:
            try:
                connection = await self._connect()
                try:
                    return await connection.fetch(query, *args)
                finally:
                    await connection.close()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if isinstance(error, asyncpg.SyntaxOrAccessError):
                    raise
                await asyncio.sleep(0.05)

    async def execute(self, statements):
        connection = await self._connect()
        try:
            await connection.execute(statements)
        finally:
            await connection.close()

    # -- what may happen to it -----------------------------------------------------------------

    async def kill(self):
        """SIGKILL; then whoever is on duty starts it again. False: it had ended already."""
        async with self._starting:
            try:
                pid = int((self.root / "pgdata" / "postmaster.pid").read_text().split()[0])
                assert b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes()
                os.kill(pid, signal.SIGKILL)
            except OSError:
                return False
            await asyncio.sleep(0.2)
            return True

    async def kill_backend(self, choose):
        """SIGKILL of one worker's backend: the server ends all of them, and recovers."""
        query = "SELECT pid FROM pg_stat_activity WHERE usename = $1 AND pid <> pg_backend_pid()"
        pids = [row["pid"] for row in await self.fetch(query, ROLE)]
        if not pids:
            return False
        pid = choose(pids)
        with contextlib.suppress(OSError):
            if b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        return True

    async def terminate_backends(self, share, choose):
        """End the workers' connections, each with this probability, in order."""
        query = "SELECT pid FROM pg_stat_activity WHERE usename = $1"
        pids = [row["pid"] for row in await self.fetch(query, ROLE)]
        chosen = [pid for pid in pids if choose() < share]
        await self.fetch("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", chosen)

    async def fill_disk(self, seconds):
        if not self.real_disk:
            await self.fetch("INSERT INTO faults VALUES ('disk full')")
            await asyncio.sleep(seconds)
            await self.fetch("DELETE FROM faults")
            return
        filler = self._disk / f"filler {uuid.uuid4()}"  # two may come at once
        try:
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                for _ in range(DISK + 1):
                    file.write(bytes(_MEGABYTE))
            await asyncio.sleep(seconds)
        finally:
            filler.unlink()

    async def refuse_connections(self, seconds):
        """SQLSTATE 53300 for whoever wants a new one."""
        await self.fetch(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0")
        try:
            await self.terminate_backends(1, lambda: 0)
            await asyncio.sleep(seconds)
        finally:
            await self.fetch(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")

    async def aclose(self):
        if self._duty is not None:
            self._duty.cancel()
            await asyncio.gather(self._duty, return_exceptions=True)
        await self._embedded.aclose(wait=True)
        if self.real_disk:
            subprocess.run(["umount", str(self._disk)], check=True)
        shutil.rmtree(self.folder)
