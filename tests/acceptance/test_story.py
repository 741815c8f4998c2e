"""A month of a pipeline, told as a story: what goes wrong is named, with its cause and what to do.

The month before is counts, as four workers would have written them; what happens then happens: runs
of a real manager on the real database. The quarter hour of each chapter is simulated by the age of the
counts, and by doing the fleet's background work at once.
"""

import errno
import random

import asyncpg
import pytest

from seawall import ErrorRecoveryManager, ErrorType
from seawall.analysis.store import Delta
from seawall.events import FailureRateChanged, PatternSeen
from seawall.health import HealthStatus

HOSTS, STEPS = ("etl-1", "etl-2", "etl-3", "etl-4"), ("extract", "transform", "load")
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0

RUNS = """
INSERT INTO seawall.runs (run_id, pipeline_id, status, started_at, ended_at)
SELECT 'past-' || n, 'flights', CASE WHEN n % 400 = 7 THEN 'failed' ELSE 'succeeded' END,
       now() - n * interval '6 min' - interval '70 min', now() - n * interval '6 min' - interval '65 min'
FROM generate_series(1, 7000) n
"""


def ends(age, failures, successes, *, step, host, release="1.4", error=None):
    """The counts of some ends of a step on a host."""
    values = {
        "total": "", "step": step, "host": host, "release": release, "partition": "0",
        "step × host": f"{step} × {host}", "step × release": f"{step} × {release}",
    }  # fmt: skip
    found = [
        Delta("flights", name, value, age, failures, successes) for name, value in values.items()
    ]
    if failures and error:
        found.append(Delta("flights", "error_type", error, age, failures, 0))
    return found


class Story:
    """The pipeline, and what its people are told."""

    def __init__(self, manager):
        self.manager, self.told = manager, []
        manager.bus.subscribe(self.told.append)
        self._random = random.Random(7)

    async def healthy(self, ages, chance=0.005, skip=()):
        """Ten ends of each step on each host at each of these ages, a few of which fail."""
        store = self.manager._services.analytics.failures._store
        found = []
        for age in ages:
            for step in STEPS:
                for host in HOSTS:
                    if (step, host) not in skip:
                        bad = sum(self._random.random() < chance for _ in range(10))
                        found += ends(age, bad, 10 - bad, step=step, host=host, error="transient")
        await store.add(found)

    async def add(self, *counts):
        await self.manager._services.analytics.failures._store.add([*counts])

    async def quarter_hour(self):
        """The fleet's background work, as it is done within a quarter of an hour."""
        analytics = self.manager._services.analytics
        await analytics.patterns.flush()
        async with self.manager.database.acquire() as connection:
            await connection.execute("UPDATE seawall.background_jobs SET due_at = '-infinity'")
        await analytics.jobs.run_due()

    async def alerts(self):
        return {alert.rule: alert for alert in await self.manager.list_alerts(state="firing")}

    def heard(self, kind):
        return [event for event in self.told if isinstance(event, kind)]


@pytest.fixture
async def story(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    await connection.execute(RUNS)
    await connection.close()
    config = {"health_interval_seconds": 0}
    async with ErrorRecoveryManager(database_dsn, pipeline_id="flights", config=config) as manager:
        story = Story(manager)
        await story.healthy([DAY * n + HOUR for n in range(2, 30)])
        await story.healthy([HOUR * n for n in range(2, 26)])
        await story.healthy([MINUTE * n for n in range(20, 120, 5)])
        yield story


@pytest.mark.slow
@pytest.mark.timeout(90)
async def test_story_of_a_month(story):
    manager = story.manager

    # A month in which a few steps failed, as they do: nobody is told of anything.
    await story.healthy([MINUTE * n for n in (15, 10, 5)])
    await story.quarter_hour()
    found = await manager.analyze_failures()
    budget = await manager.get_error_budget_status()
    assert found.changes == ()
    assert [cause for cause in found.causes if cause.certainty > 0.99] == []
    assert not budget["budget_exceeded"]
    assert story.heard(FailureRateChanged) == []
    assert await story.alerts() == {}

    # A deploy: on etl-3, release 1.5 breaks the loading.
    for age in (14, 9, 4):
        await story.add(
            *ends(age * MINUTE, 9, 1, step="load", host="etl-3", release="1.5", error="data")
        )
        await story.healthy([age * MINUTE], skip=[("load", "etl-3")])
    await story.quarter_hour()
    found = await manager.analyze_failures()
    assert {(cause.dimension, cause.value) for cause in found.causes[:3]} & {
        ("step × host", "load × etl-3"), ("release", "1.5"), ("step × release", "load × 1.5"),
    }  # fmt: skip
    assert story.heard(FailureRateChanged)
    assert "failure_rate" in await story.alerts()
    assert "etl-3" in found.summary or "1.5" in found.summary

    # A credential expires: every run ends at the first call.
    for n in range(3):
        with pytest.raises(asyncpg.InvalidPasswordError):
            async with manager.run("flights", f"night-{n}"):
                raise asyncpg.InvalidPasswordError('password authentication failed for user "etl"')
    await story.quarter_hour()
    (pattern,) = [
        each for each in await manager.get_error_patterns(days=1) if "password" in str(each)
    ]
    assert (pattern.error_type, pattern.frequency) == (ErrorType.CONFIGURATION, 3)
    assert pattern.pattern_id in {event.pattern_id for event in story.heard(PatternSeen)}
    assert "run_failed" in await story.alerts()
    (advice, *_) = await manager.recommend_recovery_actions(pattern_id=pattern.pattern_id)
    assert "credential" in f"{advice.action} {advice.reason}".lower()

    # The disk fills: the failure itself says which, and how full it was.
    with pytest.raises(OSError, match="No space"):
        async with manager.run("flights", "night-4"):
            raise OSError(errno.ENOSPC, "No space left on device", "/tmp/flights.csv")
    await story.quarter_hour()
    async with manager.database.acquire() as connection:
        row = await connection.fetchrow(
            "SELECT error_type, health::text AS health FROM seawall.error_details "
            "WHERE run_id = 'night-4'"
        )
    assert row["error_type"] == "system"
    assert "disk" in row["health"]
    (advice, *_) = await manager.recommend_recovery_actions(
        error=OSError(errno.ENOSPC, "No space left on device")
    )
    assert "space" in f"{advice.action} {advice.reason}".lower()
    health = await manager.get_system_health()
    assert health.status in HealthStatus
