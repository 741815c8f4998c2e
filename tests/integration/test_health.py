"""Health over a real database: samples, the fleet, and what an error's row says."""

import asyncio
import errno
import json

import asyncpg

from seawall import ErrorRecoveryManager
from seawall.events import HealthChanged
from seawall.health import HealthStatus

CONFIG = {
    "health_interval_seconds": 0.1,
    # Whatever this machine is like, its disk is over the one and its memory under the other.
    "health_thresholds": {"disk_percent": (0, None), "memory_percent": None, "cpu_percent": None},
}


async def until(condition):
    async with asyncio.timeout(15):
        while not await condition():
            await asyncio.sleep(0.02)


async def test_health_of_two_workers_is_sampled_told_and_seen_by_both(database_dsn):
    heard = []
    async with ErrorRecoveryManager(database_dsn, config=CONFIG, pipeline_id="p") as one:
        one.bus.subscribe(heard.append)
        async with ErrorRecoveryManager(database_dsn, config=CONFIG, pipeline_id="q") as two:

            async def both_are_seen():
                return len((await two.get_system_health()).fleet) == 2

            await until(both_are_seen)
            health = await two.get_system_health()
            assert {each.worker.pipeline_id for each in health.fleet} == {"p", "q"}
            assert all(each.alive for each in health.fleet)
            assert health.worker in [each.worker for each in health.fleet]
            assert health.status is HealthStatus.WARN
            assert "disk" in health.problems[0].says
            assert {each.name for each in health.readings} >= {
                "disk_percent", "memory_percent", "cpu_percent", "open_files_percent",
                "pool_percent", "recorder_queue_percent", "event_loop_lag_seconds",
            }  # fmt: skip
        assert [each.worker.pipeline_id for each in (await one.get_system_health()).fleet] == ["p"]
        async with one.database.acquire() as connection:

            async def samples_are_written():
                count = "SELECT count(*) FROM seawall.system_health WHERE worker_id = $1"
                return await connection.fetchval(count, one._services._worker_id) >= 2

            await until(samples_are_written)
            row = await connection.fetchrow(
                "SELECT * FROM seawall.system_health WHERE worker_id = $1 "
                "ORDER BY sample_id DESC LIMIT 1",
                one._services._worker_id,
            )
        assert 0 < row["memory_percent"] < 100
        assert row["pool_size"] == 10
        assert row["healthy"] is False
        assert json.loads(row["details"])["disks"][0]["free_bytes"] > 0
    told = [event for event in heard if isinstance(event, HealthChanged)]
    assert [(event.reading, event.to_status) for event in told] == [("disk_percent", "warn")]


async def test_error_of_the_system_has_the_reading_of_its_moment_and_others_have_none(
    database_dsn, tmp_path
):
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "out.csv"))
    async with ErrorRecoveryManager(database_dsn) as manager:
        error_id = await manager.log_error_details("r", full)
        other_id = await manager.log_error_details("r", ValueError("bad"))
    connection = await asyncpg.connect(database_dsn)
    query = "SELECT health::text FROM seawall.error_details WHERE error_id = $1"
    health = json.loads(await connection.fetchval(query, error_id))
    assert health["summary"].startswith("disk ")
    assert f"full on {tmp_path} (" in health["summary"]
    assert health["readings"][f"disk_percent {tmp_path}"] > 0
    assert await connection.fetchval(query, other_id) is None
    await connection.close()
