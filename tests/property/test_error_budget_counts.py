"""The roll-up of runs, against a count of the runs themselves after any changes to them."""

import asyncio

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seawall.postgres.budget_store import _FOLD
from seawall.postgres.names import in_schema

STATUSES = ["running", "succeeded", "failed", "cancelled", "abandoned"]

# What the roll-up must be: each run by its last end, in the hour of that.
RECOUNT = """
SELECT pipeline_id, date_trunc('hour', ended_at) AS hour,
    count(*) FILTER (WHERE status = 'succeeded')::int AS good,
    count(*) FILTER (WHERE status IN ('failed', 'abandoned'))::int AS bad
FROM seawall.runs WHERE status NOT IN ('running', 'cancelled') AND ended_at IS NOT NULL
GROUP BY 1, 2 ORDER BY 1, 2
"""
ROLLED_UP = """
SELECT pipeline_id, date_trunc('hour', at) AS hour, sum(good_runs)::int AS good,
    sum(bad_runs)::int AS bad
FROM (
    SELECT pipeline_id, minute AS at, good_runs, bad_runs FROM seawall.error_budget
    UNION ALL SELECT pipeline_id, hour, good_runs, bad_runs FROM seawall.error_budget_hours
) spans
GROUP BY 1, 2 HAVING sum(good_runs) <> 0 OR sum(bad_runs) <> 0 ORDER BY 1, 2
"""
ENTER = """
INSERT INTO seawall.runs (run_id, pipeline_id, status)
SELECT 'r' || n, 'p' || n % 2, 'running' FROM unnest($1::int[]) n
ON CONFLICT (run_id) DO UPDATE SET status = 'running', ended_at = NULL
"""
END = """
UPDATE seawall.runs SET status = $2, ended_at = now() - $3 * interval '1 hour'
WHERE run_id IN (SELECT 'r' || n FROM unnest($1::int[]) n)
"""
MARK = "UPDATE seawall.runs SET host = 'h'"

some = st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True)
operation = st.one_of(
    st.tuples(st.just("enter"), some),
    st.tuples(
        st.just("end"), some, st.sampled_from(STATUSES[1:]), st.sampled_from([0, 1, 95, 97, 300])
    ),
    st.tuples(st.just("end at no time"), some),
    st.tuples(st.just("mark")),
    st.tuples(st.just("fold")),
)


async def apply(connection, step):
    match step:
        case ("enter", runs):
            await connection.execute(ENTER, runs)
        case ("end", runs, status, hours):
            await connection.execute(END, runs, status, hours)
        case ("end at no time", runs):
            await connection.execute(
                "UPDATE seawall.runs SET status = 'succeeded', ended_at = NULL"
                " WHERE run_id IN (SELECT 'r' || n FROM unnest($1::int[]) n)",
                runs,
            )
        case ("mark",):
            await connection.execute(MARK)
        case ("fold",):
            await connection.execute(in_schema(_FOLD, "seawall"), 4 * 86_400.0)


@pytest.fixture
def session(database_dsn):
    runner = asyncio.Runner()
    connection = runner.run(asyncpg.connect(database_dsn))
    yield runner, connection
    runner.run(connection.close())
    runner.close()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(transactions=st.lists(st.tuples(st.lists(operation, max_size=4), st.booleans()), max_size=8))
def test_roll_up_is_what_a_recount_of_the_runs_gives(session, transactions):
    runner, connection = session

    async def play():
        await connection.execute(
            "TRUNCATE seawall.runs, seawall.error_budget, seawall.error_budget_hours CASCADE"
        )
        for steps, commits in transactions:
            transaction = connection.transaction()
            await transaction.start()
            for step in steps:
                await apply(connection, step)
            await (transaction.commit() if commits else transaction.rollback())
            recounted = [tuple(row) for row in await connection.fetch(RECOUNT)]
            assert [tuple(row) for row in await connection.fetch(ROLLED_UP)] == recounted

    runner.run(play())
