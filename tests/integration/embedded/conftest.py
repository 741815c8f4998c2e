"""A folder for one cluster, and the processes that are at work in it."""

import os
import shutil
import signal
import time
from pathlib import Path

import asyncpg
import pytest

from seawall.postgres.embedded import EmbeddedServer
from support.database import open_folder


class Cluster:
    """One cluster's folder, with what a test does to it from outside."""

    def __init__(self, root):
        self.root = root
        self.servers = []

    def server(self, **options):
        server = EmbeddedServer(self.root, **options)
        self.servers.append(server)
        return server

    def _processes(self, wanted):
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if wanted(words):
                    found.append(int(entry.name))
        return found

    def keeper(self):
        (pid,) = self._processes(
            lambda words: b"keeper.py" in words and os.fsencode(self.root / "pgdata") in words
        )
        return pid

    def postmaster(self):
        return int((self.root / "pgdata" / "postmaster.pid").read_text().split()[0])

    def is_running(self):
        from seawall.postgres.embedded.control import _running

        return _running(self.root)

    def wait_until_stopped(self, seconds=15):
        until = time.monotonic() + seconds
        while self.is_running():
            assert time.monotonic() < until, "the server runs on"
            time.sleep(0.05)

    def kill_all(self):
        for pid in self._processes(lambda words: os.fsencode(self.root / "pgdata") in words):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


async def query(server, sql="SELECT 1"):
    connection = await asyncpg.connect(**server.connect_kwargs())
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@pytest.fixture
async def make_cluster():
    folder = open_folder()
    made = []

    def make(*parts):
        made.append(Cluster(folder.joinpath(*(parts or ("server",)))))
        return made[-1]

    yield make
    for cluster in made:
        for server in cluster.servers:
            await server.aclose()
        if cluster.root.is_dir():
            cluster.kill_all()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(make_cluster):
    return make_cluster()
