"""The fleet's breaker in eight real processes: herds, deaths, freezes, lost messages, no server."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from seawall.postgres.embedded import EmbeddedServer, stop
from support.database import open_folder
from support.proxy import Proxy, target_of, through

WORKER = [sys.executable, str(Path(__file__).parents[1] / "support" / "breaker_worker.py")]
CONFIG = {
    "breaker_poll_seconds": 1.0,
    "permit_lease_seconds": 1.0,
    "connect_timeout": 5,
    "pool_size": 2,
}
OPTIONS = {"failure_threshold": 8, "timeout": 1.0}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


class Process:
    """One worker; ``await process(do=…)`` is one order and its answer."""

    def __init__(self, child):
        self._child, self.pid = child, child.pid

    @classmethod
    async def start(cls, stack, dsn, config, options):
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(
            *WORKER, dsn, json.dumps(config), json.dumps(options), stdin=pipe, stdout=pipe
        )
        process = cls(child)
        stack.push_async_callback(process.end)
        process.first = await process.answer()
        return process

    async def answer(self):
        line = await asyncio.wait_for(self._child.stdout.readline(), 30)
        assert line, "the worker has died"
        return json.loads(line)

    async def __call__(self, **order):
        self._child.stdin.write(json.dumps(order).encode() + b"\n")
        return await self.answer()

    def signal(self, number):
        os.kill(self.pid, number)

    async def end(self):
        if self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # ended, and not yet known to be
                self.signal(signal.SIGCONT)
            self._child.stdin.close()
            try:
                await asyncio.wait_for(self._child.wait(), 10)
            except TimeoutError:
                self._child.kill()
        await self._child.wait()


@pytest.fixture
async def start(database_dsn, tmp_path):
    """A function that starts that many worker processes."""
    async with AsyncExitStack() as stack:

        async def started(count, dsn=database_dsn, config=CONFIG, **options):
            service = {"service_file": str(tmp_path / "service")}
            return await asyncio.gather(
                *(
                    Process.start(stack, dsn, CONFIG | config, OPTIONS | service | options)
                    for _ in range(count)
                )
            )

        yield started


@pytest.fixture
def reached(tmp_path):
    """How many calls have reached the service."""
    file = tmp_path / "service"
    return lambda: len(file.read_text().splitlines()) if file.exists() else 0


async def every(processes, **order):
    return await asyncio.gather(*(process(**order) for process in processes))


async def joined(dsn, number):
    """Wait until so many workers are known to the fleet: fewer would be their own quorum."""
    connection = await asyncpg.connect(dsn)
    try:
        query = "SELECT count(*) FROM seawall.circuit_breaker_votes"
        while await connection.fetchval(query) < number:
            await asyncio.sleep(0.02)
    finally:
        await connection.close()


async def opened(processes):
    """Opened by the fleet: two workers' failures sum up to the threshold."""
    await every(processes[:2], do="call", outcome="fail", times=4)
    seen = await every(processes, do="until", state="open")
    assert all(each["at"] for each in seen), seen


async def test_opened_by_the_fleet_is_refused_in_every_worker(start):
    """B2, and a worker that joins finds it open before its first call."""
    processes = await start(8, timeout=60)
    await opened(processes)
    for ended in await every(processes, do="call", times=5):
        assert ended == {"ok": 0, "failed": 0, "refused": 5}
    (late,) = await start(1, timeout=60)
    assert late.first["state"] == "open"
    assert await late(do="call") == {"ok": 0, "failed": 0, "refused": 1}


async def test_one_sick_worker_opens_its_own_breaker_only(start, database_dsn):
    """B5."""
    sick, *healthy = await start(8, timeout=60)
    await every(healthy, do="call", times=3)
    await joined(database_dsn, 8)
    assert (await sick(do="call", outcome="fail", times=20)) == {
        "ok": 0, "failed": 8, "refused": 12,
    }  # fmt: skip
    await asyncio.sleep(1.5)
    assert await every(healthy, do="call", times=3) == [{"ok": 3, "failed": 0, "refused": 0}] * 7


@pytest.mark.parametrize("permitted", [1, 3])
async def test_half_open_admits_the_permitted_calls_under_a_herd(start, reached, permitted):
    """B3: 200 waiting callers in 8 workers."""
    processes = await start(8, permitted_calls=permitted)
    await opened(processes)
    before = reached()
    herds = [
        asyncio.ensure_future(each(do="herd", callers=25, outcome="hang", patience=30))
        for each in processes
    ]
    while reached() - before < permitted:
        await asyncio.sleep(0.02)
    await asyncio.sleep(2.5)  # longer than two leases
    assert reached() - before == permitted
    for process in processes:
        process.signal(signal.SIGKILL)  # they would hang for ever
    await asyncio.gather(*herds, return_exceptions=True)


async def test_herd_is_let_through_once_the_trial_has_succeeded(start, reached):
    """One reaches the service, then all do."""
    processes = await start(8)
    await opened(processes)
    before = reached()
    ended = await every(processes, do="herd", callers=25, outcome="ok", seconds=0.2)
    assert sum(each["ok"] for each in ended) == 200
    assert reached() - before == 200


@pytest.mark.parametrize("end", ["killed", "frozen", "cancelled"])
async def test_prober_that_ends_gives_its_permit_back(start, reached, end):
    """B3: killed or frozen, when its lease ends; cancelled, at once."""
    lease = 60.0 if end == "cancelled" else 1.0
    prober, *others = await start(8, config={"permit_lease_seconds": lease})
    await opened([prober, *others])
    await prober(do="begin")
    before = reached()
    ended = await every(others, do="call")
    assert [each["refused"] for each in ended] == [1] * 7
    if end == "cancelled":
        await prober(do="cancel")
    else:
        prober.signal(signal.SIGKILL if end == "killed" else signal.SIGSTOP)
    ended = await every(others, do="herd", callers=1)
    assert sum(each["ok"] for each in ended) == 7
    assert reached() - before == 7
    if end == "frozen":
        await every(others[:2], do="call", outcome="fail", times=4)
        await every(others, do="until", state="open")
        epoch = (await others[0](do="look"))["fleet_epoch"]
        prober.signal(signal.SIGCONT)
        await prober(do="finish")  # its trial succeeds, far too late
        await asyncio.sleep(0.5)
        seen = await others[0](do="look")
        assert (seen["state"], seen["fleet_epoch"]) == ("open", epoch)


async def test_lost_notifications_are_made_good_by_the_regular_exchange(start, database_dsn):
    """With no message at all every worker is open within a few exchanges."""
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(
        "CREATE FUNCTION seawall.pg_notify(text, text) RETURNS void LANGUAGE sql AS 'SELECT'"
    )
    for name in await connection.fetch(
        "SELECT oid::regprocedure::text AS f FROM pg_proc WHERE pronamespace = 'seawall'::regnamespace"
        " AND proname LIKE 'circuit_breaker%' AND prokind = 'f' AND proconfig IS NOT NULL"
    ):
        await connection.execute(
            f"ALTER FUNCTION {name['f']} SET search_path = seawall, pg_catalog"
        )
    await connection.close()
    processes = await start(8, timeout=60)
    await opened(processes)


async def test_late_and_repeated_notifications_change_nothing(start, database_dsn):
    """B4: an old message, a doubled one, one that is nonsense."""
    processes = await start(3, timeout=60)
    await opened(processes)
    look = await processes[0](do="look")
    closed = {"schema": "seawall", "service_name": "api", "state": "closed", "open_seconds": 0}
    connection = await asyncpg.connect(database_dsn)
    for payload in (
        json.dumps(closed | {"epoch": 0, "reason": None}),
        json.dumps(closed | {"epoch": look["fleet_epoch"], "reason": "twice"}),
        json.dumps(closed | {"epoch": 99, "reason": None, "schema": "another"}),
        "nonsense",
        "[1]",
        "{}",
    ):
        await connection.execute("SELECT pg_notify('seawall_circuit_breakers', $1)", payload)
    await connection.close()
    await asyncio.sleep(0.3)
    for seen in await every(processes, do="look"):
        assert (seen["state"], seen["fleet_epoch"]) == ("open", look["fleet_epoch"])


async def test_server_out_of_reach_every_worker_goes_on_then_agrees(start, database_dsn):
    """B6: cut off for five seconds; calls go on, breakers open and close alone, then all agree."""
    async with Proxy(target_of(database_dsn)) as proxy:
        dsn = through(database_dsn, proxy.port)
        processes = await start(8, dsn=dsn)
        await every(processes, do="call")
        proxy.refusing = True
        proxy.cut_all()
        await asyncio.sleep(0.5)
        ended = await every(processes[:4], do="call", outcome="fail", times=10)
        assert ended == [{"ok": 0, "failed": 8, "refused": 2}] * 4  # each at its own threshold
        assert (
            await every(processes[4:], do="call", times=10)
            == [{"ok": 10, "failed": 0, "refused": 0}] * 4
        )
        await asyncio.sleep(4.5)
        assert await processes[0](do="call") == {
            "ok": 1,
            "failed": 0,
            "refused": 0,
        }  # its own trial
        await every(processes[1:3], do="call", outcome="fail", times=1)  # open again, alone
        proxy.refusing = False
        # Two workers hold that the service fails, with at least the threshold: the fleet agrees.
        seen = await every(processes, do="until", state="open", seconds=15)
        assert all(each["at"] for each in seen), seen
        ended = await every(processes, do="herd", callers=3)
        assert sum(each["ok"] for each in ended) == 24
        await every(processes, do="until", state="closed")
        looked = await every(processes, do="look")
        assert {each["state"] for each in looked} == {"closed"}
        assert len({each["fleet_epoch"] for each in looked}) == 1


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_server_restarted_every_worker_goes_on_then_agrees(start, how):
    """B6, with a server that really dies: calls go on meanwhile, and the fleet is one again."""
    folder = open_folder()
    server = EmbeddedServer(folder / "server")
    try:
        await server.start()
        processes = await start(4, dsn=server.dsn())
        assert all(each["governs"] is False for each in await every(processes, do="look"))
        if how == "killed":
            pid = int((folder / "server" / "pgdata" / "postmaster.pid").read_text().split()[0])
            assert Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/")
            os.kill(pid, signal.SIGKILL)
        else:
            await stop(folder / "server")
        assert (
            await every(processes, do="call", times=5) == [{"ok": 5, "failed": 0, "refused": 0}] * 4
        )
        await asyncio.sleep(1)
        await server.start()
        await asyncio.sleep(3)  # they come back within two seconds
        await opened(processes)
        ended = await every(processes, do="herd", callers=3)
        assert sum(each["ok"] for each in ended) == 12
    finally:
        await server.aclose(wait=True)
        shutil.rmtree(folder)


async def test_eight_failures_in_two_processes_are_recorded_as_eight(start, database_dsn):
    """Trap 17."""
    processes = await start(2, failure_threshold=100)
    await every(processes, do="call", outcome="fail", times=4)
    connection = await asyncpg.connect(database_dsn)
    query = "SELECT sum(failure_count) FROM seawall.circuit_breaker_votes"
    while await connection.fetchval(query) != 8:  # or the test's own timeout ends it
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    assert await connection.fetchval(query) == 8
    await connection.close()
