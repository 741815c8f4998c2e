"""Failure analysis over the database: counted by workers, folded, told of once, quick at volume."""

import asyncio
import json
import time
from datetime import timedelta

import asyncpg
import pytest

from seawall import ErrorRecoveryManager, InvalidConfigError
from seawall.alerts.rule import failure_rate
from seawall.analysis import Analyst
from seawall.analysis.store import Delta
from seawall.config import RecoveryConfig
from seawall.events import EventBus, FailureRateChanged
from seawall.postgres import analysis_store
from seawall.postgres.analysis_store import PostgresAnalysisStore
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema

# A month of a pipeline, as the workers' flushes and the folding leave it: hours, then five minutes.
HISTORY = """
INSERT INTO seawall.failure_analysis (pipeline_id, hour, dimension, value, failures, successes)
SELECT p, h, d, CASE WHEN d = 'total' THEN '' ELSE d || v END,
    CASE WHEN extract(hour FROM h)::int % 6 = v % 6 THEN $1 ELSE 0 END, 200 * $1
FROM unnest($2::text[]) p,
    generate_series(date_bin('1 hour', now(), 'epoch') - interval '30 days',
                    date_bin('1 hour', now(), 'epoch') - interval '27 hours', '1 hour') h,
    unnest('{total,step,host,release,partition,error_type,exception,step × host,step × release}'
           ::text[]) d,
    generate_series(1, $3::int) v
WHERE d <> 'total' OR v = 1;
"""
SLOTS = """
INSERT INTO seawall.failure_slots (pipeline_id, slot, dimension, value, failures, successes)
SELECT p, s, d, CASE WHEN d = 'total' THEN '' ELSE d || v END,
    CASE WHEN extract(minute FROM s)::int % 30 = 0 AND v = 1 THEN $1 ELSE 0 END, 20 * $1
FROM unnest($2::text[]) p,
    generate_series(date_bin('5 minutes', now(), 'epoch') - interval '26 hours',
                    date_bin('5 minutes', now(), 'epoch'), '5 minutes') s,
    unnest('{total,step,host,release,partition,error_type,exception,step × host,step × release}'
           ::text[]) d,
    generate_series(1, $3::int) v
WHERE d <> 'total' OR v = 1;
"""


@pytest.fixture
async def database(database_dsn):
    database = Database(database_dsn, config=RecoveryConfig())
    await database.start()
    yield database
    await database.aclose()


@pytest.fixture
def store(database):
    return PostgresAnalysisStore(database)


@pytest.fixture
async def connection(database_dsn):
    connection = await asyncpg.connect(database_dsn)
    yield connection
    await connection.close()


def deltas(minutes_ago, failures, successes, host="a", pipeline="flights"):
    return [
        Delta(pipeline, dimension, value, minutes_ago * 60.0, failures, successes)
        for dimension, value in (("total", ""), ("host", host), ("step", "load"))
    ]


async def healthy_days(store, days=3):
    """One failure in 100, every quarter of an hour."""
    for n in range(8, days * 96):
        await store.add(deltas(15 * n, int(n % 4 == 0), 25 - int(n % 4 == 0), host="ab"[n % 2]))


async def test_what_a_manager_runs_is_counted_and_analyzed(database_dsn):
    async with ErrorRecoveryManager(database_dsn, pipeline_id="flights") as manager:

        async def work(fails):
            if fails:
                raise ConnectionResetError("reset")

        for n in range(6):
            try:
                async with manager.run("flights", release="1.4") as run:
                    await run.step("extract", work, False)
                    await run.step("load", work, n % 2 == 0)
            except ConnectionResetError:
                pass
    async with ErrorRecoveryManager(database_dsn, pipeline_id="flights") as manager:
        found = await manager.analyze_failures(days=1)
    assert (found.unit, found.failures.failures, found.failures.total) == ("work", 3, 12)
    shares = {(each.dimension, each.value): each.failures for each in found.error_types}
    assert shares == {("error_type", "transient"): 3, ("exception", "ConnectionResetError"): 3}
    assert (found.reliability.runs, found.reliability.failed_runs) == (6, 3)
    assert found.reliability.outages == 3
    assert found.reliability.down_since is None
    assert found.reliability.recovery_seconds > 0
    assert "3 of 12 batches and steps of flights failed" in found.summary
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("wrong", [{"days": 0}, {"days": 91}, {"quarantine_limit": 0}])
async def test_numbers_out_of_range_are_refused(store, wrong):
    with pytest.raises(InvalidConfigError):
        await Analyst(store, EventBus()).analyze("flights", **wrong)


async def test_counts_of_workers_add_up(store):
    await asyncio.gather(*(store.add(deltas(1, 1, 2)) for _ in range(8)))
    series = await store.series("flights", 1)
    assert sum(each.failures for each in series.work) == 8
    assert sum(each.total for each in series.work) == 24
    (host, step) = await store.values("flights", 1, series.now - timedelta(hours=1), series.now)
    assert (host.dimension, host.failures, step.total) == ("host", 8, 24)


async def test_folding_keeps_every_count_and_bounds_the_values(store, connection):
    for n in range(30):
        await store.add(
            [Delta("flights", "step", f"s{n:02}", 60 * 60 * 60.0, n, 1)]
            + [Delta("flights", "total", "", 60 * 60 * 60.0, n, 1)]
        )
    await store.add(deltas(5, 1, 1))
    await store.fold()
    rows = await connection.fetch("SELECT * FROM seawall.failure_analysis ORDER BY value")
    steps = {row["value"]: row["failures"] for row in rows if row["dimension"] == "step"}
    assert len(steps) == 21
    assert steps["(other)"] == sum(range(10))
    assert steps["s29"] == 29
    totals = [row for row in rows if row["dimension"] == "total"]
    assert [(row["failures"], row["successes"]) for row in totals] == [(sum(range(30)), 30)]
    recent = await connection.fetchval("SELECT count(*) FROM seawall.failure_slots")
    assert recent == 3
    await store.fold()
    assert await connection.fetchval("SELECT count(*) FROM seawall.failure_analysis") == len(rows)


async def test_single_values_are_of_days_after_a_week_and_totals_stay_hourly(store, connection):
    for hours in range(240, 264):
        await store.add(
            [
                Delta("flights", "step", "load", hours * 3600.0, 1, 9),
                Delta("flights", "total", "", hours * 3600.0, 1, 9),
            ]
        )
    for _ in range(2):
        await store.fold()
    rows = await connection.fetch(
        "SELECT dimension, count(*) AS rows, sum(failures)::int AS failures, "
        "sum(successes)::int AS successes FROM seawall.failure_analysis GROUP BY 1 ORDER BY 1"
    )
    (step, total) = rows
    assert (total["rows"], total["failures"], total["successes"]) == (24, 24, 216)
    assert step["rows"] <= 2
    assert (step["failures"], step["successes"]) == (24, 216)


async def test_change_is_told_once_by_any_number_of_workers_and_its_end_too(store):
    await healthy_days(store)
    buses = [EventBus() for _ in range(3)]
    told = []
    for bus in buses:
        bus.subscribe(told.append)
    analysts = [Analyst(store, bus) for bus in buses]
    for analyst in analysts:
        await analyst.watch()
    assert told == []
    for minutes in (80, 70, 60):
        await store.add(deltas(minutes, 12, 13, host="b") + deltas(minutes, 0, 25, host="a"))
    for analyst in (*analysts, *analysts):
        await analyst.watch()
    (rise,) = told
    assert isinstance(rise, FailureRateChanged)
    assert (rise.pipeline_id, rise.direction, rise.subject) == ("flights", "rise", None)
    assert rise.rate_after > 0.15 > 0.02 > rise.rate_before
    assert "Host b fails" in rise.summary
    for minutes in range(50, 0, -5):
        await store.add(deltas(minutes, 0, 40))
    for analyst in (*analysts, *analysts):
        await analyst.watch()
    assert [each.direction for each in told] == ["rise", "fall"]
    signals = [failure_rate(each) for each in told]
    assert [signal.firing for signal in signals] == [True, False]
    assert {signal.key for signal in signals} == {"failure_rate:flights:"}
    assert signals[0].message == rise.summary


async def test_part_that_fails_suddenly_is_told_once(store, connection):
    await healthy_days(store)
    busy = [
        Delta("flights", "total", "", 120.0, 4, 296),
        Delta("flights", "host", "a", 120.0, 0, 296),
    ]
    await store.add([*busy, Delta("flights", "host", "b", 120.0, 4, 0)])
    bus, told = EventBus(), []
    bus.subscribe(told.append)
    for _ in range(3):
        await Analyst(store, bus).watch()
    assert [(each.subject, each.direction) for each in told] == [("host: b", "rise")]
    found = await Analyst(store, bus).analyze("flights", 5)
    assert found.is_sudden
    assert (found.causes[0].dimension, found.causes[0].value) == ("host", "b")


async def test_disk_quarantine_and_budget_are_looked_ahead_on(store, connection):
    await connection.execute("""
        INSERT INTO seawall.system_health
            (sample_id, sampled_at, host, pid, disk_percent, disk_path, healthy)
        SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
                || '7000a' || substr(md5(n::text), 1, 15))::uuid,
            at, 'a', 1, 40 + n * 0.5, '/data', true
        FROM generate_series(0, 100) n, LATERAL (SELECT now() - (100 - n) * interval '10 min' AS at)
    """)
    await connection.execute("""
        INSERT INTO seawall.quarantine_counts
        SELECT 'flights', current_date - n, current_date - n, 'bad', 100, 0
        FROM generate_series(0, 9) n
    """)
    await connection.execute("""
        INSERT INTO seawall.error_budget (pipeline_id, minute, good_runs, bad_runs)
        SELECT 'flights', date_trunc('minute', now()) - n * interval '1 hour', 100, (n < 24)::int * 2
        FROM generate_series(0, 500) n
    """)
    found = await Analyst(store, EventBus()).analyze("flights", quarantine_limit=5000)
    looks = {each.resource: each for each in found.outlook}
    assert set(looks) == {"disk /data on a", "quarantine of flights", "error budget"}
    disk = looks["disk /data on a"]
    assert disk.used == 90
    assert timedelta(hours=3) < disk.ends_at - found.analyzed_at < timedelta(hours=3.6)
    assert looks["quarantine of flights"].per_day == pytest.approx(100, rel=0.01)
    assert found.outlook[0] is disk
    assert "Disk /data on a runs out at about" in found.summary


@pytest.mark.timeout(60)
async def test_queries_cost_the_same_whatever_the_number_of_errors(store, connection):
    """Three pipelines with a month of ten values each; counts of 10 thousand or 10 million."""
    medians = {}
    for failures in (1, 3000):
        await connection.execute("TRUNCATE seawall.failure_analysis, seawall.failure_slots")
        for query in (HISTORY, SLOTS):
            await connection.execute(query, failures, ["flights", "b", "c"], 10)
        await store.fold()
        await connection.execute("VACUUM ANALYZE seawall.failure_analysis, seawall.failure_slots")
        series = await store.series("flights", 30)
        for name, call in (
            ("series", lambda: store.series("flights", 30)),
            ("values", lambda: store.values(
                "flights", 30, series.now - timedelta(hours=1), series.now)),
            ("failing", store.failing),
        ):  # fmt: skip
            times = []
            for _ in range(5):
                start = time.perf_counter()
                await call()
                times.append(time.perf_counter() - start)
            medians[name, failures] = sorted(times)[2] * 1e3
    for name in ("series", "values", "failing"):
        assert medians[name, 3000] < 4 * medians[name, 1] + 5  # of 3,000 times as many


async def test_plans_read_the_pipelines_own_rows(store, connection):
    for query in (HISTORY, SLOTS):
        await connection.execute(query, 1, [f"p{n}" for n in range(12)], 4)
    await connection.execute("ANALYZE seawall.failure_analysis, seawall.failure_slots")
    explain = in_schema(f"EXPLAIN (FORMAT JSON) {analysis_store._SERIES}", "seawall")
    plan = await connection.fetchval(explain, "p1", "total", 30)
    assert "Seq Scan" not in plan
    assert "failure_analysis_totals" in plan
    assert "failure_slots_totals" in plan
