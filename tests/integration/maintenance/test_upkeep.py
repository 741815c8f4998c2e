"""Upkeep: what is old goes, what is young stays; lost and stuck runs are told of once."""

import asyncio
import signal
import sys
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from seawall import ErrorRecoveryManager
from seawall.clock import utc_now, uuid7
from seawall.events import RunAbandoned, RunStuck
from seawall.maintenance import Retention
from seawall.postgres.partitions import ensure_partitions, uuid7_floor
from seawall.postgres.run_store import PostgresRunStore
from seawall.postgres.upkeep_store import PostgresUpkeepStore

KEPT = Retention(errors=365, retries=60, health=0, history=30, runs=30)


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def manager(database_dsn):
    async with ErrorRecoveryManager(database_dsn, config={"health_interval_seconds": 0}) as manager:
        manager.heard = []
        manager.bus.subscribe(manager.heard.append)
        yield manager


@pytest.fixture
def upkeep(manager):
    return PostgresUpkeepStore(
        manager.database, PostgresRunStore(manager.database, manager.bus), manager.bus
    )


def told(manager, kind):
    return [event for event in manager.heard if isinstance(event, kind)]


async def test_run_that_saves_nothing_is_told_once_in_the_fleet_and_again_after_it_went_on(
    manager, upkeep, connection
):
    async def age(seconds):
        for table, column in (("checkpoints", "updated_at"), ("run_workers", "entered_at")):
            await connection.execute(
                f"UPDATE seawall.{table} SET {column} = clock_timestamp() - $1::interval",
                timedelta(seconds=seconds),
            )

    async with manager.run("p", "r"):
        await upkeep.tell_stuck(0.0)  # no step is open: nothing says that it is stuck
        async with manager.checkpoint("r", "load"), manager.checkpoint("r", "load", partition=1):
            await upkeep.tell_stuck(600)
            assert told(manager, RunStuck) == []
            await age(700)
            await asyncio.gather(*(upkeep.tell_stuck(600) for _ in range(4)))
            await upkeep.tell_stuck(600)
            (event,) = told(manager, RunStuck)
            assert (event.scope.pipeline_id, event.scope.run_id, event.step) == ("p", "r", "load")
            assert 700 <= event.stalled_seconds < 720
            # One partition goes on: the run does. It stops again: another episode.
            await connection.execute(
                "UPDATE seawall.checkpoints SET updated_at = clock_timestamp() WHERE partition = 1"
            )
            await upkeep.tell_stuck(600)
            assert len(told(manager, RunStuck)) == 1
            await connection.execute(
                "UPDATE seawall.runs SET stuck_at = clock_timestamp() - interval '2 hours'"
            )
            await age(700)
            await upkeep.tell_stuck(600)
            assert len(told(manager, RunStuck)) == 2
    await age(700)
    await upkeep.tell_stuck(600)  # it has ended
    assert len(told(manager, RunStuck)) == 2


async def test_step_that_runs_for_too_long_is_told(manager, upkeep, connection):
    async def slow():
        await connection.execute(
            "UPDATE seawall.run_steps SET updated_at = clock_timestamp() - interval '1 hour';"
            "UPDATE seawall.run_workers SET entered_at = clock_timestamp() - interval '1 hour'"
        )
        await upkeep.tell_stuck(600)

    async with manager.run("p", "r") as run:
        await run.step("report", slow)
    assert [event.step for event in told(manager, RunStuck)] == ["report"]


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


async def test_lost_run_is_abandoned_by_the_job_and_told_once(manager, connection, database_dsn):
    """No other run of the pipeline begins: the fleet's upkeep finds it."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", VANISHING, database_dsn, stdout=asyncio.subprocess.PIPE
    )
    assert await child.stdout.readline() == b"in\n"
    child.send_signal(signal.SIGKILL)
    await child.communicate()
    jobs = manager._services._analytics.jobs
    async with asyncio.timeout(15):
        while not told(manager, RunAbandoned):
            await connection.execute("UPDATE seawall.background_jobs SET due_at = '-infinity'")
            await jobs.run_due()
            await asyncio.sleep(0.1)
    assert await manager.abandon_lost_runs() == []
    (event,) = told(manager, RunAbandoned)
    assert (event.scope.pipeline_id, event.scope.run_id, event.status) == ("p", "r", "abandoned")
    failed = "SELECT job, last_error FROM seawall.background_jobs WHERE last_error IS NOT NULL"
    assert await connection.fetch(failed) == []
    assert await connection.fetchval("SELECT count(*) FROM seawall.background_jobs") >= 6


async def test_partitions_go_by_the_retention_of_their_table_and_the_databases_clock(
    manager, upkeep, connection
):
    long_ago, lately = utc_now() - timedelta(days=800), utc_now() - timedelta(days=150)
    for moment in (long_ago, lately):
        await ensure_partitions(connection, "seawall", now=moment, ahead=0)
    await upkeep.drop_partitions(KEPT)
    rows = await connection.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits "
        "WHERE inhrelid::regclass::text ~ $1 ORDER BY 1",
        f"({long_ago:%Y_%m}|{lately:%Y_%m})$",
    )
    assert [row["name"] for row in rows] == sorted(
        [
            f"seawall.error_details_{lately:%Y_%m}",
            f"seawall.system_health_{lately:%Y_%m}",
            f"seawall.system_health_{long_ago:%Y_%m}",
        ]
    )


def old_key(moment):
    return type(uuid7())(int=uuid7_floor(moment).int | (uuid4().int & 0xFFFFFFFF))


async def test_history_and_runs_go_by_age_and_whatever_lives_or_is_young_stays(
    manager, upkeep, connection
):
    old = datetime.now(UTC) - timedelta(days=100)
    keys = [*(old_key(old) for _ in range(2500)), uuid7()]  # more than a batch
    await connection.copy_records_to_table(
        "circuit_breaker_transitions",
        schema_name="seawall",
        columns=["transition_id", "service_name", "from_state", "to_state", "epoch", "occurred_at"],
        records=[(key, "s", "a", "b", 1, utc_now()) for key in keys],
    )
    for run_id in ("old", "old but saved", "begun again", "young"):
        async with manager.run("p", run_id):
            await manager.checkpoint_progress(run_id, "load", {"n": 1})
            await manager.checkpoint_progress(run_id, "load", {"n": 2})
    aged = await connection.execute(
        "UPDATE seawall.checkpoint_history SET saved_at = $1 WHERE version = 1", old
    )
    assert aged == "UPDATE 4"
    ancient = "UPDATE seawall.{} = '2001-01-01' WHERE {}"
    await connection.execute(
        ancient.format("runs SET started_at = '2001-01-01', ended_at", "run_id <> 'young'")
    )
    await connection.execute(
        ancient.format("checkpoints SET updated_at", "run_id IN ('old', 'begun again')")
    )
    await connection.execute(
        "INSERT INTO seawall.workers (worker_id, host, pid, pipeline_id, version, last_seen_at, "
        "interval_seconds, status, readings, problems) VALUES "
        "('gone', 'h', 1, 'p', '0', now() - interval '3 days', 30, 'ok', '{}', '{}')"
    )
    async with manager.run("p", "begun again"):
        await upkeep.prune(KEPT, 20.0)
        await upkeep.forget_gone()
    left = await connection.fetch("SELECT run_id FROM seawall.runs ORDER BY 1")
    assert [row["run_id"] for row in left] == ["begun again", "old but saved", "young"]
    steps = await connection.fetch("SELECT run_id FROM seawall.checkpoints ORDER BY 1")
    assert [row["run_id"] for row in steps] == ["begun again", "old but saved", "young"]
    count = "SELECT count(*) FROM seawall.circuit_breaker_transitions"
    assert await connection.fetchval(count) == 1
    assert await connection.fetchval("SELECT count(*) FROM seawall.workers") == 0
    history = "SELECT array_agg(DISTINCT version) FROM seawall.checkpoint_history"
    assert 1 not in (await connection.fetchval(history) or [])
    # Out of time, it stops after what it has begun; 0 keeps for good.
    await upkeep.prune(KEPT, 0.0)
    await upkeep.prune(Retention(errors=0, retries=0, health=0, history=0, runs=0), 20.0)
    assert await connection.fetchval("SELECT count(*) FROM seawall.runs") == 3


async def test_quarantine_counts_are_folded_and_say_the_same(manager, upkeep, connection):
    """A row for a day, a reason and a pipeline is left of many; what is open stays."""
    await connection.execute(
        """
        INSERT INTO seawall.quarantine_counts
        SELECT 'p', current_date - n % 3, current_date - n % 3, 'r' || n % 5, 2, n % 2
        FROM generate_series(1, 3000) n;
        INSERT INTO seawall.quarantine_counts
        VALUES ('p', current_date, current_date, 'none', 1, 0),
               ('p', current_date, current_date, 'none', -1, 0)
        """
    )
    before = await manager.quarantine_growth("p", 7)
    assert before.backlog == 4_500
    count = "SELECT count(*) FROM seawall.quarantine_counts"
    await upkeep.fold_quarantine_counts()
    assert await connection.fetchval(count) == 15
    await upkeep.fold_quarantine_counts()
    assert await connection.fetchval(count) == 15
    after = await manager.quarantine_growth("p", 7)
    assert (after.backlog, after.backlog_by_reason) == (4_500, before.backlog_by_reason)
    assert after.days == tuple(each for each in before.days if each.reason != "none")
