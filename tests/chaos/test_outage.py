"""PostgreSQL killed under 1,000 writing tasks, and the process in the outage: nothing is lost."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import asyncpg
import pytest

from seawall import ErrorRecoveryManager, JournalFullError, RecoveryConfig
from seawall.events import JournalOpened, JournalReplayed
from seawall.journal import JournalFolder
from seawall.outage import folder_of
from seawall.postgres.database import Database
from seawall.postgres.embedded import EmbeddedServer
from seawall.postgres.identity import identity_of
from support.database import open_folder
from support.proxy import Proxy, target_of, through

WORKER = Path(__file__).parents[1] / "support" / "journal_worker.py"


class Worker:
    """A process that logs, and the ids that it was told are on disk."""

    def __init__(self, dsn, folder, tasks):
        self.process = subprocess.Popen(
            [sys.executable, WORKER, dsn, folder, str(tasks)], stdout=subprocess.PIPE, text=True
        )
        self.said = []

    async def until(self, condition):
        """Read what it says until that holds."""
        while not condition(self.said):
            line = await asyncio.to_thread(self.process.stdout.readline)
            assert line, "the worker has ended"
            self.said.append(line.strip())

    def kill(self):
        self.process.kill()
        self.said += [line.strip() for line in self.process.stdout]
        self.ended()

    def ended(self):
        self.process.wait(20)
        self.process.stdout.close()

    @property
    def acknowledged(self):
        return [line for line in self.said if len(line) == 36]


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_outage_loses_and_doubles_no_acknowledged_row(tmp_path):
    folder = open_folder()
    root = folder / "server"
    server = EmbeddedServer(root)
    journal = str(tmp_path / "journal")
    worker = None
    try:
        await server.start()
        dsn = server.dsn()
        worker = Worker(dsn, journal, 1000)
        await worker.until(lambda said: len(said) > 500)
        for again in (True, False):
            pid = int((root / "pgdata" / "postmaster.pid").read_text().split()[0])
            os.kill(pid, signal.SIGKILL)
            before = len(worker.said)
            # All thousand go on, on the journal.
            await worker.until(lambda said, n=before: len(said) > n + 2500)
            if again:
                await server.start()
                after = len(worker.said)
                await worker.until(lambda said, n=after: len(said) > n + 1500)
        worker.kill()
        (place,) = Path(journal).iterdir()
        assert JournalFolder(place).listing()
        await server.start()
        next_one = Worker(dsn, journal, 0)
        await next_one.until(lambda said: "drained" in said)
        next_one.ended()
        connection = await asyncpg.connect(dsn)
        rows = await connection.fetch("SELECT error_id::text AS id FROM seawall.error_details")
        await connection.close()
        found = Counter(row["id"] for row in rows)
        assert set(worker.acknowledged) <= set(found)
        assert max(found.values()) == 1
        # A torn end may be kept as .corrupt.
        assert [*Path(journal).rglob("*.journal"), *Path(journal).rglob("*.refused")] == []
    finally:
        if worker is not None and worker.process.poll() is None:
            worker.kill()
        await server.aclose(wait=True)
        shutil.rmtree(folder)


@pytest.fixture
async def cut_off(database_dsn, tmp_path):
    """A started manager behind a proxy, and the proxy."""
    async with Proxy(target_of(database_dsn)) as proxy:
        config = {
            "journal_folder": tmp_path / "journal", "journal_after": 0.2, "connect_timeout": 0.5,
            "journal_max_bytes": 400_000,
        }  # fmt: skip
        manager = ErrorRecoveryManager(through(database_dsn, proxy.port), config=config)
        async with manager:
            yield manager, proxy
            proxy.silent = proxy.refusing = False
            proxy.cut_all()


async def folder_in(root, dsn):
    """The folder that a journal in ``root`` has for this database."""
    database = Database(dsn, config=RecoveryConfig())
    await database.start()
    try:
        return folder_of(root, await identity_of(database))
    finally:
        await database.aclose()


def begin(proxy):
    proxy.refusing = True
    proxy.cut_all()


async def replayed(manager, told):
    while not any(isinstance(event, JournalReplayed) for event in told):
        await asyncio.sleep(0.02)


@pytest.mark.timeout(60)
async def test_outage_rows_come_back_in_order_with_their_records(cut_off, database_dsn, tmp_path):
    manager, proxy = cut_off
    told = []
    manager.bus.subscribe(told.append)
    begin(proxy)
    ids = [await manager.log_error_details("r", ValueError(f"error {n}")) for n in range(5)]
    quarantine_id = await manager.quarantine_bad_records("r", [{"n": 1}, {"n": 2}], "why")
    many = await manager.quarantine_bad_records("r", list(range(600)), "many")
    assert [type(event) for event in told if isinstance(event, JournalOpened)] == [JournalOpened]
    (path,) = (tmp_path / "journal").rglob("*.journal")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    proxy.refusing = False
    await replayed(manager, told)
    connection = await asyncpg.connect(database_dsn)
    rows = await connection.fetch("SELECT error_id FROM seawall.error_details ORDER BY error_id")
    assert [row["error_id"] for row in rows] == ids
    records = await connection.fetch(
        "SELECT payload::text FROM seawall.quarantined_records WHERE quarantine_id = $1",
        quarantine_id,
    )
    assert len(records) == 2
    count = "SELECT count(*) FROM seawall.quarantined_records WHERE quarantine_id = $1"
    assert await connection.fetchval(count, many) == 600
    assert [*path.parent.iterdir()] == []
    again = await manager.log_error_details("r", ValueError("after it"))
    assert await connection.fetchval(
        "SELECT count(*) FROM seawall.error_details WHERE error_id = $1", again
    )
    await connection.close()


@pytest.mark.timeout(60)
async def test_outage_at_the_bound_callers_are_told(cut_off):
    manager, proxy = cut_off
    begin(proxy)
    kept = 0
    with pytest.raises(JournalFullError, match="journal_max_bytes"):
        for n in range(1000):
            await manager.log_error_details("r", ValueError(f"error {n} " + "x" * 10_000))
            kept += 1
    assert kept > 5


@pytest.mark.timeout(60)
async def test_outage_row_that_reached_both_is_one_row(cut_off, database_dsn):
    """The database answers too late: the row is in the journal, and then committed all the same."""
    manager, proxy = cut_off
    told = []
    manager.bus.subscribe(told.append)
    proxy.delay = 0.3
    error_id = await manager.log_error_details("r", ValueError("slow"))
    proxy.delay = 0.0
    await replayed(manager, told)
    connection = await asyncpg.connect(database_dsn)
    count = await connection.fetchval(
        "SELECT count(*) FROM seawall.error_details WHERE error_id = $1", error_id
    )
    await connection.close()
    assert count == 1
    (done,) = (event for event in told if isinstance(event, JournalReplayed))
    assert (done.rows, done.refused) == (1, 0)  # that it is there already is no refusal


@pytest.mark.timeout(60)
async def test_outage_file_of_a_dead_process_is_adopted_once_and_what_is_refused_kept(
    database_dsn, tmp_path
):
    from seawall.clock import utc_now, uuid7
    from seawall.error_details import COLUMNS
    from seawall.journal import Journal

    folder = await folder_in(tmp_path / "journal", database_dsn)
    left = Journal(JournalFolder(folder), 2**20)
    good = dict.fromkeys(COLUMNS) | {
        "error_id": uuid7(), "occurred_at": utc_now(), "error_type": "data", "exception_type": "X",
        "message": "m", "fingerprint": "f",
    }  # fmt: skip
    bad = {**good, "error_id": uuid7(), "message": None}
    for row in (good, bad):
        await left.append([("error_details", tuple(row[name] for name in COLUMNS))])
    await left.aclose()
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes() + b"\x93SWJ torn")
    managers = [
        ErrorRecoveryManager(database_dsn, config={"journal_folder": folder.parent})
        for _ in range(3)
    ]
    for manager in managers:
        await manager.start()
    while path.exists():
        await asyncio.sleep(0.02)
    for manager in managers:
        await manager.aclose()
    kinds = sorted(each.suffix for each in folder.iterdir())
    assert kinds == [".corrupt", ".refused"]
    connection = await asyncpg.connect(database_dsn)
    ids = [row["error_id"] for row in await connection.fetch("SELECT * FROM seawall.error_details")]
    await connection.close()
    assert ids == [good["error_id"]]


@pytest.mark.timeout(60)
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
async def test_outage_full_disk_is_told_and_what_was_kept_stays():
    from seawall.clock import uuid7
    from seawall.journal import Journal
    from seawall.journal.frame import Frame, frames

    place = Path(tempfile.mkdtemp(prefix="seawall-small-"))
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted")
    try:
        journal = Journal(JournalFolder(place / "journal"), 2**30)
        kept = 0
        with pytest.raises(JournalFullError, match="full"):
            for _ in range(1000):
                await journal.append([("t", (uuid7(), "x" * 1000))])
                kept += 1
        file = await journal.seal()
        data = file.path.read_bytes()
        assert len([each for each in frames(data, file.file_id) if isinstance(each, Frame)]) == kept
        file.close()
    finally:
        subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


@pytest.mark.timeout(90)
def test_cli_journal_shows_and_replays(database_dsn, tmp_path):
    import json

    from acceptance.test_demo import seawall
    from seawall.clock import utc_now, uuid7
    from seawall.error_details import COLUMNS
    from seawall.journal import Journal

    async def leave():
        left = Journal(JournalFolder(await folder_in(tmp_path, database_dsn)), 2**20)
        row = dict.fromkeys(COLUMNS, None) | {
            "error_id": uuid7(), "occurred_at": utc_now(), "error_type": "data",
            "exception_type": "X", "message": "m", "fingerprint": "f",
        }  # fmt: skip
        await left.append([("error_details", tuple(row[name] for name in COLUMNS))])
        await left.aclose()

    asyncio.run(leave())
    place = ["--journal", str(tmp_path)]
    (file,) = json.loads(seawall("journal", "show", *place, "--json").stdout)
    assert (file["state"], file["rows"]) == ("waits", 1)
    seawall("journal", "replay", *place, "--dsn", database_dsn)  # its manager may be first
    assert json.loads(seawall("journal", "show", *place, "--json").stdout) == []
