"""Who is in a run: its status while workers come, leave, vanish and come back."""

import asyncio
import signal
import sys
from uuid import uuid4

import anyio
import pytest

from seawall import ErrorRecoveryManager
from seawall.cli.status import collect
from seawall.errors import StaleRunError

VANISHING = """
import asyncio, sys
from seawall import ErrorRecoveryManager

async def main():
    async with ErrorRecoveryManager(sys.argv[1], config={"lease_seconds": 1}) as manager:
        async with manager.run("p", "r"):
            print("in", flush=True)
            await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def status(connection):
    async def fetch(run_id="r"):
        return await connection.fetchval(
            "SELECT status FROM seawall.runs WHERE run_id = $1", run_id
        )

    return fetch


@pytest.fixture
def shown(connection):
    """What ``seawall status`` says of the run."""

    async def fetch():
        (run,) = (await collect(connection, "seawall"))["runs"]
        return run["status"]

    return fetch


@pytest.fixture
async def vanishing(database_dsn):
    """A function that starts a process in the run ``r``."""
    children = []

    async def start():
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", VANISHING, database_dsn, stdout=asyncio.subprocess.PIPE
        )
        children.append(child)
        assert await child.stdout.readline() == b"in\n"
        return child

    yield start
    for child in children:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def until_abandoned(manager, *expected):
    with anyio.fail_after(10):
        while not (lost := await manager.abandon_lost_runs()):
            await asyncio.sleep(0.02)
    assert lost == list(expected)


async def enter(manager, worker_id, lease=30.0):
    await manager._services.kit.runs.begin(worker_id, "r", "p", None, None, lease)


async def leave(manager, worker_id, status="succeeded", *, replaced=False):
    message = None if status == "succeeded" else f"{status} it is"
    await manager._services.kit.runs.end(worker_id, "r", status, None, message, replaced=replaced)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
async def test_run_whose_worker_vanished_is_abandoned_when_its_lease_ends(
    manager, vanishing, status, shown, end
):
    child = await vanishing()
    child.send_signal(end)
    assert await manager.abandon_lost_runs() == []
    assert await status() == "running"
    assert await manager.abandon_lost_runs("another pipeline") == []
    with anyio.fail_after(10):
        while await shown() != "abandoned":
            await asyncio.sleep(0.02)
    assert await status() == "running"  # whoever only looks changes nothing
    await until_abandoned(manager, "r")
    assert await status() == await shown() == "abandoned"
    if end == signal.SIGSTOP:  # thawed it lives on, as nobody has come meanwhile
        child.send_signal(signal.SIGCONT)
        with anyio.fail_after(10):
            while await status() != "running":
                await asyncio.sleep(0.02)


async def test_next_run_of_the_pipeline_abandons_those_that_are_lost(manager, status, connection):
    await enter(manager, uuid4(), lease=0.05)
    await asyncio.sleep(0.1)
    async with manager.run("another", "x"):
        assert await status() == "running"
    async with manager.run("p", "y"):
        assert await status() == "abandoned"
    ended = "SELECT ended_at > started_at FROM seawall.runs WHERE run_id = 'r'"
    assert await connection.fetchval(ended)


async def test_restart_on_the_machine_of_a_killed_worker_ends_as_it_ends(
    manager, vanishing, status, connection
):
    """The lease of the killed one has not ended: that its process is gone says enough."""
    child = await vanishing()
    child.kill()
    await child.wait()
    async with manager.run("p", "r"):
        assert await connection.fetchval("SELECT count(*) FROM seawall.run_workers") == 1
    assert await status() == "succeeded"
    assert await connection.fetchval("SELECT count(*) FROM seawall.run_workers") == 0


async def test_restart_elsewhere_is_not_undone_by_the_lease_of_who_vanished(
    manager, status, shown, connection
):
    await enter(manager, uuid4(), lease=0.3)
    await connection.execute("UPDATE seawall.run_workers SET process = 'elsewhere|1|1'")
    restarted = uuid4()
    await enter(manager, restarted)
    await leave(manager, restarted)
    assert await status() == "running"  # the first might live
    await asyncio.sleep(0.4)
    assert await shown() == "succeeded"
    assert await manager.abandon_lost_runs() == []
    assert await status() == "succeeded"


async def test_worker_that_vanishes_after_the_others_have_left_makes_the_run_abandoned(
    manager, status
):
    one, two = uuid4(), uuid4()
    await enter(manager, one)
    await enter(manager, two, lease=0.2)
    await leave(manager, one)
    assert await status() == "running"
    await asyncio.sleep(0.3)
    assert await manager.abandon_lost_runs() == ["r"]
    assert await status() == "abandoned"


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (("succeeded", "succeeded"), "succeeded"),
        (("failed", "succeeded"), "failed"),
        (("succeeded", "failed"), "failed"),
        (("cancelled", "succeeded"), "cancelled"),
        (("cancelled", "failed"), "failed"),
        (("failed", "cancelled"), "failed"),
    ],
)
async def test_run_of_several_workers_ends_with_the_last_as_the_worst(
    manager, status, connection, ends, expected
):
    workers = [uuid4() for _ in ends]
    for worker in workers:
        await enter(manager, worker)
    await leave(manager, workers[0], ends[0])
    assert await status() == "running"
    await leave(manager, workers[1], ends[1])
    assert await status() == expected
    message = await connection.fetchval("SELECT error_message FROM seawall.runs")
    assert message == (None if expected == "succeeded" else f"{expected} it is")


async def test_restart_wipes_out_the_failure_that_it_makes_good(manager, status):
    with pytest.raises(ZeroDivisionError):
        async with manager.run("p", "r"):
            raise ZeroDivisionError
    assert await status() == "failed"
    async with manager.run("p", "r"):
        assert await status() == "running"
    assert await status() == "succeeded"


async def test_worker_that_was_replaced_says_nothing_of_the_run(manager, status):
    one, two = uuid4(), uuid4()
    await enter(manager, one)
    await enter(manager, two)
    await leave(manager, one, "failed", replaced=True)
    await leave(manager, two)
    assert await status() == "succeeded"
    with pytest.raises(StaleRunError):
        async with manager.run("p", "alone"):
            raise StaleRunError("alone")
    assert await status("alone") == "failed"


async def test_two_that_leave_at_once_see_each_other(database_dsn, manager, status):
    async with ErrorRecoveryManager(database_dsn) as other:
        for n in range(20):
            workers = [(manager, uuid4()), (other, uuid4())]
            for each in workers:
                await enter(*each)
            await asyncio.gather(*(leave(*each) for each in workers))
            assert await status() == "succeeded", n


async def test_worker_in_a_run_renews_its_lease_until_it_leaves(database_dsn, connection, status):
    async with ErrorRecoveryManager(database_dsn, config={"lease_seconds": 1}) as manager:
        async with manager.run("p", "r"):
            lease = "SELECT lease_until FROM seawall.run_workers"
            before = await connection.fetchval(lease)
            with anyio.fail_after(5):
                while (await connection.fetchval(lease) - before).total_seconds() < 1.1:
                    await asyncio.sleep(0.02)
            assert await manager.abandon_lost_runs() == []
        assert await status() == "succeeded"
