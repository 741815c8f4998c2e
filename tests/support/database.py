"""PostgreSQL for the tests: one server a session, one database a test."""

import asyncio
import os
import shutil
import tempfile
import uuid
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from seawall.postgres.embedded import EmbeddedServer
from seawall.postgres.migrate import migrate

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
_ROOM = 4 * 1024**3


def open_folder():
    """A new folder for a server, that its user can reach: pytest's own are closed to all but root."""
    path = Path(tempfile.mkdtemp(prefix="seawall-test-", dir=_quick_place()))
    path.chmod(0o711)
    return path


def _quick_place():
    """Where making a database, hundreds of files, takes a fifth of the time; None: no such place."""
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
        return _MEMORY
    return None


def with_database(dsn, name):
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def execute(dsn, *statements):
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


class TestServer:
    """The embedded server, or the one that ``SEAWALL_TEST_DSN`` names."""

    __test__ = False

    def __init__(self):
        self._folder = None
        self._embedded = None
        self.dsn = os.environ.get("SEAWALL_TEST_DSN")
        if self.dsn is None:
            self._folder = open_folder()
            self._embedded = EmbeddedServer(self._folder / "server")
            asyncio.run(self._embedded.start())
            self.dsn = self._embedded.dsn()
        self.template = f"seawall_template_{uuid.uuid4().hex[:8]}"
        asyncio.run(self._make_template())

    async def _make_template(self):
        await execute(self.dsn, f"CREATE DATABASE {self.template}")
        connection = await asyncpg.connect(with_database(self.dsn, self.template))
        try:
            await migrate(connection)
        finally:
            await connection.close()

    def create(self, *, empty=False):
        """A new database's DSN: migrated, or empty."""
        name = f"seawall_{uuid.uuid4().hex[:12]}"
        template = "template0" if empty else self.template
        asyncio.run(
            execute(self.dsn, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log")
        )
        return with_database(self.dsn, name)

    def drop(self, dsn):
        name = urlsplit(dsn).path.lstrip("/")
        asyncio.run(execute(self.dsn, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))

    def close(self):
        asyncio.run(execute(self.dsn, f"DROP DATABASE IF EXISTS {self.template} WITH (FORCE)"))
        if self._embedded is not None:
            asyncio.run(self._embedded.aclose(wait=True))
            shutil.rmtree(self._folder)
